#include "workload/prompt_fitter.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

namespace moecap::workload {
namespace {

constexpr int kMostReplacements = 64;
constexpr int kMostGrowth = 64;  // words a token, beyond which the tokenizer cannot be right

class Fitter {
 public:
  Fitter(std::vector<int32_t> words, const CountTokens& count) : words_(std::move(words)), count_(count) {}

  Result<FittedText> Of(int64_t words) const {
    FittedText fitted;
    fitted.text = Words(std::span(words_).first(static_cast<size_t>(words)));
    fitted.words = words;
    ASSIGN_OR_RETURN(fitted.tokens, count_(fitted.text));
    return fitted;
  }

  int64_t size() const { return std::ssize(words_); }

  // `fitted` with one more word that makes it exactly `tokens`, if there is one.
  Result<FittedText> WithAnotherWord(const FittedText& fitted, int64_t tokens) const {
    const int32_t start = words_[static_cast<size_t>(fitted.words)];
    for (int i = 1; i <= kMostReplacements; ++i) {
      const int32_t word = (start + i) % WordCount();
      FittedText longer;
      longer.text = fitted.text + " " + Words(std::span(&word, 1));
      longer.words = fitted.words + 1;
      longer.replaced = true;
      ASSIGN_OR_RETURN(longer.tokens, count_(longer.text));
      if (longer.tokens == tokens) return longer;
    }
    return fitted;
  }

 private:
  std::vector<int32_t> words_;
  const CountTokens& count_;
};

// Between `low`, with too few tokens, and `high`, with too many: the exact one, or the last that has too few.
Result<FittedText> Search(const Fitter& fitter, FittedText low, FittedText high, int64_t tokens) {
  for (int step = 0; high.words - low.words > 1; ++step) {
    // Tokens grow almost evenly with the words; every third step halves, in case they do not.
    const int64_t span = high.words - low.words;
    const int64_t ahead = step % 3 == 2 ? span / 2 : (tokens - low.tokens) * span / (high.tokens - low.tokens);
    ASSIGN_OR_RETURN(FittedText middle, fitter.Of(low.words + std::clamp<int64_t>(ahead, 1, span - 1)));
    if (middle.tokens == tokens) return middle;
    (middle.tokens < tokens ? low : high) = std::move(middle);
  }
  return low;
}

}  // namespace

Result<FittedText> FitText(const PromptContent& content, const Recipe& recipe, int64_t tokens, bool may_replace,
                           const CountTokens& count) {
  // Hardly a tokenizer makes less than one token of a word; for one that does, more words are taken.
  for (int64_t words = tokens; words <= tokens * kMostGrowth; words *= 2) {
    const Fitter fitter(content.Tokens(recipe, words), count);
    ASSIGN_OR_RETURN(FittedText high, fitter.Of(words));
    if (high.tokens == tokens || (words == 1 && high.tokens > tokens)) return high;
    if (high.tokens < tokens) continue;
    FittedText low;
    ASSIGN_OR_RETURN(low, fitter.Of(1));
    if (low.tokens >= tokens) return low;
    ASSIGN_OR_RETURN(const FittedText nearest, Search(fitter, low, std::move(high), tokens));
    if (nearest.tokens == tokens || !may_replace) return nearest;
    return fitter.WithAnotherWord(nearest, tokens);
  }
  return Failed(fmt::format("the tokenizer makes fewer than {} tokens of {} words; it cannot be used to fit texts to a length",
                            tokens, tokens * kMostGrowth));
}

}  // namespace moecap::workload
