#include "accuracy/prm800k.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "accuracy/hendrycks.h"
#include "accuracy/latex_text.h"
#include "accuracy/math_equal.h"
#include "accuracy/math_parse.h"
#include "accuracy/regex.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

// Inside of a text that is one `\text{...}` of one line, ended by its last brace.
std::optional<std::string_view> WholeText(std::string_view text) {
  constexpr std::string_view kOpening = "\\text{";
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (!text.starts_with(kOpening) || !text.ends_with('}') || text.find('\n') != text.npos) return std::nullopt;
  const std::string_view inside = text.substr(kOpening.size(), text.size() - kOpening.size() - 1);
  return inside.empty() ? std::nullopt : std::optional(inside);
}

std::string HendrycksForm(std::string_view answer) {
  std::string_view text = Strip(answer);
  if (const auto inside = WholeText(text)) text = Strip(*inside);
  return HendrycksNormalised(text, HendrycksVariant::kOriginal).value_or(std::string(text));
}

// "1,234,567" -> "1234567": commas with three digits behind them and no more.
std::string WithoutThousands(std::string text) {
  static const Regex group("(\\d)(,)(\\d\\d\\d)(?=$|\\D)");
  for (;;) {
    std::string next;
    size_t end = 0;
    for (const Regex::Match& match : group.FindIter(text)) {
      next.append(text, end, match.begin - end);
      next.append(match.groups[1]).append(match.groups[3]);
      end = match.end;
    }
    if (end == 0) return text;
    text = next.append(text, end);
  }
}

