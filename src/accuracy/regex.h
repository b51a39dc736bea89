// Regular expressions (PCRE2) with the meaning that Python's `re` gives them on str, for which the scorers' patterns are
// written: Unicode classes (`\d`, `\w`, `\s`, `\b`), `.` stops at "\n" only, `$` also matches before a last "\n".
//
// Every search has a limit (kMatchLimit steps from one start); where it is reached the text counts as not matching and
// `*gave_up` becomes true, so that an answer cannot stop a run. `gave_up` may be null. Invalid UTF-8 matches nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moecap::accuracy {

inline constexpr uint32_t kMatchLimit = 1'000'000;

// A compiled pattern. Named groups and flags inside the pattern, "(?im)", as in Python.
class Regex {
 public:
  // A constant of the scorers: one that does not compile is a bug (CHECK).
  explicit Regex(std::string_view pattern);
  // Of a data set. Null when it is no regular expression.
  static std::optional<Regex> OfData(std::string_view pattern, bool ignore_case);

  struct Match {
    size_t begin = 0, end = 0;             // bytes of the text
    std::vector<std::string_view> groups;  // 0 is the whole; data() is null for a group that took no part

    // What lm-evaluation-harness takes of a match: the first group that is not empty, the whole without groups.
    std::string_view Chosen() const;
  };

  // As Python's `search(text, from)`.
  std::optional<Match> Search(std::string_view text, size_t from = 0, bool* gave_up = nullptr) const;

  // As Python's `finditer`: leftmost, not overlapping, empty matches included. A search that gives up ends the list.
  std::vector<Match> FindIter(std::string_view text, bool* gave_up = nullptr) const;

  // As Python's `findall` read by lm-evaluation-harness: Chosen() of each match.
  std::vector<std::string> FindAll(std::string_view text, bool* gave_up = nullptr) const;
  std::optional<std::string> FindFirst(std::string_view text, bool* gave_up = nullptr) const;
  std::optional<std::string> FindLast(std::string_view text, bool* gave_up = nullptr) const;

  // Calls `visit` with Chosen() of each match. False when a search gave up; what was visited is then incomplete.
  bool ForEach(std::string_view text, const std::function<void(std::string_view)>& visit) const;
  std::optional<int64_t> Count(std::string_view text) const;  // of matches; null when a search gave up

  // As Python's `re.sub(pattern, replacement, text)`, the replacement taken literally.
  std::string ReplaceAll(std::string_view text, std::string_view replacement, bool* gave_up = nullptr) const;
  std::string RemoveAll(std::string_view text, bool* gave_up = nullptr) const { return ReplaceAll(text, "", gave_up); }

 private:
  struct CodeDeleter {
    void operator()(void* code) const;
  };
  using Code = std::unique_ptr<void, CodeDeleter>;
  explicit Regex(Code code) : code_(std::move(code)) {}
  static Code Compile(std::string_view pattern, uint32_t more_options);
  template <typename Visit>
  void ForEachMatch(std::string_view text, size_t from, bool* gave_up, Visit visit) const;

  Code code_;
};

}  // namespace moecap::accuracy
