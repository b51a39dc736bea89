#include "system/llamacpp/likelihood.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace moecap::llamacpp {

double LogProbability(std::span<const float> logits, int32_t token) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return logits[static_cast<size_t>(token)] - largest - std::log(sum);
}

ContinuationScorer::ContinuationScorer(std::vector<std::vector<int32_t>> whole, size_t prompt_tokens)
    : whole_(std::move(whole)), prompt_tokens_(prompt_tokens), shared_(prompt_tokens), sums_(whole_.size(), 0) {
  CHECK(!whole_.empty() && prompt_tokens_ >= 1);
  for (const std::vector<int32_t>& tokens : whole_) {
    CHECK(tokens.size() > prompt_tokens_);
    const auto differs = std::ranges::mismatch(tokens, whole_.front()).in1;
    shared_ = std::min(shared_, static_cast<size_t>(differs - tokens.begin()));
  }
  shares_ = shared_ > 0;
}

// Whether the logits behind the token say how likely the first token of a continuation, or a later one, is. Those behind the
// last shared token say it for all.
bool ContinuationScorer::IsScored(size_t index) const {
  return shares_ ? index + 1 == prompt_tokens_ : index + 1 >= prompt_tokens_ && index >= shared_;
}

ContinuationScorer::Step ContinuationScorer::Next(int32_t slot, size_t most) const {
  CHECK(!done());
  Step step{static_cast<int32_t>(computed_), forgets_, {}};
  const std::vector<int32_t>& tokens = whole_[choice_];
  for (size_t i = computed_; i < std::min(End(), computed_ + most); ++i)
    step.tokens.push_back({tokens[i], static_cast<int32_t>(i), slot, IsScored(i), -1});
  return step;
}

void ContinuationScorer::Take(const Step& step, std::span<const std::span<const float>> logits) {
  size_t row = 0;
  for (const BatchToken& token : step.tokens) {
    if (!token.output) continue;
    const auto next = static_cast<size_t>(token.position) + 1;
    const size_t first = shares_ ? 0 : choice_, last = shares_ ? whole_.size() : choice_ + 1;
    for (size_t choice = first; choice < last; ++choice) sums_[choice] += LogProbability(logits[row], whole_[choice][next]);
    ++row;
  }
  computed_ += step.tokens.size();
  forgets_ = false;
  if (computed_ < End()) return;
  if (!std::exchange(shares_, false)) ++choice_;
  SkipComplete();
}

// A continuation of one token needs no pass of its own.
void ContinuationScorer::SkipComplete() {
  while (choice_ < whole_.size() && shared_ == prompt_tokens_ && whole_[choice_].size() == prompt_tokens_ + 1) ++choice_;
  forgets_ = computed_ > shared_;
  computed_ = shared_;
}

}  // namespace moecap::llamacpp
