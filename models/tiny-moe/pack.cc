// tinymath_pack: turns generated problems into fixed rows of token ids for train.py, fast enough that one core feeds a
// GPU. Each row is ROW uint16 tokens followed by ROW uint16 labels; label = template << 6 | document << 1 | is_answer,
// document = 1, 2, ... within the row, 0 = padding. A problem is never cut.
//
// usage: tinymath_pack MERGES test|train SEED COUNT ROW     (COUNT 0 = endless)
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../../datasets/tinymath/problem.h"

namespace {

using Ids = std::vector<std::uint16_t>;

// Byte-level BPE for ASCII text; the same merges and the same result as tokenizer.py.
class Tokenizer {
 public:
  explicit Tokenizer(const char* merges_path) {
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b < 127) || (b >= 161 && b < 173) || b >= 174;
      ids_[Utf8(printable ? b : spare_++)] = b;
    }
    std::ifstream file(merges_path);
    int next = 256;
    for (std::string line; std::getline(file, line); ++next) {
      const std::size_t space = line.find(' ');
      const std::string left = line.substr(0, space);
      const std::string right = line.substr(space + 1);
      merges_[{ids_.at(left), ids_.at(right)}] = next;
      ids_[left + right] = next;
    }
    end_of_text_ = static_cast<std::uint16_t>(next);
  }

  std::uint16_t end_of_text() const { return end_of_text_; }

  void Append(std::string_view text, Ids& out) {
    while (!text.empty()) {
      const std::string word(text.substr(0, WordLength(text)));
      auto [entry, is_new] = cache_.try_emplace(word);
      if (is_new) entry->second = EncodeWord(word);
      out.insert(out.end(), entry->second.begin(), entry->second.end());
      text.remove_prefix(word.size());
    }
  }

 private:
  static std::string Utf8(int code) {
    if (code < 128) return std::string(1, static_cast<char>(code));
    return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))};
  }

  static bool IsAlpha(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  static bool IsSpace(char c) { return c == ' ' || c == '\n'; }

  // Length of the first pre-token. Covers what tinymath writes: words, digits, punctuation, single spaces, newlines.
  static std::size_t WordLength(std::string_view text) {
    std::size_t n = 0;
    if (IsAlpha(text[0]) || (text.size() > 1 && IsAlpha(text[1]) && !IsDigit(text[0]) && text[0] != '\n')) {
      for (n = 1; n < text.size() && IsAlpha(text[n]);) ++n;
      return n;
    }
    if (IsDigit(text[0])) return 1;
    const auto is_mark = [](char c) { return !IsAlpha(c) && !IsDigit(c) && !IsSpace(c); };
    n = text[0] == ' ' ? 1 : 0;
    if (n < text.size() && is_mark(text[n])) {
      while (n < text.size() && is_mark(text[n])) ++n;
      while (n < text.size() && text[n] == '\n') ++n;
      return n;
    }
    return 1;
  }

  Ids EncodeWord(const std::string& word) const {
    std::vector<int> parts;
    for (const char c : word) parts.push_back(static_cast<unsigned char>(c));
    for (;;) {
      int best = 1 << 30;
      for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto found = merges_.find({parts[i], parts[i + 1]});
        if (found != merges_.end()) best = std::min(best, found->second);
      }
      if (best == 1 << 30) break;
      std::vector<int> merged;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto found = i + 1 < parts.size() ? merges_.find({parts[i], parts[i + 1]}) : merges_.end();
        const bool hit = found != merges_.end() && found->second == best;
        merged.push_back(hit ? best : parts[i]);
        i += hit ? 1 : 0;
      }
      parts = std::move(merged);
    }
    return Ids(parts.begin(), parts.end());
  }

  int spare_ = 256;
  std::unordered_map<std::string, int> ids_;  // a byte's id is its value
  std::map<std::pair<int, int>, int> merges_;
  std::unordered_map<std::string, Ids> cache_;
  std::uint16_t end_of_text_ = 0;
};

struct Row {
  Ids tokens;
  Ids labels;
  int documents = 0;
};

// Best fit over a few open rows; the fullest one is written when nothing fits.
class Packer {
 public:
  Packer(std::size_t row_length, std::uint16_t padding) : length_(row_length), padding_(padding) {}

  void Add(const Ids& tokens, std::size_t prompt_tokens, int template_index) {
    Row* best = nullptr;
    for (Row& row : rows_) {
      if (row.tokens.size() + tokens.size() <= length_ && (best == nullptr || row.tokens.size() > best->tokens.size()))
        best = &row;
    }
    if (best == nullptr) {
      best = &*std::max_element(rows_.begin(), rows_.end(),
                                [](const Row& a, const Row& b) { return a.tokens.size() < b.tokens.size(); });
      Write(*best);
    }
    ++best->documents;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      best->tokens.push_back(tokens[i]);
      best->labels.push_back(
          static_cast<std::uint16_t>(template_index << 6 | best->documents << 1 | (i >= prompt_tokens ? 1 : 0)));
    }
  }

  void Flush() {
    for (Row& row : rows_) {
      if (!row.tokens.empty()) Write(row);
    }
  }

 private:
  void Write(Row& row) {
    row.tokens.resize(length_, padding_);
    row.labels.resize(length_, 0);
    if (std::fwrite(row.tokens.data(), 2, length_, stdout) + std::fwrite(row.labels.data(), 2, length_, stdout) !=
        2 * length_) {
      std::exit(0);  // the reader has gone: the normal end of a training run
    }
    row = Row{};
  }

  std::size_t length_;
  std::uint16_t padding_;
  std::vector<Row> rows_ = std::vector<Row>(48);
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fputs("usage: tinymath_pack MERGES test|train SEED COUNT ROW > rows\n", stderr);
    return 2;
  }
  namespace tm = moecap::tinymath;
  Tokenizer tokenizer(argv[1]);
  const auto split = std::string_view(argv[2]) == "test" ? tm::Split::kTest : tm::Split::kTrain;
  const std::uint64_t seed = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t count = std::strtoull(argv[4], nullptr, 10);
  Packer packer(std::strtoull(argv[5], nullptr, 10), tokenizer.end_of_text());
  std::map<std::string_view, int> template_index;
  for (int i = 0; i < tm::TemplateCount(); ++i) template_index[tm::TemplateId(i)] = i;
  Ids tokens;
  for (std::uint64_t i = 0; count == 0 || i < count; ++i) {
    const tm::Problem problem = tm::MakeProblem(split, seed, i);
    tokens.clear();
    tokenizer.Append("Question: " + problem.question + "\nAnswer:", tokens);
    const std::size_t prompt_tokens = tokens.size();
    tokenizer.Append(" " + problem.answer, tokens);
    tokens.push_back(tokenizer.end_of_text());
    packer.Add(tokens, prompt_tokens, template_index.at(problem.template_id));
  }
  packer.Flush();
  return 0;
}
