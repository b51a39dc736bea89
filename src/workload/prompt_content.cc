#include "workload/prompt_content.h"

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"

namespace moecap::workload {
namespace {

constexpr uint64_t kLeastCodes = uint64_t{1} << 28;

uint64_t Mixed(uint64_t a, uint64_t b) { return Rng(Rng(a).Next() ^ Rng(~b).Next()).Next(); }

// [0, size) from 32 random bits. The bias is at most size / 2^32, and no division is needed.
int32_t Scaled(uint32_t bits, int32_t size) {
  return static_cast<int32_t>((uint64_t{bits} * static_cast<uint64_t>(size)) >> 32);
}

}  // namespace

uint64_t StreamSeed(uint64_t seed, Stream stream, uint64_t index) {
  return Mixed(Mixed(seed, static_cast<uint64_t>(stream)), index);
}

PromptContent::PromptContent(const Vocabulary& vocabulary, uint64_t seed, bool mirrored)
    : vocabulary_(vocabulary), seed_(seed), mirrored_(mirrored) {
  CHECK(vocabulary.size >= 2 && vocabulary.from >= 0);
  while (codes_ < kLeastCodes) {
    codes_ *= static_cast<uint64_t>(vocabulary.size);
    ++code_digits_;
  }
}

void PromptContent::Append(uint64_t piece_code, int64_t tokens, std::vector<int32_t>& ids) const {
  const uint64_t code = mirrored_ ? codes_ - 1 - piece_code % codes_ : piece_code % codes_;
  const auto size = static_cast<uint64_t>(vocabulary_.size);
  uint64_t rest = code;
  uint64_t state = StreamSeed(seed_, Stream::kCode, 0);
  const int64_t digits = std::min<int64_t>(tokens, code_digits_);
  for (int64_t i = 0; i < digits; ++i, rest /= size) {
    // Each digit is turned by an amount that depends on the digits before it, which keeps different codes different and makes
    // the tokens of neighbouring codes look unlike each other.
    const uint64_t digit = rest % size;
    ids.push_back(vocabulary_.from + static_cast<int32_t>((digit + state % size) % size));
    state = Mixed(state, digit);
  }
  Rng rng(StreamSeed(seed_, Stream::kContent, code));
  int64_t left = tokens - digits;
  for (; left >= 2; left -= 2) {
    const uint64_t bits = rng.Next();
    ids.push_back(vocabulary_.from + Scaled(static_cast<uint32_t>(bits), vocabulary_.size));
    ids.push_back(vocabulary_.from + Scaled(static_cast<uint32_t>(bits >> 32), vocabulary_.size));
  }
  if (left == 1) ids.push_back(vocabulary_.from + Scaled(static_cast<uint32_t>(rng.Next()), vocabulary_.size));
}

std::vector<int32_t> PromptContent::Tokens(const Recipe& recipe, int64_t tokens) const {
  std::vector<int32_t> ids;
  ids.reserve(static_cast<size_t>(tokens));
  for (const Piece& piece : recipe.shared) {
    const int64_t left = tokens - std::ssize(ids);
    Append(piece.code, std::min(piece.tokens, left), ids);
  }
  const int64_t left = tokens - std::ssize(ids);
  Append(recipe.own_code, left, ids);
  return ids;
}

}  // namespace moecap::workload
