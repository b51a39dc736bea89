#include "accuracy/math_words.h"

#include <algorithm>
#include <array>
#include <utility>

namespace moecap::accuracy::math {
namespace {

constexpr std::array kFunctions{"sin",    "cos",    "tan",    "cot",  "sec",  "csc",  "arcsin", "arccos", "arctan",
                                "arccot", "arcsec", "arccsc", "asin", "acos", "atan", "sinh",   "cosh",   "tanh",
                                "ln",     "log",    "lg",     "exp",  "det",  "gcd",  "lcm",    "max",    "min"};
constexpr std::array kGreek{"alpha",    "beta",    "gamma", "delta",  "epsilon", "varepsilon", "zeta", "eta", "theta",
                            "vartheta", "iota",    "kappa", "lambda", "mu",      "nu",         "xi",   "rho", "sigma",
                            "tau",      "upsilon", "phi",   "varphi", "chi",     "psi",        "omega"};
constexpr std::array kDress{"mathbf", "boldsymbol", "mathit", "mathsf",       "mathcal", "bold",
                            "bm",     "boxed",      "fbox",   "displaylines", "mathbb",  "mathrm"};
constexpr std::array kAccents{"overline", "bar", "vec", "hat", "tilde", "underline", "widehat", "overrightarrow", "dot"};
constexpr std::array kUnits{
    "inch",        "inches",    "foot",       "feet",    "ft",      "yard",    "yards",   "mile",     "miles",     "mi",
    "m",           "cm",        "mm",         "km",      "nm",      "meter",   "meters",  "metre",    "metres",    "centimeter",
    "centimeters", "kilometer", "kilometers", "second",  "seconds", "sec",     "s",       "minute",   "minutes",   "min",
    "hour",        "hours",     "hr",         "hrs",     "day",     "days",    "week",    "weeks",    "month",     "months",
    "year",        "years",     "degree",     "degrees", "deg",     "radian",  "radians", "rad",      "mph",       "kph",
    "kmph",        "dollar",    "dollars",    "cent",    "cents",   "unit",    "units",   "point",    "points",    "way",
    "ways",        "square",    "squares",    "cubic",   "sq",      "per",     "g",       "kg",       "gram",      "grams",
    "kilogram",    "kilograms", "mg",         "pound",   "pounds",  "lb",      "lbs",     "ounce",    "ounces",    "liter",
    "liters",      "litre",     "litres",     "ml",      "gallon",  "gallons", "people",  "students", "hz",        "j",
    "n",           "w",         "v",          "k",       "mol",     "meals",   "edges",   "integers", "multiples", "digits",
    "bars",        "apples",    "am",         "pm"};
constexpr std::array kEnds{"}",   "rangle", "rfloor", "rceil",      "cup",        "cap", "setminus", "\\",    "degree", "circ",
                           "mid", "colon",  "to",     "rightarrow", "Rightarrow", "|",   "cdot",     "times", "ast",    "div"};
constexpr std::array kBetween{"cdot", "times", "div",    "le",    "leq",  "ge",     "geq", "lt",  "gt",       "ne", "neq",
                              "}",    "\\",    "rfloor", "rceil", "circ", "degree", "cup", "cap", "setminus", "|",  "{"};

template <typename Names>
bool IsOneOf(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool IsFunction(std::string_view name) { return IsOneOf(kFunctions, name); }
bool IsGreek(std::string_view name) { return IsOneOf(kGreek, name); }
bool IsDress(std::string_view command) { return IsOneOf(kDress, command); }
bool IsAccent(std::string_view command) { return IsOneOf(kAccents, command); }
bool IsSign(std::string_view command) { return IsOneOf(kBetween, command); }
bool EndsFactors(std::string_view command) { return IsOneOf(kEnds, command) || command.starts_with("end:"); }

std::optional<std::string_view> RelationOf(const Token& token) {
  if (token.kind == Token::Kind::kMark && (token.text == "=" || token.text == "<" || token.text == ">")) return token.text;
  if (token.kind != Token::Kind::kCommand) return std::nullopt;
  const std::pair<const char*, const char*> commands[] = {
      {"le", "<="}, {"leq", "<="}, {"leqslant", "<="}, {"ge", ">="}, {"geq", ">="},   {"geqslant", ">="}, {"lt", "<"},
      {"gt", ">"},  {"ne", "!="},  {"neq", "!="},      {"in", "in"}, {"approx", "="}, {"equiv", "="}};
  for (const auto& [command, relation] : commands) {
    if (token.text == command) return relation;
  }
  return std::nullopt;
}

bool IsUnit(std::string_view text) {
  bool any = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" .^23-/"), text.size());
    if (end > 0) {
      if (!IsOneOf(kUnits, text.substr(0, end))) return false;
      any = true;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return any;
}

std::optional<std::string_view> FunctionBeforeLetter(std::string_view command) {
  for (const std::string_view function : kFunctions) {
    if (command.size() == function.size() + 1 && command.starts_with(function)) return function;
  }
  return std::nullopt;
}

}  // namespace moecap::accuracy::math
