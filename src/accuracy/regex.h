// Regular expressions (PCRE2) with the meaning that Python's `re` gives them on str, for which the scorers' patterns are
// written: Unicode classes (`\d`, `\w`, `\s`, `\b`), `.` stops at "\n" only, `$` also matches before a last "\n".
//
// Every search has a limit (kMatchLimit steps from one start); where it is reached the text counts as not matching and
// `*gave_up` becomes true, so that an answer cannot stop a run. `gave_up` may be null. Invalid UTF-8 matches nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::accuracy {

inline constexpr uint32_t kMatchLimit = 1'000'000;

// A compiled pattern. The patterns are constants of the scorers, so one that does not compile is a bug (CHECK). Named groups
// and flags inside the pattern, "(?im)", as in Python.
class Regex {
 public:
  explicit Regex(std::string_view pattern);

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

  // As Python's `re.sub(pattern, replacement, text)`, the replacement taken literally.
  std::string ReplaceAll(std::string_view text, std::string_view replacement, bool* gave_up = nullptr) const;
  std::string RemoveAll(std::string_view text, bool* gave_up = nullptr) const { return ReplaceAll(text, "", gave_up); }

 private:
  struct CodeDeleter {
    void operator()(void* code) const;
  };
  template <typename Visit>
  void ForEachMatch(std::string_view text, size_t from, bool* gave_up, Visit visit) const;

  std::unique_ptr<void, CodeDeleter> code_;
};

}  // namespace moecap::accuracy
