#include "accuracy/rouge_l.h"

#include <algorithm>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <unordered_map>
#include <vector>

#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

constexpr size_t kMostSteps = 990;

using Word = uint32_t;

// Words are numbered in order of appearance in both texts.
class Vocabulary {
 public:
  explicit Vocabulary(size_t bytes) : ids_(bytes / kBytesPerWord, &memory_) {}

  Word Id(std::string_view word) { return ids_.try_emplace(word, static_cast<Word>(ids_.size())).first->second; }
  size_t size() const { return ids_.size(); }

 private:
  static constexpr size_t kBytesPerWord = 8;  // of words that differ, about
  std::pmr::monotonic_buffer_resource memory_;
  std::pmr::unordered_map<std::string_view, Word> ids_;
};

using Sentence = std::span<const Word>;

// The words of all sentences, and where each sentence ends.
struct Document {
  std::vector<Word> words;
  std::vector<size_t> ends;

  Sentence operator[](size_t i) const {
    return Sentence(words).subspan(i == 0 ? 0 : ends[i - 1], ends[i] - (i == 0 ? 0 : ends[i - 1]));
  }
};

// A piece of blanks alone is a sentence with the empty word.
Document Divide(std::string_view text, Vocabulary& vocabulary) {
  Document document;
  for (const std::string_view piece : unicode::SplitAt(text, ".")) {
    if (piece.empty()) continue;
    const std::vector<std::string_view> words = unicode::Split(piece);
    for (const std::string_view word : words) document.words.push_back(vocabulary.Id(word));
    if (words.empty()) document.words.push_back(vocabulary.Id(""));
    document.ends.push_back(document.words.size());
  }
  return document;
}

size_t DistinctWords(const Document& document, size_t vocabulary) {
  std::vector<bool> seen(vocabulary);
  size_t count = 0;
  for (const Word word : document.words) {
    count += seen[word] ? 0 : 1;
    seen[word] = true;
  }
  return count;
}

// Longest common subsequences of others with one sentence of the prediction, by rows of bits (Hyyrö 2004): in the row of the
// first i words of `other` bit j is 0 where the length grows from the first j words to the first j + 1. Words that the sentence
// has not change no row.
class CommonWords {
 public:
  explicit CommonWords(size_t vocabulary) : first_(vocabulary, kNone) {}

  // The sentence to compare with.
  void Take(Sentence sentence) {
    for (const Word word : sentence_) first_[word] = kNone;
    sentence_ = sentence;
    next_.assign(sentence.size(), kNone);
    for (size_t j = sentence.size(); j-- > 0;) {
      next_[j] = first_[sentence[j]];
      first_[sentence[j]] = j;
    }
  }

  // Marks the words of the subsequence in `found`; false when it takes too many steps.
  bool Mark(Sentence other, std::vector<bool>& found) {
    if (std::min(other.size(), sentence_.size()) > kMostSteps) return false;
    shared_.clear();
    for (size_t i = 0; i < other.size(); ++i) {
      if (first_[other[i]] != kNone) shared_.push_back(i);
    }
    FillRows(other);
    // From the ends back: a common word is taken, else the way leads up where the length grows here, and left where it does
    // not.
    size_t i = other.size(), j = sentence_.size(), row = shared_.size(), steps = 0;
    while (i > 0 && j > 0) {
      if (row > 0 && shared_[row - 1] == i - 1) {
        const bool equal = other[i - 1] == sentence_[j - 1];
        if (equal) found[other[i - 1]] = true;
        const bool up = equal || Grows(row, j - 1);
        if (equal || !up) --j;
        if (up) --i, --row;
        ++steps;
        continue;
      }
      const size_t last_shared = row > 0 ? shared_[row - 1] + 1 : 0;
      const bool up = Grows(row, j - 1);
      steps += up ? i - last_shared : 1;
      up ? i = last_shared : --j;
    }
    return steps <= kMostSteps;
  }

 private:
  static constexpr size_t kNone = SIZE_MAX, kBits = 64;

  void FillRows(Sentence other) {
    width_ = (sentence_.size() + kBits - 1) / kBits;
    rows_.resize((shared_.size() + 1) * width_);
    std::fill_n(rows_.begin(), width_, ~uint64_t{0});
    equal_.assign(width_, 0);
    for (size_t row = 0; row < shared_.size(); ++row) {
      const size_t first = first_[other[shared_[row]]];
      for (size_t j = first; j != kNone; j = next_[j]) equal_[j / kBits] |= uint64_t{1} << (j % kBits);
      uint64_t carry = 0;
      for (size_t word = 0; word < width_; ++word) {
        const uint64_t above = rows_[row * width_ + word];
        const uint64_t both = above & equal_[word];
        const uint64_t sum = above + both;
        const uint64_t with_carry = sum + carry;
        carry = (sum < above || with_carry < sum) ? 1 : 0;
        rows_[(row + 1) * width_ + word] = with_carry | (above & ~both);
      }
      for (size_t j = first; j != kNone; j = next_[j]) equal_[j / kBits] = 0;
    }
  }
  bool Grows(size_t row, size_t j) const { return (rows_[row * width_ + j / kBits] >> (j % kBits) & 1) == 0; }

  Sentence sentence_;
  std::vector<size_t> first_;   // by word: its first place in the sentence
  std::vector<size_t> next_;    // by place: the next place of the same word
  std::vector<size_t> shared_;  // the words of the other that the sentence has
  size_t width_ = 0;
  std::vector<uint64_t> rows_, equal_;
};

}  // namespace

double RougeL(std::string_view prediction, std::string_view gold) {
  Vocabulary words(prediction.size() + gold.size());
  const Document predicted = Divide(prediction, words), expected = Divide(gold, words);
  if (predicted.ends.empty() || expected.ends.empty()) return 0;
  std::vector<bool> found(words.size());
  CommonWords common(words.size());
  for (size_t i = 0; i < predicted.ends.size(); ++i) {
    common.Take(predicted[i]);
    for (size_t j = 0; j < expected.ends.size(); ++j) {
      if (!common.Mark(expected[j], found)) return 0;
    }
  }
  const auto count = static_cast<double>(std::ranges::count(found, true));
  const double precision = count / static_cast<double>(DistinctWords(predicted, words.size()));
  const double recall = count / static_cast<double>(DistinctWords(expected, words.size()));
  return 2 * (precision * recall / (precision + recall + 1e-8));
}

}  // namespace moecap::accuracy
