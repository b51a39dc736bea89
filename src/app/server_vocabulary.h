// Which token ids a server's model knows, found out before the first one is sent.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/driver.h"
#include "system/openai/server_facts.h"

namespace moecap::app {

// The ids of a text as the server tokenizes it. May be empty: it has no such page.
using TokenizeText = std::function<Result<std::vector<int32_t>>(const std::string& text)>;

// In this order: what the server's page says; the configuration of the model at the path that it names, where that is a path of
// this machine, too; the model that the user says it serves (`served`: a path or an id of the catalogue; "" = not said); the
// catalogue's model of the name it is served under; the ids that its tokenizer makes of common words. Null when nothing tells.
std::optional<experiment::Vocabulary> FindVocabulary(const openai::ServerFacts& facts, const std::string& model_name,
                                                     const std::string& served, const TokenizeText& tokenize);

// Tokens that a prompt and its answer may have together: as the server's page says, else as the configuration of the model at
// the path that it names, or at that of `served`. Null when nothing tells.
std::optional<int64_t> FindContext(const openai::ServerFacts& facts, const std::string& model_name, const std::string& served);

}  // namespace moecap::app
