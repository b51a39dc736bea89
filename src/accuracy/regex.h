// Perl-compatible regular expressions (PCRE2) for the scorers' patterns, which the field writes for Python's `re`.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::accuracy {

// A compiled pattern. The patterns are constants of the scorers, so one that does not compile is a bug (CHECK).
class Regex {
 public:
  explicit Regex(std::string_view pattern);

  // As Python's `findall` read by lm-evaluation-harness: per match the first non-empty group, or the whole match when the
  // pattern has no groups.
  std::vector<std::string> FindAll(std::string_view text) const;

  // As Python's `re.sub(pattern, "", text)`.
  std::string RemoveAll(std::string_view text) const;

 private:
  struct CodeDeleter {
    void operator()(void* code) const;
  };
  std::unique_ptr<void, CodeDeleter> code_;
};

}  // namespace moecap::accuracy
