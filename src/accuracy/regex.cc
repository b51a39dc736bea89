#include "accuracy/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <functional>

#include "base/check.h"

namespace moecap::accuracy {
namespace {

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

// Calls `visit(offsets, group_count)` for each non-overlapping match from left to right, empty matches included.
void ForEachMatch(const pcre2_code* code, std::string_view text, const std::function<void(const size_t*, uint32_t)>& visit) {
  const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr), &pcre2_match_data_free);
  size_t start = 0;
  while (start <= text.size()) {
    const int groups =
        pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start, 0, match.get(), nullptr);
    if (groups < 0) return;  // no further match; a resource limit counts as no match too
    const size_t* offsets = pcre2_get_ovector_pointer(match.get());
    visit(offsets, pcre2_get_ovector_count(match.get()));
    start = offsets[1] > offsets[0] ? offsets[1] : offsets[1] + 1;
  }
}

}  // namespace

void Regex::CodeDeleter::operator()(void* code) const { pcre2_code_free(static_cast<pcre2_code*>(code)); }

Regex::Regex(std::string_view pattern) {
  int error = 0;
  size_t offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), 0, &error, &offset, nullptr));
  CHECK(code_ != nullptr);
}

std::vector<std::string> Regex::FindAll(std::string_view text) const {
  std::vector<std::string> found;
  ForEachMatch(static_cast<pcre2_code*>(code_.get()), text, [&](const size_t* offsets, uint32_t count) {
    std::string_view chosen;
    for (uint32_t group = count > 1 ? 1 : 0; group < count && chosen.empty(); ++group) {
      if (offsets[2 * group] == PCRE2_UNSET) continue;
      chosen = text.substr(offsets[2 * group], offsets[2 * group + 1] - offsets[2 * group]);
    }
    found.emplace_back(chosen);
  });
  return found;
}

std::string Regex::RemoveAll(std::string_view text) const {
  std::string kept;
  size_t end_of_last = 0;
  ForEachMatch(static_cast<pcre2_code*>(code_.get()), text, [&](const size_t* offsets, uint32_t) {
    kept += text.substr(end_of_last, offsets[0] - end_of_last);
    end_of_last = offsets[1];
  });
  kept += text.substr(end_of_last);
  return kept;
}

}  // namespace moecap::accuracy
