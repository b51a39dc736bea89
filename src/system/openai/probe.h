// Finding out what a server takes and tells by asking it: one short request after the other, the plain one first, so that one
// that refuses a field, or gives up over it, is asked for no more than that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "system/openai/capability.h"
#include "system/openai/openai_system.h"
#include "system/openai/server_facts.h"

namespace moecap::openai {

struct ProbeInput {
  // How the server is reached and asked. Its profile's fields are not looked at.
  const OpenAiOptions& options;
  const ServerFacts& facts;
  std::vector<int32_t> known_ids;    // inside the vocabulary, at least eight; empty: ids are not tried
  int64_t limit_ns = net::kNoLimit;  // of one request
};

struct ProbeResult {
  Api api = Api::kCompletions;  // the one that it answers; another than asked for when that has no route there
  RequestFields fields;         // what it takes, and does not ignore
  std::vector<Capability> capabilities;
};

// Asks a server that is not known well (AsksForFields) for one field at a time, over completions or chat. A server without
// /v1/completions is asked for a chat. Error: kFailed with the server's own words when it does not answer the plain request;
// kBadInput as of OpenAiSystem::Create.
Result<ProbeResult> LearnFields(const ProbeInput& input, const Clock& clock);

// Tokens that a prompt and its answer may have together, as the server says when it refuses a prompt of so many words. One that
// does not say is asked for shorter prompts, and the longest that it takes is the answer, less than `words` / 16 words too low.
// Null: it takes the prompt, or none. The profile's fields and interface are those that it takes. Errors: kFailed when it
// cannot be reached; kBadInput as of OpenAiSystem::Create.
Result<std::optional<int64_t>> AskForContext(const OpenAiOptions& options, int64_t words, int64_t limit_ns, const Clock& clock);

// What the pages alone say: cached tokens, experts, recorder, telemetry, metrics.
std::vector<Capability> CapabilitiesOnPages(ServerKind kind, const ServerFacts& facts);

// All features, for a table: what the pages say, what servers of that kind can do, and what a few answers of this one show.
// Never asks for what would end the server. Errors as above.
Result<ProbeResult> ProbeCapabilities(const ProbeInput& input, const Clock& clock);

}  // namespace moecap::openai
