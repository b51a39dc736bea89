#include "accuracy/math_verify.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "accuracy/boxed.h"
#include "accuracy/math_parse.h"
#include "accuracy/regex.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

struct Formula {
  size_t begin = 0, end = 0;  // with its delimiters
  std::string text;           // without
};

bool IsEscaped(std::string_view text, size_t at) {
  size_t backslashes = 0;
  while (backslashes < at && text[at - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

// The next position of `mark` that no backslash escapes.
size_t FindMark(std::string_view text, std::string_view mark, size_t from) {
  size_t at = text.find(mark, from);
  while (at != text.npos && mark[0] == '$' && IsEscaped(text, at)) at = text.find(mark, at + 1);
  return at;
}

// Behind "{5}", "{-1.5}" or "{3,2}" at `at`; npos where there is nothing of the kind.
size_t EndOfBracedNumber(std::string_view text, size_t at) {
  const auto digits_from = [&](size_t from) {
    while (from < text.size() && IsDigit(text[from])) ++from;
    return from;
  };
  if (at >= text.size() || text[at] != '{') return text.npos;
  const size_t begin = at + (text.substr(at + 1).starts_with('-') ? 2 : 1);
  size_t end = digits_from(begin);
  if (end == begin) return text.npos;
  if (end < text.size() && (text[end] == '.' || text[end] == ',')) {
    const size_t decimals = digits_from(end + 1);
    if (decimals == end + 1) return text.npos;
    end = decimals;
  }
  return end < text.size() && text[end] == '}' ? end + 1 : text.npos;
}

// Behind a bare fraction of two numbers, `\frac{3}{4}`, at `at`, or npos.
size_t EndOfBareFraction(std::string_view text, size_t at) {
  constexpr std::string_view kFraction = "\\frac";
  if (!text.substr(at).starts_with(kFraction)) return text.npos;
  const size_t numerator = EndOfBracedNumber(text, at + kFraction.size());
  return numerator == text.npos ? text.npos : EndOfBracedNumber(text, numerator);
}

// $...$, $$...$$, \(...\), \[...\] and bare fractions from left to right; a formula in one dollar ends on its line and does not
// begin behind a digit ("5$").
std::vector<Formula> Formulas(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kDelimiters{
      {{"$$", "$$"}, {"\\[", "\\]"}, {"\\(", "\\)"}, {"$", "$"}}};
  std::array<bool, 4> closes{true, true, true, true};
  std::vector<Formula> formulas;
  size_t line_end = 0;
  for (size_t at = text.find_first_of("$\\"); at != text.npos; at = text.find_first_of("$\\", at)) {
    const auto opens = std::find_if(kDelimiters.begin(), kDelimiters.end(),
                                    [&](const auto& pair) { return text.substr(at).starts_with(pair.first); });
    const auto which = static_cast<size_t>(opens - kDelimiters.begin());
    if (const size_t end = opens == kDelimiters.end() ? EndOfBareFraction(text, at) : text.npos; end != text.npos) {
      const size_t begin = at > 0 && text[at - 1] == '-' ? at - 1 : at;
      formulas.push_back({begin, end, std::string(text.substr(begin, end - begin))});
      at = end;
      continue;
    }
    const bool behind_digit = at > 0 && IsDigit(text[at - 1]) && opens != kDelimiters.end() && opens->first == "$";
    if (opens == kDelimiters.end() || IsEscaped(text, at) || behind_digit || !closes[which]) {
      ++at;
      continue;
    }
    const size_t inside = at + opens->first.size();
    const bool on_line = opens->first == "$";
    if (line_end < inside) line_end = std::min(text.find('\n', inside), text.size());
    const size_t limit = on_line ? line_end : text.size();
    const size_t end = FindMark(text.substr(0, limit), opens->second, inside);
    if (end == text.npos) {
      closes[which] = on_line;  // else there is no end further on, either
      at = on_line ? limit : inside;
    } else {
      if (end > inside) formulas.push_back({at, end + opens->second.size(), std::string(text.substr(inside, end - inside))});
      at = end + opens->second.size();
    }
  }
  return formulas;
}

// A place in a reply that may hold its answer.
struct Candidate {
  size_t begin = 0, end = 0;
  std::string text;
};

// Formulas that follow each other with "and", "or" or a comma between them, from `first` on, as one; `*last` is the last of
// them.
Candidate Chain(std::string_view text, const std::vector<Formula>& formulas, size_t first, size_t* last) {
  constexpr size_t kMost = 6;
  Candidate chain{formulas[first].begin, formulas[first].end, formulas[first].text};
  for (*last = first; *last + 1 < formulas.size() && *last + 1 < first + kMost; ++*last) {
    const Formula& next = formulas[*last + 1];
    const std::string_view between = Strip(text.substr(chain.end, next.begin - chain.end));
    if (between != "and" && between != "or" && between != "," && between != ",and" && between != ",or") break;
    chain.text += ", " + next.text;
    chain.end = next.end;
  }
  return chain;
}

// Formulas are tried from the last on; no reply needs more.
constexpr size_t kMostTried = 64;

// The formulas that `words`, which end right before them, announce and that `after` follows.
void AddAnnounced(std::string_view text, const std::vector<Formula>& formulas, const Regex& words, std::string_view after,
                  std::vector<Candidate>& candidates, bool* gave_up) {
  constexpr size_t kBefore = 200;
  for (size_t i = formulas.size() - std::min(formulas.size(), kMostTried); i < formulas.size(); ++i) {
    // Words that an earlier formula follows announce that one.
    const size_t earlier = i > 0 ? formulas[i - 1].end : 0;
    const size_t begin = std::max(earlier, formulas[i].begin - std::min(formulas[i].begin, kBefore));
    const auto said = words.Search(text.substr(begin, formulas[i].begin - begin), 0, gave_up);
    if (!said) continue;
    size_t last = i;
    Candidate chain = Chain(text, formulas, i, &last);
    chain.begin = begin + said->begin;
    std::string_view rest = text.substr(chain.end);
    if (rest.starts_with('.')) rest.remove_prefix(1);
    if (after.empty() || StripLeft(rest).starts_with(after)) candidates.push_back(std::move(chain));
  }
}

void AddChains(std::string_view text, const std::vector<Formula>& formulas, bool boxed, std::vector<Candidate>& candidates) {
  for (size_t i = formulas.size() - std::min(formulas.size(), kMostTried); i < formulas.size(); ++i) {
    size_t last = i;
    Candidate chain = Chain(text, formulas, i, &last);
    if (!boxed || chain.text.find("\\boxed{") != std::string::npos) candidates.push_back(std::move(chain));
    i = last;
  }
}

// The last number or arithmetic that a pattern finds.
void AddLast(std::string_view text, const Regex& pattern, std::vector<Candidate>& candidates, bool* gave_up) {
  std::optional<Candidate> last;
  for (const Regex::Match& match : pattern.FindIter(text, gave_up))
    last = {match.begin, match.end, std::string(match.Chosen())};
  if (!last) return;
  // "3,5" is a decimal; "1,000" and "1 000" are grouped.
  static const Regex decimal_comma("^-?\\d+,(\\d{1,2}|\\d{4,})$");
  if (decimal_comma.Search(last->text)) Replace(last->text, ",", ".");
  if (last->text.find_first_not_of("0123456789 -") == std::string::npos) Replace(last->text, " ", "");
  candidates.push_back(std::move(*last));
}

#define MOECAP_NUMBER \
  "(?:^|[\\s=])(?:\\*\\*)?[$\u20ac\u00a3]?(-?[1-9]\\d{0,2}(?:[ ,]\\d{3})+(?:\\.\\d+)?|-?\\d+[.,]\\d+|\\.\\d+|-?\\d+)"
#define MOECAP_ARITHMETIC \
  "(?:^|[\\s=])(?:\\*\\*)?(-?\\(?-?\\d[\\d.\\s+*/^()-]{0,60}[+*/^()-][\\d.\\s+*/^()-]{1,60}\\)?)(?:\\*\\*)?(?:[.,:\\s)$]|$)"
#define MOECAP_EITHER "(?:" MOECAP_ARITHMETIC "|" MOECAP_NUMBER ")"

// The places of one rank, those that end last first.
std::vector<Candidate> Ranked(std::string_view text, const std::vector<Formula>& formulas, int rank, bool* gave_up) {
  static const Regex final_is("(?is)final answer is:?\\s*\\z"), final_answer("(?is)final answer.{0,100}?\\s+is:?\\s*\\z"),
      labelled("(?is)answer:.{0,50}\\z"), mentioned("(?is)answer.{0,50}\\z");
  // Formulas may stand on the line behind their announcement, numbers may not.
  static const std::array<Regex, 4> numbers{Regex("(?i)final answer is:?\\s*" MOECAP_EITHER "\\.?\\s?I hope"),
                                            Regex("(?i)final answer.{0,100}?\\s+is:?" MOECAP_EITHER),
                                            Regex("(?i)answer:(?:.{0,100}=\\s*|.{0,50}?)" MOECAP_EITHER "(?!\\s*=)"),
                                            Regex("(?i)answer(?:.{0,100}=\\s*|.{0,50}?)" MOECAP_EITHER "(?!\\s*=)")};
  static const Regex arithmetic(MOECAP_ARITHMETIC), number(MOECAP_NUMBER);
  std::vector<Candidate> candidates;
  if (rank == 0) AddAnnounced(text, formulas, final_is, "I hope", candidates, gave_up);
  if (rank == 1) {
    AddAnnounced(text, formulas, final_answer, "", candidates, gave_up);
    AddChains(text, formulas, true, candidates);
    const size_t box = text.find("\\boxed{"), brace = text.rfind('}');
    if (auto boxed = LastBoxed(text); boxed && box != text.npos && brace != text.npos)
      candidates.push_back({box, brace + 1, *boxed});
  }
  if (rank == 2) AddAnnounced(text, formulas, labelled, "", candidates, gave_up);
  if (rank == 3) AddAnnounced(text, formulas, mentioned, "", candidates, gave_up);
  if (rank == 4) {
    AddChains(text, formulas, false, candidates);
    AddLast(text, arithmetic, candidates, gave_up);
    AddLast(text, number, candidates, gave_up);
  } else {
    AddLast(text, numbers[static_cast<size_t>(rank)], candidates, gave_up);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.end != b.end ? a.end > b.end : a.begin < b.begin; });
  return candidates;
}

// The same answer in fewer ways: no small negative space, no braces around a comma, no full stop.
std::string Prepared(std::string_view answer) {
  std::string text = Replaced(Replaced(answer, ",\\! ", ","), "{,}", ",");
  Replace(text, "\\!", "");
  Replace(text, "\\left", "");
  Replace(text, "\\right", "");
  std::string_view stripped = Strip(text);
  while (stripped.size() > 1 && (stripped.ends_with(',') || stripped.ends_with('.')))
    stripped = Strip(stripped.substr(0, stripped.size() - 1));
  return std::string(stripped);
}

}  // namespace

std::vector<std::string> AnswerCandidates(std::string_view reply, bool* gave_up) {
  constexpr int kRanks = 5;
  const std::vector<Formula> formulas = Formulas(reply);
  std::vector<std::string> texts;
  for (int rank = 0; rank < kRanks; ++rank) {
    for (Candidate& candidate : Ranked(reply, formulas, rank, gave_up)) texts.push_back(std::move(candidate.text));
  }
  return texts;
}

bool MathVerifyEqual(std::string_view gold, std::string_view answer, bool* gave_up) {
  const std::string prepared_gold = Prepared(gold), prepared_answer = Prepared(answer);
  if (!prepared_gold.empty() && prepared_gold == prepared_answer) return true;
  const auto gold_expr = math::Parse(prepared_gold, math::Dialect::kAnswer, gave_up);
  const auto answer_expr = math::Parse(prepared_answer, math::Dialect::kAnswer, gave_up);
  return gold_expr && answer_expr && math::SameAnswer(*gold_expr, *answer_expr, gave_up);
}

bool MathVerifyReply(std::string_view gold, std::string_view reply, std::string* found, bool* gave_up) {
  const std::vector<std::string> candidates = AnswerCandidates(reply, gave_up);
  found->clear();
  for (const std::string& candidate : candidates) {
    if (!math::Parse(Prepared(candidate), math::Dialect::kAnswer, gave_up)) continue;
    *found = candidate;
    break;
  }
  if (found->empty() && !candidates.empty()) *found = candidates.front();
  return !found->empty() && MathVerifyEqual(gold, *found, gave_up);
}

}  // namespace moecap::accuracy
