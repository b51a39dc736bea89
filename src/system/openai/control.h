// What servers offer beside generating and a measurement needs: an empty prefix cache, the tokens of a text, a
// counter.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/server_counters.h"
#include "system/openai/openai_system.h"

namespace moecap::openai {

// Whether servers of this kind have an interface for it. vLLM has the first in development mode only, older releases of SGLang
// lack the second.
bool CanFlushPrefixCache(ServerKind server);
bool CanTokenize(ServerKind server);

struct TokenizedText {
  int64_t count = 0;
  std::vector<int32_t> token_ids;  // `count` of them
};

// Speaks to every URL of the options over connections of its own. Blocking: not for the time that is measured. Errors of all
// requests: kBadInput with the remedy when the server does not offer it or refuses the key; kFailed when it cannot be reached,
// is busy or answers something else. None names the key.
class ServerControl {
 public:
  // Sends nothing. `clock` must outlive it; a request ends after `limit_ns`. Errors as of net::HttpClient::Create.
  static Result<std::unique_ptr<ServerControl>> Create(const OpenAiOptions& options, int64_t limit_ns, const Clock& clock);
  ~ServerControl();

  // Makes every server forget what it has cached; none may have a request in flight (SGLang then refuses, others keep a part).
  Status FlushPrefixCache();

  // What all servers together counted since they were started, by their /metrics; null where one of them has no such page. A
  // counter that one of them lacks is null.
  std::optional<load::ServerCounters> Counters();

  // The model as the servers list it, with what tells it from another of the same name: "URL: tiny, /models/tiny, 512"; where
  // none lists it, all that they list. Error: kFailed when a server cannot be reached.
  Result<std::vector<std::string>> Models();

  // As the first server tokenizes the prompt of a completion: with its begin token, without a chat template.
  Result<TokenizedText> Tokenize(std::string_view text);

 private:
  struct Impl;
  explicit ServerControl(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moecap::openai
