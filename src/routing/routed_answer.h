// Where servers put the routed experts in their answers, and what else the answers say that the experts are held against:
//
// | server | in                                                                                                        |
// |--------|-----------------------------------------------------------------------------------------------------------|
// | vLLM   | choices[].routed_experts of answers that are not streamed; 0.21 also prompt_routed_experts beside choices  |
// | SGLang | meta_info.routed_experts of /generate; sglext.routed_experts of the OpenAI routes, in an event of its own  |
// |        | when streamed; older builds choices[].sgl_ext, choices[].meta_info                                        |
// | others | routed_experts at the top level of a record                                                               |
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "routing/routed_experts.h"

namespace moecap::routing {

// One answer: a choice of a response. What the server does not say is empty or null.
struct RoutedAnswer {
  std::string id;           // of the response
  std::string model;        // as the server names it
  std::string fingerprint;  // OpenAI's system_fingerprint, SGLang's weight_version
  std::optional<int64_t> prompt_tokens, output_tokens, cached_tokens;
  std::vector<int32_t> prompt_ids, output_ids;
  std::string prompt_routes;  // as sent (routed_experts.h): of the prompt alone, by vLLM 0.21
  std::string routes;         // as sent: of the rest, or of everything

  bool has_routes() const { return !routes.empty() || !prompt_routes.empty(); }
};

// JSON: a response, a list of them, or one a line; or the events of streams ("data: {...}"), which become one answer for each
// id. A response with several choices gives as many answers, whose tokens are known only when their ids are. Error kBadInput
// naming the line. Takes at most three times the size of `text` besides what it returns.
Result<std::vector<RoutedAnswer>> ReadRoutedAnswers(std::string_view text);

// The experts of the answer. Where the answer says how many tokens it has, and `shape.rows` is 0, the rows must be as many as
// the tokens that went into the model. Errors as of DecodeRoutedExperts.
Result<RoutedExperts> ExpertsOf(const RoutedAnswer& answer, RoutedShape shape = {});

}  // namespace moecap::routing
