// The content of generated prompts: token ids or words, drawn from seeds so that what is not planned to be shared begins
// differently, and what is planned to be shared is equal to the token.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace moecap::workload {

// The seed of one thing drawn for one item: streams and indices do not influence each other.
enum class Stream : uint64_t { kContent = 1, kCode, kLength, kGroup, kConversation, kOrder };
uint64_t StreamSeed(uint64_t seed, Stream stream, uint64_t index);

// Ids are drawn from [from, from + size). Of text, the numbers of our words: [0, WordCount()).
struct Vocabulary {
  int32_t from = 0;
  int32_t size = 0;  // >= 256
};

// A run of tokens that is the same wherever its code occurs. The first two to four tokens spell the code, so that pieces of
// different codes differ there; from then on the tokens are random.
struct Piece {
  uint64_t code = 0;
  int64_t tokens = 0;
};

// Codes of what requests share (prefix groups, blocks of a trace) and of what only one has.
constexpr uint64_t SharedCode(uint64_t index) { return 2 * index; }
constexpr uint64_t OwnCode(uint64_t index) { return 2 * index + 1; }

// What one prompt is made of: shared pieces, then its own tokens without end.
struct Recipe {
  std::vector<Piece> shared;
  uint64_t own_code = 0;
};

class PromptContent {
 public:
  // `mirrored`: other content for the same codes, as different from the plain one as codes are from each other.
  PromptContent(const Vocabulary& vocabulary, uint64_t seed, bool mirrored);

  // The first `tokens` tokens. Those of a longer prompt of the same recipe begin with them.
  std::vector<int32_t> Tokens(const Recipe& recipe, int64_t tokens) const;

 private:
  void Append(uint64_t piece_code, int64_t tokens, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  uint64_t seed_;
  bool mirrored_;
  int code_digits_ = 0;
  uint64_t codes_ = 1;  // size to the power of code_digits_
};

// Short common English words; most tokenizers make one token of each, with the space before it.
int32_t WordCount();
// The words of these numbers, separated by spaces.
std::string Words(std::span<const int32_t> numbers);

}  // namespace moecap::workload
