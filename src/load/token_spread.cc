#include "load/token_spread.h"

#include <algorithm>

#include "base/check.h"

namespace moecap::load {
namespace {

constexpr double kMostMisfit = 0.05;

bool Fits(int64_t tokens, size_t chunks) {
  if (chunks == 1) return true;  // nothing is to be spread
  const auto count = static_cast<double>(chunks);
  const double misfit = static_cast<double>(tokens) - count;
  return misfit <= kMostMisfit * count && -misfit <= kMostMisfit * count;
}

}  // namespace

std::vector<int32_t> SpreadTokens(int64_t tokens, size_t chunks) {
  std::vector<int32_t> result(chunks);
  // Not (i + 1) * tokens / chunks: a server may claim any total.
  const auto count = static_cast<int64_t>(chunks);
  if (tokens > 0 && tokens < count) {
    for (int64_t token = 0; token < tokens; ++token) ++result[tokens == 1 ? 0 : token * (count - 1) / (tokens - 1)];
    return result;
  }
  int64_t carried = 0;
  for (int32_t& entry : result) {
    carried += tokens % count;
    entry = static_cast<int32_t>(tokens / count + (carried >= count ? 1 : 0));
    if (carried >= count) carried -= count;
  }
  return result;
}

TokenSpread SpreadAnswer(const AnswerTokens& answer) {
  CHECK(answer.reasoning_chunks + answer.answer_chunks > 0);
  const int64_t reasoning = std::clamp(answer.reasoning.value_or(0), int64_t{0}, answer.total);
  const bool shown = answer.reasoning_chunks > 0;
  // Without an answer's chunk, and without a count of the reasoning, there is one part only.
  const bool two_parts = shown && answer.reasoning && answer.answer_chunks > 0;
  const size_t first_chunks = two_parts ? answer.reasoning_chunks : 0;
  const size_t chunks = answer.reasoning_chunks + answer.answer_chunks - first_chunks;
  const int64_t hidden = shown ? 0 : reasoning;
  int64_t tokens = answer.total - (two_parts ? reasoning : hidden);

  TokenSpread spread;
  if (two_parts) spread.chunk_tokens = SpreadTokens(reasoning, first_chunks);
  const bool silent_end = answer.ended_by_end_token && tokens == static_cast<int64_t>(chunks) + 1;
  if (silent_end) --tokens;
  const std::vector<int32_t> rest = SpreadTokens(tokens, chunks);
  spread.chunk_tokens.insert(spread.chunk_tokens.end(), rest.begin(), rest.end());
  if (silent_end) ++spread.chunk_tokens.back();
  spread.fits = Fits(tokens, chunks) && (!two_parts || Fits(reasoning, first_chunks));
  spread.chunk_tokens.front() += static_cast<int32_t>(hidden);
  return spread;
}

}  // namespace moecap::load
