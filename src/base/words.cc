#include "base/words.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace moecap {
namespace {

constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+";
constexpr std::string_view kBlanks = " \t\n";
constexpr std::string_view kOperators = "|&;<>()`$";
constexpr std::string_view kEscapedInQuotes = "\"\\$`\n";

Error NeedsShell(char c) {
  return BadInput(fmt::format(
      "\"{}\" means something to a shell, and there is none; quote it, or start one: [sh, -c, 'exec COMMAND ...']", c));
}

class Splitter {
 public:
  explicit Splitter(std::string_view line) : line_(line) {}

  Result<std::vector<std::string>> Split() {
    while (at_ < line_.size()) RETURN_IF_ERROR(Take(line_[at_++]));
    EndWord();
    return std::move(words_);
  }

 private:
  Status Take(char c) {
    if (kBlanks.find(c) != std::string_view::npos) {
      EndWord();
      return {};
    }
    if (c == '\'') return TakeSingleQuoted();
    if (c == '"') return TakeDoubleQuoted();
    if (c == '\\') return TakeEscaped();
    if (kOperators.find(c) != std::string_view::npos || (c == '~' && !word_)) return NeedsShell(c);
    Word() += c;
    return {};
  }

  Status TakeSingleQuoted() {
    const size_t end = line_.find('\'', at_);
    if (end == std::string_view::npos) return BadInput("a single quote is not closed");
    Word() += line_.substr(at_, end - at_);
    at_ = end + 1;
    return {};
  }

  Status TakeDoubleQuoted() {
    std::string& word = Word();
    for (; at_ < line_.size(); ++at_) {
      const char c = line_[at_];
      if (c == '"') {
        ++at_;
        return {};
      }
      if (c == '$' || c == '`') return NeedsShell(c);
      const bool escapes =
          c == '\\' && at_ + 1 < line_.size() && kEscapedInQuotes.find(line_[at_ + 1]) != std::string_view::npos;
      if (escapes) ++at_;
      if (!escapes || line_[at_] != '\n') word += line_[at_];
    }
    return BadInput("a double quote is not closed");
  }

  Status TakeEscaped() {
    if (at_ == line_.size()) return BadInput("a backslash at the end escapes nothing");
    const char c = line_[at_++];
    if (c != '\n') Word() += c;  // a continued line
    return {};
  }

  std::string& Word() { return word_ ? *word_ : word_.emplace(); }
  void EndWord() {
    if (word_) words_.push_back(std::move(*word_));
    word_.reset();
  }

  std::string_view line_;
  size_t at_ = 0;
  std::optional<std::string> word_;  // that goes on; null between words
  std::vector<std::string> words_;
};

}  // namespace

Result<std::vector<std::string>> SplitWords(std::string_view line) { return Splitter(line).Split(); }

size_t AssignmentName(std::string_view word) {
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  size_t length = 0;
  while (length < word.size() && (is_letter(word[length]) || (length > 0 && word[length] >= '0' && word[length] <= '9')))
    ++length;
  return length < word.size() && word[length] == '=' ? length : 0;
}

std::string ShellWord(std::string_view word) {
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string ShellLine(std::span<const std::string> words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + ShellWord(word);
  return line;
}

}  // namespace moecap
