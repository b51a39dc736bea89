#include "accuracy/minerva.h"

#include <algorithm>
#include <array>
#include <utility>

#include "accuracy/math_equal.h"
#include "accuracy/math_parse.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

// In this order.
constexpr std::array<std::pair<const char*, const char*>, 10> kSubstitutions{{{"an ", ""},
                                                                              {"a ", ""},
                                                                              {".$", "$"},
                                                                              {"\\$", ""},
                                                                              {"\\ ", ""},
                                                                              {" ", ""},
                                                                              {"mbox", "text"},
                                                                              {",\\text{and}", ","},
                                                                              {"\\text{and}", ","},
                                                                              {"\\text{m}", "\\text{}"}}};
constexpr std::array kRemoved{"square",       "ways",
                              "integers",     "dollars",
                              "mph",          "inches",
                              "ft",           "hours",
                              "km",           "units",
                              "\\ldots",      "sue",
                              "points",       "feet",
                              "minutes",      "digits",
                              "cents",        "degrees",
                              "cm",           "gm",
                              "pounds",       "meters",
                              "meals",        "edges",
                              "students",     "childrentickets",
                              "multiples",    "\\text{s}",
                              "\\text{.}",    "\\text{\ns}",
                              "\\text{}^2",   "\\text{}^3",
                              "\\text{\n}",   "\\text{}",
                              "\\mathrm{th}", "^\\circ",
                              "^{\\circ}",    "\\;",
                              ",\\!",         "{,}",
                              "\"",           "\\dots"};

// In each line with two "$": what stands between the first two, with them.
std::string KeepMathematics(std::string_view text) {
  std::string kept;
  for (;;) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const size_t first = line.find('$'), second = first == line.npos ? first : line.find('$', first + 1);
    kept += second == line.npos ? line : line.substr(first, second - first + 1);
    if (end == text.size()) return kept;
    kept += '\n';
    text.remove_prefix(end + 1);
  }
}

enum class Brace { kNext, kLastOfLine };

// `\text{abc}` -> `abc`, the closing brace being the next one of the line, or its last.
std::string Unwrapped(std::string_view text, std::string_view opening, Brace which) {
  std::string kept;
  for (size_t begin = text.find(opening); begin != text.npos; begin = text.find(opening)) {
    const size_t inside = begin + opening.size();
    const size_t line_end = std::min(text.find('\n', inside), text.size());
    const std::string_view rest = text.substr(inside, line_end - inside);
    const size_t close = which == Brace::kNext ? rest.find('}') : rest.rfind('}');
    const size_t next = close == rest.npos ? line_end : inside + close + 1;
    kept += text.substr(0, begin);
    kept += close == rest.npos ? text.substr(begin, line_end - begin) : rest.substr(0, close);
    text.remove_prefix(next);
  }
  return kept + std::string(text);
}

// `frac12` -> `frac{1}{2}`, `sqrt3` -> `sqrt{3}`: as many characters as the name takes arguments.
std::string Braced(std::string_view text, std::string_view name, int arguments) {
  std::string braced;
  for (size_t at = text.find(name); at != text.npos; at = text.find(name)) {
    braced += text.substr(0, at + name.size());
    text.remove_prefix(at + name.size());
    const size_t first = FirstCharacterSize(text), second = FirstCharacterSize(text.substr(first));
    if (first == 0 || text[0] == '{') continue;
    if (arguments == 2 && (second == 0 || text[first] == '\n')) continue;
    braced += "{" + std::string(text.substr(0, first)) + "}";
    if (arguments == 2) braced += "{" + std::string(text.substr(first, second)) + "}";
    text.remove_prefix(arguments == 2 ? first + second : first);
  }
  return braced + std::string(text);
}

bool IsInfinite(const math::Expr& expr) {
  return (expr.kind == math::Kind::kConstant && expr.name == "infinity") ||
         std::any_of(expr.parts.begin(), expr.parts.end(), IsInfinite);
}

}  // namespace

std::string MinervaNormalised(std::string_view answer) {
  std::string text(answer.substr(answer.rfind('=') + 1));
  for (const auto& [from, to] : kSubstitutions) Replace(text, from, to);
  for (const char* removed : kRemoved) Replace(text, removed, "");
  text = KeepMathematics(text);
  for (const char* opening : {"\\text{", "\\textbf{", "\\overline{"}) text = Unwrapped(text, opening, Brace::kNext);
  text = Unwrapped(text, "\\boxed{", Brace::kLastOfLine);
  text = Braced(Braced(text, "frac", 2), "sqrt", 1);
  Replace(text, "$", "");
  const std::string digits = Replaced(text, ",", "");
  if (!digits.empty() && std::all_of(digits.begin(), digits.end(), IsDigit)) return digits;
  return text;
}

bool MinervaEqual(std::string_view first, std::string_view second, bool* gave_up) {
  const auto a = math::Parse(first, math::Dialect::kSympyLatex, gave_up);
  const auto b = math::Parse(second, math::Dialect::kSympyLatex, gave_up);
  if (!a || !b || IsInfinite(*a) || IsInfinite(*b)) return false;
  if (a->kind == math::Kind::kRelation || b->kind == math::Kind::kRelation) return false;
  return math::SameValue(*a, *b, math::Domain::kComplex);
}

}  // namespace moecap::accuracy
