// Log-likelihoods of given continuations of a prompt, from the engine's logits: what to compute, pass by pass, and what the
// logits say. Pure; knows neither the engine nor its library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "system/llamacpp/pass_log.h"

namespace moecap::llamacpp {

// The natural logarithm of softmax(logits)[token], summed in double precision. Requires token < logits.size().
double LogProbability(std::span<const float> logits, int32_t token);

// Scores as lm-evaluation-harness does (0.4.13, lm_eval/api/model.py, _encode_pair): prompt and continuation are tokenised
// together, and what lies behind as many tokens as the prompt alone has is the continuation. What all of them begin with is
// computed once.
class ContinuationScorer {
 public:
  // `whole`: the tokens of the prompt with each continuation, at least one, each longer than `prompt_tokens` >= 1.
  ContinuationScorer(std::vector<std::vector<int32_t>> whole, size_t prompt_tokens);

  bool done() const { return choice_ == whole_.size(); }

  // What comes next: the cache of the slot keeps its first `kept` tokens and no others, then `tokens` are computed, at most
  // `most` >= 1. Requires !done().
  struct Step {
    int32_t kept = 0;
    bool forgets = false;  // the cache holds more than is kept
    std::vector<BatchToken> tokens;
  };
  Step Next(int32_t slot, size_t most) const;
  // Where the cache cannot forget a part (recurrent layers) it was emptied: the next step begins anew.
  void StartOver() {
    computed_ = 0;
    forgets_ = false;
  }
  // The logits of those tokens of the step that asked for them, in their order.
  void Take(const Step& step, std::span<const std::span<const float>> logits);

  // Sums over the tokens of each continuation; requires done().
  const std::vector<double>& log_likelihoods() const { return sums_; }

 private:
  // Tokens of the current text to be computed: what all share, or all but the last.
  size_t End() const { return shares_ ? shared_ : whole_[choice_].size() - 1; }
  bool IsScored(size_t index) const;
  void SkipComplete();

  std::vector<std::vector<int32_t>> whole_;
  size_t prompt_tokens_;
  size_t shared_ = 0;   // tokens that are computed once for all
  bool shares_ = true;  // while these are
  size_t choice_ = 0;
  size_t computed_ = 0;  // tokens of the current text in the cache
  bool forgets_ = false;
  std::vector<double> sums_;
};

}  // namespace moecap::llamacpp
