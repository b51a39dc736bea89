// Log-likelihoods of given continuations from a server's own log-probabilities: `echo` with `logprobs` on /v1/completions, as
// OpenAI's interface had them and vLLM has them. Internal to this folder.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "load/system_under_test.h"
#include "system/openai/request_body.h"

namespace moecap::openai {

// Of a server that does not tell them.
inline constexpr const char* kLikelihoodRemedy =
    "log-likelihoods need a server that answers echo with logprobs on /v1/completions, as vLLM does; else take a prompt to "
    "which the model writes its answer";

// Whether a server may be asked at all. Error: kBadInput with the remedy.
Status CheckTellsLikelihoods(const RequestProfile& profile);

// The value of "prompt": the prompt alone, whose tokens are counted, then the prompt with each continuation.
std::vector<std::string> PromptsOf(const load::RequestSpec& request);

// From the whole answer to these prompts, in order. Of each the tokens behind as many as the prompt alone has, and before the
// one that the server had to generate (lm-evaluation-harness 0.4.13, lm_eval/models/openai_completions.py). Error: kFailed,
// what the answer lacks, with the remedy.
Result<std::vector<double>> ReadLikelihoods(std::string_view body, size_t continuations);

}  // namespace moecap::openai
