// What a server's own pages tell of it beside its kind and its models. Only GET requests, none of which makes it work.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http_client.h"
#include "system/openai/discovery.h"

namespace moecap::openai {

// Null and empty: it does not tell.
struct ServerFacts {
  std::string model_path;             // where the server has its model, as it words it; often a path on its machine
  std::optional<int64_t> vocabulary;  // ids [0, vocabulary) exist
  std::string vocabulary_page;        // where it said so
  std::optional<int64_t> context_tokens;
  std::optional<int64_t> max_running;    // requests in one batch
  std::optional<int64_t> prefill_chunk;  // prompt tokens of one pass
  std::optional<int64_t> tensor_parallel, data_parallel, expert_parallel, pipeline_parallel;
  std::string dtype, kv_dtype, quantization, device;
  std::optional<bool> has_metrics;          // /metrics
  std::optional<bool> tells_cached_tokens;  // in the usage of its answers
  std::optional<bool> returns_experts;      // in its answers
  std::optional<bool> has_pass_metrics;     // a record of each forward pass, live ...
  std::string pass_metrics_address;         // ... published there, "ipc:///tmp/fpm.0"
  // The mode of SGLang's recorder of experts: "stat", "per_pass", ...; "" = it is off. Its pages must not be asked then: the
  // server would end.
  std::optional<std::string> recorder_mode;
};

// What the pages of that kind of server say. A page that is missing, or says nothing, leaves its facts unknown. `version`: as
// Question::version. Error: kFailed when the server cannot be reached.
Result<ServerFacts> ReadServerFacts(net::HttpClient& client, const ServerIdentity& identity, const std::string& version,
                                    int64_t limit_ns);

// What they say in words, for a table or a record: {"context", "512 tokens"}; unknown ones are left out.
std::vector<std::pair<std::string, std::string>> InWords(const ServerFacts& facts);

}  // namespace moecap::openai
