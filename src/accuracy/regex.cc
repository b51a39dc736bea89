#include "accuracy/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "base/check.h"

namespace moecap::accuracy {
namespace {

constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using MatchContext = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;
using CompileContext = std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)>;

std::string_view Group(std::string_view text, const size_t* offsets, uint32_t group) {
  if (offsets[2 * group] == PCRE2_UNSET) return {};
  return text.substr(offsets[2 * group], offsets[2 * group + 1] - offsets[2 * group]);
}

// The first group that is not empty, the whole without groups.
std::string_view ChosenGroup(std::string_view text, const size_t* offsets, uint32_t count) {
  std::string_view chosen;
  for (uint32_t group = count > 1 ? 1 : 0; group < count && chosen.empty(); ++group) chosen = Group(text, offsets, group);
  return chosen;
}

}  // namespace

void Regex::CodeDeleter::operator()(void* code) const { pcre2_code_free(static_cast<pcre2_code*>(code)); }

Regex::Code Regex::Compile(std::string_view pattern, uint32_t more_options) {
  const CompileContext context(pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions | more_options,
                                   &error, &offset, context.get());
  // Without just-in-time code everything works, only more slowly.
  if (code != nullptr) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return Code(code);
}

Regex::Regex(std::string_view pattern) : code_(Compile(pattern, 0)) { CHECK(code_ != nullptr); }

std::optional<Regex> Regex::OfData(std::string_view pattern, bool ignore_case) {
  Code code = Compile(pattern, ignore_case ? PCRE2_CASELESS : 0);
  if (code == nullptr) return std::nullopt;
  return Regex(std::move(code));
}

// Calls `visit(offsets, group_count)` for each match until it returns false.
template <typename Visit>
void Regex::ForEachMatch(std::string_view text, size_t from, bool* gave_up, Visit visit) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr), &pcre2_match_data_free);
  const MatchContext context(pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  size_t start = from;
  uint32_t options = 0;
  while (start <= text.size()) {
    const auto search = [&](uint32_t more) {
      return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start, options | more, match.get(),
                         context.get());
    };
    int groups = search(0);
    if (groups == PCRE2_ERROR_JIT_STACKLIMIT) groups = search(PCRE2_NO_JIT);
    if (groups < 0) {
      if (groups != PCRE2_ERROR_NOMATCH && gave_up != nullptr) *gave_up = true;
      return;
    }
    const size_t* offsets = pcre2_get_ovector_pointer(match.get());
    if (!visit(offsets, pcre2_get_ovector_count(match.get()))) return;
    start = std::max(offsets[1], start);
    options = offsets[0] == offsets[1] ? PCRE2_NOTEMPTY_ATSTART : 0;
  }
}

std::string_view Regex::Match::Chosen() const {
  for (size_t group = 1; group < groups.size(); ++group) {
    if (!groups[group].empty()) return groups[group];
  }
  return groups.size() > 1 ? std::string_view() : groups[0];
}

namespace {

Regex::Match MakeMatch(std::string_view text, const size_t* offsets, uint32_t count) {
  Regex::Match match{offsets[0], offsets[1], {}};
  for (uint32_t group = 0; group < count; ++group) match.groups.push_back(Group(text, offsets, group));
  return match;
}

}  // namespace

std::optional<Regex::Match> Regex::Search(std::string_view text, size_t from, bool* gave_up) const {
  std::optional<Match> found;
  ForEachMatch(text, from, gave_up, [&](const size_t* offsets, uint32_t count) {
    found = MakeMatch(text, offsets, count);
    return false;
  });
  return found;
}

std::vector<Regex::Match> Regex::FindIter(std::string_view text, bool* gave_up) const {
  std::vector<Match> found;
  ForEachMatch(text, 0, gave_up, [&](const size_t* offsets, uint32_t count) {
    found.push_back(MakeMatch(text, offsets, count));
    return true;
  });
  return found;
}

std::vector<std::string> Regex::FindAll(std::string_view text, bool* gave_up) const {
  std::vector<std::string> found;
  ForEachMatch(text, 0, gave_up, [&](const size_t* offsets, uint32_t count) {
    found.emplace_back(ChosenGroup(text, offsets, count));
    return true;
  });
  return found;
}

std::optional<std::string> Regex::FindFirst(std::string_view text, bool* gave_up) const {
  std::optional<std::string> found;
  ForEachMatch(text, 0, gave_up, [&](const size_t* offsets, uint32_t count) {
    found = std::string(ChosenGroup(text, offsets, count));
    return false;
  });
  return found;
}

std::optional<std::string> Regex::FindLast(std::string_view text, bool* gave_up) const {
  std::optional<std::string_view> last;
  ForEachMatch(text, 0, gave_up, [&](const size_t* offsets, uint32_t count) {
    last = ChosenGroup(text, offsets, count);
    return true;
  });
  return last ? std::optional(std::string(*last)) : std::nullopt;
}

bool Regex::ForEach(std::string_view text, const std::function<void(std::string_view)>& visit) const {
  bool gave_up = false;
  ForEachMatch(text, 0, &gave_up, [&](const size_t* offsets, uint32_t count) {
    visit(ChosenGroup(text, offsets, count));
    return true;
  });
  return !gave_up;
}

std::optional<int64_t> Regex::Count(std::string_view text) const {
  int64_t count = 0;
  if (!ForEach(text, [&](std::string_view) { ++count; })) return std::nullopt;
  return count;
}

std::string Regex::ReplaceAll(std::string_view text, std::string_view replacement, bool* gave_up) const {
  std::string changed;
  size_t end_of_last = 0;
  ForEachMatch(text, 0, gave_up, [&](const size_t* offsets, uint32_t) {
    changed += text.substr(end_of_last, offsets[0] - end_of_last);
    changed += replacement;
    end_of_last = offsets[1];
    return true;
  });
  changed += text.substr(end_of_last);
  return changed;
}

}  // namespace moecap::accuracy
