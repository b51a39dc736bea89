#include "accuracy/rouge_l.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

constexpr size_t kMostSteps = 990;

// Words are numbered in order of appearance in both texts.
class Vocabulary {
 public:
  size_t Id(std::string_view word) { return ids_.try_emplace(word, ids_.size()).first->second; }
  size_t size() const { return ids_.size(); }

 private:
  std::unordered_map<std::string_view, size_t> ids_;
};

using Sentence = std::vector<size_t>;

// A piece of blanks alone is a sentence with the empty word.
std::vector<Sentence> Sentences(std::string_view text, Vocabulary& words) {
  std::vector<Sentence> sentences;
  for (const std::string_view piece : unicode::SplitAt(text, ".")) {
    if (piece.empty()) continue;
    Sentence& sentence = sentences.emplace_back();
    for (const std::string_view word : unicode::Split(piece)) sentence.push_back(words.Id(word));
    if (sentence.empty()) sentence.push_back(words.Id(""));
  }
  return sentences;
}

size_t DistinctWords(std::span<const Sentence> sentences, size_t vocabulary) {
  std::vector<bool> seen(vocabulary);
  for (const Sentence& sentence : sentences) {
    for (const size_t word : sentence) seen[word] = true;
  }
  return static_cast<size_t>(std::ranges::count(seen, true));
}

// Longest common subsequences of others with one sentence of the prediction, by rows of bits (Hyyrö 2004): in row i bit j is 0
// where the length for the first i words of `other` grows from the first j words to the first j + 1.
class CommonWords {
 public:
  explicit CommonWords(size_t vocabulary) : first_(vocabulary, kNone) {}

  // The sentence to compare with.
  void Take(const Sentence& sentence) {
    for (const size_t word : sentence_) first_[word] = kNone;
    sentence_ = sentence;
    next_.assign(sentence.size(), kNone);
    for (size_t j = sentence.size(); j-- > 0;) {
      next_[j] = first_[sentence[j]];
      first_[sentence[j]] = j;
    }
  }

  // Marks the words of the subsequence in `found`; false when it takes too many steps.
  bool Mark(const Sentence& other, std::vector<bool>& found) {
    if (std::min(other.size(), sentence_.size()) > kMostSteps) return false;
    FillRows(other);
    size_t i = other.size(), j = sentence_.size();
    for (size_t steps = 0; i > 0 && j > 0; ++steps) {
      if (steps == kMostSteps) return false;
      if (other[i - 1] == sentence_[j - 1]) {
        found[other[i - 1]] = true;
        --i, --j;
      } else if (Grows(i, j - 1)) {
        --i;
      } else {
        --j;
      }
    }
    return true;
  }

 private:
  static constexpr size_t kNone = SIZE_MAX, kBits = 64;

  void FillRows(const Sentence& other) {
    width_ = (sentence_.size() + kBits - 1) / kBits;
    rows_.assign((other.size() + 1) * width_, ~uint64_t{0});
    std::vector<uint64_t> equal(width_);
    for (size_t i = 0; i < other.size(); ++i) {
      for (size_t j = first_[other[i]]; j != kNone; j = next_[j]) equal[j / kBits] |= uint64_t{1} << (j % kBits);
      uint64_t carry = 0;
      for (size_t word = 0; word < width_; ++word) {
        const uint64_t above = rows_[i * width_ + word];
        const uint64_t both = above & equal[word];
        const uint64_t sum = above + both;
        const uint64_t with_carry = sum + carry;
        carry = (sum < above || with_carry < sum) ? 1 : 0;
        rows_[(i + 1) * width_ + word] = with_carry | (above & ~both);
      }
      for (size_t j = first_[other[i]]; j != kNone; j = next_[j]) equal[j / kBits] = 0;
    }
  }
  bool Grows(size_t i, size_t j) const { return (rows_[i * width_ + j / kBits] >> (j % kBits) & 1) == 0; }

  Sentence sentence_;
  std::vector<size_t> first_;  // by word: its first place in the sentence
  std::vector<size_t> next_;   // by place: the next place of the same word
  size_t width_ = 0;
  std::vector<uint64_t> rows_;
};

}  // namespace

double RougeL(std::string_view prediction, std::string_view gold) {
  Vocabulary words;
  const std::vector<Sentence> predicted = Sentences(prediction, words), expected = Sentences(gold, words);
  if (predicted.empty() || expected.empty()) return 0;
  std::vector<bool> found(words.size());
  CommonWords common(words.size());
  for (const Sentence& sentence : predicted) {
    common.Take(sentence);
    for (const Sentence& other : expected) {
      if (!common.Mark(other, found)) return 0;
    }
  }
  const auto count = static_cast<double>(std::ranges::count(found, true));
  const double precision = count / static_cast<double>(DistinctWords(predicted, words.size()));
  const double recall = count / static_cast<double>(DistinctWords(expected, words.size()));
  return 2 * (precision * recall / (precision + recall + 1e-8));
}

}  // namespace moecap::accuracy