// What Python's float() takes, of finite decimals.
std::optional<double> Float(std::string_view text) {
  text = Strip(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool IsWhole(double value) { return std::abs(value - std::nearbyint(value)) <= 1e-7; }

// The integer that a number as good as whole stands for; digits that a double does not hold are kept.
std::string IntegerText(std::string_view text, double value) {
  std::string_view digits = Strip(text);
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  const std::string_view whole = digits.substr(0, digits.find('.'));
  const std::string_view part = digits.substr(std::min(whole.size() + 1, digits.size()));
  const auto are_digits = [](std::string_view s) { return std::all_of(s.begin(), s.end(), IsDigit); };
  if (!whole.empty() && are_digits(whole) && part.find_first_not_of('0') == part.npos) {
    const std::string_view significant = whole.substr(std::min(whole.find_first_not_of('0'), whole.size()));
    if (significant.empty()) return "0";
    return (negative ? "-" : "") + std::string(significant);
  }
  std::string number = std::to_string(std::nearbyint(value));
  number.resize(number.find('.'));
  return number == "-0" ? "0" : number;
}

bool IsIntegerText(const std::string& text) {
  const std::optional<double> value = Float(WithoutThousands(text));
  return value && IsWhole(*value);
}

constexpr std::array<std::pair<const char*, const char*>, 9> kWords{{{"\\%", "%"},
                                                                     {"\\$", "$"},
                                                                     {"$", ""},
                                                                     {"%", ""},
                                                                     {" or ", " , "},
                                                                     {" and ", " , "},
                                                                     {"million", "*10^6"},
                                                                     {"billion", "*10^9"},
                                                                     {"trillion", "*10^12"}}};

std::string WithoutUnits(std::string text) {
  static const std::vector<Regex> units = [] {
    std::vector<Regex> patterns;
    for (const char* unit : {"degree", "cm", "centimeter", "meter", "mile", "second", "minute", "hour", "day", "week", "month",
                             "year", "foot", "feet", "inch", "yard"})
      patterns.emplace_back(std::string(unit) + "(es)?(s)? *(\\^[0-9]+)?");
    patterns.emplace_back("\\^ *\\\\circ");
    return patterns;
  }();
  for (const Regex& unit : units) text = unit.RemoveAll(text);
  return text;
}

std::string PlainText(std::string_view latex) {
  std::string text = Replaced(Replaced(latex, "\\tfrac", "\\frac"), "\\dfrac", "\\frac");
  Replace(text, "\\frac", " \\frac");
  text = LatexAsText(text);
  for (const auto& [sign, name] : {std::pair{"√", "sqrt"}, {"π", "pi"}, {"∞", "inf"}, {"∪", "U"}, {"·", "*"}, {"×", "*"}})
    Replace(text, sign, name);
  return std::string(Strip(text));
}

std::string Normalised(std::string_view answer) {
  static const Regex comma(",\\\\! *"), minus("- *"), mixed("([0-9]) +(?=[0-9])");
  std::string text(answer);
  if (const auto inside = WholeText(text)) text = std::string(*inside);
  for (const auto& [from, to] : kWords) Replace(text, from, to);
  text = WithoutUnits(std::move(text));
  if (text.size() > 1 && text.front() == '{' && text.back() == '}') text = text.substr(1, text.size() - 2);
  text = comma.RemoveAll(text);
  if (const auto value = Float(text); value && IsWhole(*value)) text = IntegerText(text, *value);
  if (text.find('\\') != std::string::npos) text = PlainText(text);
  text = minus.ReplaceAll(text, "-");
  std::string with_plus;
  size_t end = 0;
  for (const Regex::Match& match : mixed.FindIter(text)) {
    with_plus.append(text, end, match.begin - end).append(match.groups[1]).append("+");
    end = match.end;
  }
  text = with_plus.append(text, end);
  for (const char* removed : {" ", "{", "}"}) Replace(text, removed, "");
  text = LowerCase(text);
  if (IsIntegerText(text)) {
    const std::string digits = Replaced(text, ",", "");
    text = IntegerText(digits, Float(digits).value_or(0));
  }
  return text;
}

std::vector<std::string> Elements(const std::string& answer) {
  constexpr std::string_view kBrackets = "()[]";
  const std::string text = WithoutThousands(answer);
  const auto is_bracket = [&](char c) { return kBrackets.find(c) != kBrackets.npos; };
  if (text.empty()) return {};
  const std::string_view inside = text.size() > 2 ? std::string_view(text).substr(1, text.size() - 2) : std::string_view();
  if (inside.empty() || !is_bracket(text.front()) || !is_bracket(text.back()) ||
      std::any_of(inside.begin(), inside.end(), is_bracket))
    return {text};
  std::vector<std::string> elements;
  for (size_t begin = 0; begin <= inside.size();) {
    const size_t comma = std::min(inside.find(',', begin), inside.size());
    elements.emplace_back(Strip(inside.substr(begin, comma - begin)));
    begin = comma + 1;
  }
  return elements;
}

// Of at most two letters and without the powers that make a computer algebra system hang.
bool MayEvaluate(const std::string& both) {
  static const Regex powers("\\^[0-9]+\\^|\\^[0-9][0-9]+");
  std::string letters = Replaced(Replaced(both, "sqrt", ""), "frac", "");
  std::set<std::string> known;
  for (size_t at = 0; at < letters.size() && known.size() <= 2;) {
    const size_t size = FirstCharacterSize(std::string_view(letters).substr(at));
    if (size > 1 || IsLetter(letters[at])) known.insert(letters.substr(at, size));
    at += size;
  }
  return known.size() <= 2 && both.find("^{") == std::string::npos && both.find("^(") == std::string::npos &&
         !powers.Search(both);
}

bool SameElement(const std::string& truth, const std::string& given, bool* gave_up) {
  static const Regex fraction("^-?[0-9]+.?/0*[1-9][0-9]*.?$");
  if (fraction.Search(truth) && fraction.Search(given)) return truth == given;
  if (IsIntegerText(truth) != IsIntegerText(given)) return false;
  if (!MayEvaluate("(" + truth + ")-(" + given + ")")) return false;
  const auto a = math::Parse(truth, math::Dialect::kSympyPlain, gave_up);
  const auto b = math::Parse(given, math::Dialect::kSympyPlain, gave_up);
  if (!a || !b || a->kind == math::Kind::kRelation || b->kind == math::Kind::kRelation) return false;
  return math::SameValue(*a, *b, math::Domain::kComplex);
}

}  // namespace

bool Prm800kEqual(std::string_view given_answer, std::string_view true_answer, bool* gave_up) {
  if (HendrycksForm(true_answer) == HendrycksForm(given_answer)) return true;
  const std::string truth = Normalised(true_answer), given = Normalised(given_answer);
  if (truth == given) return true;
  if (given.empty()) return false;
  const std::vector<std::string> truths = Elements(truth), givens = Elements(given);
  if (truths.size() > 1 && (truth.front() != given.front() || truth.back() != given.back())) return false;
  if (truths.empty() || truths.size() != givens.size()) return false;
  for (size_t i = 0; i < truths.size(); ++i) {
    if (!SameElement(truths[i], givens[i], gave_up)) return false;
  }
  return true;
}

}  // namespace moecap::accuracy
