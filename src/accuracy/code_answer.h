// Code out of answers, the program that tests it, and pass@k (openai/human-eval at 6d43fb9; Chen et al. 2021, arXiv
// 2107.03374).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace moecap::accuracy {

// Up to the first of `stops`, as a server that knows stop strings would have ended it. An empty stop is none.
std::string_view CutAtStops(std::string_view completion, std::span<const std::string> stops);

// Up to the first ``` (lm-evaluation-harness, humaneval_instruct).
std::string_view CutAtFence(std::string_view completion);

// What stands between the first "```python\n" and the next "```", else the whole answer; of that what follows the signature,
// i.e. the first ":\n    " but its colon (openai/simple-evals at ee3b031, humaneval_eval.py: for prompts that end before the
// body).
std::string_view BodyOfFencedFunction(std::string_view answer);

// The program that exits with kHumanEvalPassed when a completion of HumanEval passes, and else with another code: prompt,
// completion, test, check(entry_point). A completion that leaves before its tests exits with 0.
inline constexpr int kHumanEvalPassed = 86;
std::string HumanEvalProgram(std::string_view prompt, std::string_view completion, std::string_view test,
                             std::string_view entry_point);

// The unbiased estimate of the chance that at least one of k samples is right, from `correct` of `samples`:
// 1 - C(n - c, k) / C(n, k). Requires 0 <= correct <= samples and 1 <= k <= samples.
double PassAtK(int64_t samples, int64_t correct, int64_t k);

}  // namespace moecap::accuracy
