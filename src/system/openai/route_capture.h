// A second run of requests that asks a server which experts each token used, apart from the run that is timed.
//
// The answers come whole: vLLM puts the experts into no stream. They are read off the wire by the calling thread and decoded by
// another, so that receiving never waits for decoding (bench/route_capture.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/system_under_test.h"
#include "routing/routed_experts.h"
#include "system/openai/openai_system.h"

namespace moecap::openai {

struct CaptureOptions {
  int concurrency = 8;         // requests in flight, >= 1
  routing::RoutedShape shape;  // of the model, as far as it is known; SGLang needs layers and top_k. `rows` is not looked at
  int64_t connect_limit_ns = 30'000'000'000;
  int64_t answer_limit_ns = 600'000'000'000;             // from sending a request to the end of its answer
  size_t max_answer_bytes = routing::kMostEncodedBytes;  // a larger answer is given up
  size_t max_kept_bytes = size_t{1} << 30;               // experts of all answers; what comes after is left out
  std::function<bool()> stop;                            // asked some 20 times a second; true = give up. Null = never
};

// What one request brought. Fields of a request that failed are empty.
struct CapturedAnswer {
  std::vector<int32_t> token_ids;   // of the output; empty = not told
  std::vector<int32_t> prompt_ids;  // empty = not told
  int64_t prompt_tokens = 0;        // 0 = not told
  int64_t output_tokens = 0;
  std::optional<int64_t> cached_tokens;  // of the prompt, served from the prefix cache; their experts are among the rows
  routing::RoutedExperts experts;        // prompt_tokens + output_tokens - 1 rows, or empty
  std::string missing;                   // why there are no experts, one sentence; "" = there are
  int http_status = 0;                   // 0 = no response came
};

struct CapturedRoutes {
  std::vector<CapturedAnswer> answers;  // as the requests, in their order
  int64_t told = 0;                     // answers with experts
  // What makes the experts doubtful although they could be read, one sentence each: given for some requests only, the same in
  // all layers, missing for some tokens, another model or a restart on the way.
  std::vector<std::string> findings;
  int64_t longest_hold_ns = 0;  // the longest time that the receiving thread did not look at its connections
  int64_t decode_ns = 0;        // time that the other thread spent on the answers
};

// Sends every request once, with what makes its server tell experts, and none of its deadlines. After 20 requests in a row that
// failed the rest is not sent. Memory: an answer of at most max_answer_bytes for each request in flight and as much again that
// waits, six times the size of the one that is decoded, and about max_kept_bytes. `clock` must be CLOCK_MONOTONIC or move with
// it. Errors: as of OpenAiSystem::Create; kInterrupted when `stop` said so.
Result<CapturedRoutes> CaptureRoutes(const OpenAiOptions& options, std::span<const load::RequestSpec> requests,
                                     const CaptureOptions& capture, const Clock& clock);

// Whether the server is set up to tell experts.
struct ExpertsOffer {
  bool tells = false;
  std::string why_not;  // one sentence that names the server's flag; "" when it tells
};
// Asks SGLang's /server_info, any other server that MayTellExperts for a tiny answer with experts. Errors: kFailed when it
// cannot be reached.
Result<ExpertsOffer> TellsExperts(const OpenAiOptions& options, int64_t limit_ns, const Clock& clock);

}  // namespace moecap::openai
