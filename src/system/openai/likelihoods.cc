#include "system/openai/likelihoods.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace moecap::openai {
namespace {

namespace dom = simdjson::dom;

Error Lacks(std::string_view what) { return Failed(fmt::format("{}: {}", what, kLikelihoodRemedy)); }

// Null where the list is not one of numbers behind its first entry.
std::optional<std::vector<double>> NumbersOf(dom::element logprobs) {
  dom::array list;
  if (logprobs["token_logprobs"].get(list) != simdjson::SUCCESS) return std::nullopt;
  std::vector<double> numbers;
  for (const dom::element entry : list) {
    double number = 0;  // of the first token, which nothing comes before
    if (entry.get(number) != simdjson::SUCCESS && !(numbers.empty() && entry.is_null())) return std::nullopt;
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

Status CheckTellsLikelihoods(const RequestProfile& profile) {
  if (profile.api != Api::kCompletions)
    return BadInput(
        fmt::format("api {} tells no log-likelihoods of given texts; use api completions, where a server has echo and "
                    "logprobs (vLLM), or a prompt to which the model writes its answer",
                    Name(profile.api)));
  const bool has_none = profile.server == ServerKind::kLlamaServer || profile.server == ServerKind::kTgi ||
                        profile.server == ServerKind::kOllama || profile.server == ServerKind::kTransformers ||
                        profile.server == ServerKind::kFastllm || profile.server == ServerKind::kLitGpt;
  if (has_none)
    return BadInput(
        fmt::format("{} has no echo of the prompt's log-probabilities: {}", Name(profile.server), kLikelihoodRemedy));
  return {};
}

std::vector<std::string> PromptsOf(const load::RequestSpec& request) {
  std::vector<std::string> prompts{request.prompt};
  for (const std::string& continuation : request.continuations) prompts.push_back(request.prompt + continuation);
  return prompts;
}

Result<std::vector<double>> ReadLikelihoods(std::string_view body, size_t continuations) {
  dom::parser parser;
  dom::array choices;
  if (parser.parse(body.data(), body.size())["choices"].get(choices) != simdjson::SUCCESS)
    return Lacks("the answer has no choices");
  std::vector<std::optional<std::vector<double>>> told(continuations + 1);
  for (const dom::element choice : choices) {
    uint64_t index = 0;
    dom::element logprobs;
    if (choice["index"].get(index) != simdjson::SUCCESS || index >= told.size()) continue;
    if (choice["logprobs"].get(logprobs) == simdjson::SUCCESS) told[index] = NumbersOf(logprobs);
  }
  std::vector<double> sums;
  for (size_t i = 0; i < told.size(); ++i) {
    if (!told[i]) return Lacks(fmt::format("the answer has no log-probabilities for text {} of {}", i + 1, told.size()));
    // The last one is of the generated token.
    const std::vector<double>& own = *told[i];
    const size_t prompt = told.front()->size() - 1;
    if (i == 0 && own.size() < 2) return Lacks("the answer does not hold the prompt's tokens");
    if (i > 0 && own.size() < prompt + 2) return Lacks("the answer holds no more tokens than the prompt's");
    double sum = 0;
    for (size_t token = prompt; token + 1 < own.size(); ++token) sum += own[token];
    if (i > 0) sums.push_back(sum);
  }
  return sums;
}

}  // namespace moecap::openai
