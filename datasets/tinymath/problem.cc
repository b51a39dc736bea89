#include "problem.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "rational.h"
#include "templates.h"

namespace moecap::tinymath {
namespace {

constexpr std::int64_t kLargestValue = 9999999;
constexpr std::array<std::string_view, 24> kNames = {"Anna", "Ben",  "Clara", "David", "Emma", "Felix", "Grace", "Henry",
                                                     "Ivy",  "Jack", "Kate",  "Liam",  "Mia",  "Noah",  "Olga",  "Paul",
                                                     "Rosa", "Sam",  "Tina",  "Uma",   "Vera", "Will",  "Yara",  "Zoe"};
constexpr std::array<std::string_view, 24> kItems = {
    "apples", "pencils", "books",  "stamps",  "marbles", "stickers", "coins", "cards",  "shells", "beads", "pears", "plums",
    "eggs",   "flowers", "shirts", "candles", "bottles", "buttons",  "nuts",  "lemons", "tiles",  "rings", "toys",  "masks"};
constexpr std::array<std::string_view, 10> kPlaces = {"bakery", "museum", "zoo",   "market", "library",
                                                      "school", "shop",   "hotel", "club",   "farm"};

// splitmix64: tiny, and the same on every platform (the standard distributions are not).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  std::int64_t Below(std::int64_t n) { return static_cast<std::int64_t>((Next() >> 11) % static_cast<std::uint64_t>(n)); }

 private:
  std::uint64_t state_;
};

struct OperandSpec {
  char letter;
  Rational low, high, step;
  char multiple_of = 0;
};

struct Term {
  enum class Kind { kOperand, kStep, kConstant, kFraction } kind;
  std::int64_t value = 0;  // letter, step index (0-based), constant, numerator's letter
  char denominator = 0;
};

struct StepSpec {
  Term left, right;
  char op;
  bool decimals_allowed = false;
  bool is_fraction = false;
};

struct CompiledTemplate {
  const Template* source;
  std::vector<OperandSpec> operands;
  std::vector<std::pair<char, char>> less_than;
  std::vector<StepSpec> steps;
};

struct Evaluated {
  std::string lines;
  Rational result;
};

[[noreturn]] void BadTemplate(std::string_view what, std::string_view text) {
  std::fprintf(stderr, "tinymath: bad template, %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(text.size()), text.data());
  std::abort();
}

std::vector<std::string_view> SplitWords(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

Rational ParseDecimal(std::string_view text) {
  std::int64_t num = 0;
  std::int64_t den = 1;
  bool after_point = false;
  for (const char c : text) {
    if (c == '.') {
      after_point = true;
    } else if (c >= '0' && c <= '9') {
      num = num * 10 + (c - '0');
      if (after_point) den *= 10;
    } else {
      BadTemplate("not a number", text);
    }
  }
  return {num, den};
}

OperandSpec ParseOperand(std::string_view text) {
  const std::size_t dots = text.find("..");
  if (text.size() < 6 || text[1] != ':' || dots == std::string_view::npos) BadTemplate("operand", text);
  OperandSpec spec{.letter = text[0], .low = ParseDecimal(text.substr(2, dots - 2)), .high = {}, .step = 1};
  std::string_view rest = text.substr(dots + 2);
  if (const std::size_t at = rest.find('%'); at != std::string_view::npos) {
    spec.multiple_of = rest[at + 1];
    rest = rest.substr(0, at);
  } else if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    spec.step = ParseDecimal(rest.substr(slash + 1));
    rest = rest.substr(0, slash);
  }
  spec.high = ParseDecimal(rest);
  return spec;
}

Term ParseTerm(std::string_view text) {
  if (text.size() == 3 && text[1] == '|') return {Term::Kind::kFraction, text[0], text[2]};
  if (text[0] == '#') return {Term::Kind::kStep, text[1] - '1'};
  if (text[0] >= 'a' && text[0] <= 'z') return {Term::Kind::kOperand, text[0]};
  return {Term::Kind::kConstant, ParseDecimal(text).num};
}

StepSpec ParseStep(std::string_view text) {
  StepSpec step{};
  if (text.back() == '~') {
    step.decimals_allowed = true;
    text.remove_suffix(1);
  }
  const std::size_t at = text.find_first_of("+-*/", 1);
  if (at == std::string_view::npos) BadTemplate("step", text);
  step.left = ParseTerm(text.substr(0, at));
  step.op = text[at];
  step.right = ParseTerm(text.substr(at + 1));
  step.is_fraction = step.left.kind == Term::Kind::kFraction && step.right.kind == Term::Kind::kFraction;
  return step;
}

std::vector<CompiledTemplate> CompileAll() {
  std::vector<CompiledTemplate> all;
  for (const auto group : {ShortTemplates(), MediumTemplates(), LongTemplates()}) {
    for (const Template& source : group) {
      CompiledTemplate compiled{.source = &source, .operands = {}, .less_than = {}, .steps = {}};
      for (const auto word : SplitWords(source.operands, ' ')) {
        if (word.size() == 3 && word[1] == '<') {
          compiled.less_than.emplace_back(word[0], word[2]);
        } else {
          compiled.operands.push_back(ParseOperand(word));
        }
      }
      for (const auto word : SplitWords(source.steps, ' ')) compiled.steps.push_back(ParseStep(word));
      all.push_back(std::move(compiled));
    }
  }
  return all;
}

const std::vector<CompiledTemplate>& Templates() {
  static const std::vector<CompiledTemplate> all = CompileAll();
  return all;
}

using Values = std::array<Rational, 128>;  // indexed by the operand's letter

// Draws every operand; false if a condition between operands fails.
bool DrawOperands(const CompiledTemplate& compiled, Random& random, Values& values) {
  for (const OperandSpec& spec : compiled.operands) {
    Rational step = spec.step;
    Rational first = spec.low;
    if (spec.multiple_of != 0) {
      step = values[static_cast<std::size_t>(spec.multiple_of)];
      first = Rational((spec.low.num + step.num - 1) / step.num * step.num);
    }
    const Rational span = (spec.high - first) / step;
    const std::int64_t count = span.num / span.den + 1;
    values[static_cast<std::size_t>(spec.letter)] = first + step * Rational(random.Below(count));
  }
  for (const auto& [small, large] : compiled.less_than) {
    if (!(values[static_cast<std::size_t>(small)] < values[static_cast<std::size_t>(large)])) return false;
  }
  return true;
}

std::string ToFraction(Rational value) { return std::to_string(value.num) + "/" + std::to_string(value.den); }

struct TermValue {
  Rational value;
  std::string text;
};

TermValue Resolve(const Term& term, const Values& values, const std::vector<TermValue>& results) {
  switch (term.kind) {
    case Term::Kind::kOperand: {
      const Rational value = values[static_cast<std::size_t>(term.value)];
      return {value, ToDecimal(value)};
    }
    case Term::Kind::kStep:
      return results[static_cast<std::size_t>(term.value)];
    case Term::Kind::kConstant:
      return {Rational(term.value), std::to_string(term.value)};
    case Term::Kind::kFraction: {
      const Rational num = values[static_cast<std::size_t>(term.value)];
      const Rational den = values[static_cast<std::size_t>(term.denominator)];
      return {num / den, ToDecimal(num) + "/" + ToDecimal(den)};
    }
  }
  std::abort();
}

Rational Apply(char op, Rational a, Rational b) {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    default:
      return a / b;
  }
}

// Works the steps; nothing if a result is not positive, too large, or not as round as the template asks.
std::optional<Evaluated> Evaluate(const CompiledTemplate& compiled, const Values& values) {
  std::vector<TermValue> results;
  Evaluated out;
  for (const StepSpec& step : compiled.steps) {
    const TermValue left = Resolve(step.left, values, results);
    const TermValue right = Resolve(step.right, values, results);
    const Rational value = Apply(step.op, left.value, right.value);
    if (value.num <= 0 || Rational(kLargestValue) < value) return std::nullopt;
    if (step.is_fraction) {
      if (value.IsInteger()) return std::nullopt;
      results.push_back({value, ToFraction(value)});
    } else {
      if (!HasTwoDecimals(value)) return std::nullopt;
      if (step.op == '/' && !step.decimals_allowed && !value.IsInteger()) return std::nullopt;
      results.push_back({value, ToDecimal(value)});
    }
    out.lines += left.text + step.op + right.text + "=" + results.back().text + "\n";
  }
  out.result = results.back().value;
  return out;
}

// The words of one problem: drawn once, so that {name} is the same person throughout.
struct Cast {
  std::string_view name, name2, item, item2, place;
};

template <std::size_t N>
std::pair<std::string_view, std::string_view> DrawTwo(const std::array<std::string_view, N>& pool, Random& random) {
  const auto first = random.Below(static_cast<std::int64_t>(N));
  const auto second = (first + 1 + random.Below(static_cast<std::int64_t>(N) - 1)) % static_cast<std::int64_t>(N);
  return {pool[static_cast<std::size_t>(first)], pool[static_cast<std::size_t>(second)]};
}

std::string Placeholder(std::string_view key, const Cast& cast, const Values& values) {
  if (key == "name") return std::string(cast.name);
  if (key == "name2") return std::string(cast.name2);
  if (key == "item") return std::string(cast.item);
  if (key == "item2") return std::string(cast.item2);
  if (key == "place") return std::string(cast.place);
  if (key.size() == 1) return ToDecimal(values[static_cast<std::size_t>(key[0])]);
  if (key.size() == 2 && key[0] == '$') return "$" + ToMoney(values[static_cast<std::size_t>(key[1])]);
  BadTemplate("placeholder", key);
}

std::string_view Choose(std::string_view options, Random& random) {
  std::vector<std::string_view> list;
  std::size_t start = 0;
  for (std::size_t at = 0; at <= options.size(); ++at) {
    if (at == options.size() || options[at] == '|') {
      list.push_back(options.substr(start, at - start));
      start = at + 1;
    }
  }
  return list[static_cast<std::size_t>(random.Below(static_cast<std::int64_t>(list.size())))];
}

// First the free choices of words, then the placeholders (a choice may hold one). An empty choice must not leave a
// double space or a space before the punctuation.
std::string Render(std::string_view wording, const Values& values, Random& random) {
  Cast cast;
  std::tie(cast.name, cast.name2) = DrawTwo(kNames, random);
  std::tie(cast.item, cast.item2) = DrawTwo(kItems, random);
  cast.place = DrawTwo(kPlaces, random).first;
  std::string chosen;
  for (std::size_t at = 0; at < wording.size(); ++at) {
    if (wording[at] != '[') {
      const bool after_space = !chosen.empty() && chosen.back() == ' ';
      if (after_space && (wording[at] == '?' || wording[at] == '.' || wording[at] == ' ')) chosen.pop_back();
      chosen += wording[at];
      continue;
    }
    const std::size_t close = wording.find(']', at);
    chosen += Choose(wording.substr(at + 1, close - at - 1), random);
    at = close;
  }
  std::string out;
  for (std::size_t at = 0; at < chosen.size(); ++at) {
    if (chosen[at] != '{') {
      out += chosen[at];
      continue;
    }
    const std::size_t close = chosen.find('}', at);
    out += Placeholder(std::string_view(chosen).substr(at + 1, close - at - 1), cast, values);
    at = close;
  }
  return out;
}

std::vector<std::string> OperandTexts(const CompiledTemplate& compiled, const Values& values) {
  std::vector<std::string> texts;
  for (const OperandSpec& spec : compiled.operands) texts.push_back(ToDecimal(values[static_cast<std::size_t>(spec.letter)]));
  return texts;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::string ToDecimal(Rational value) {
  const std::int64_t hundredths = value.num * (100 / value.den);
  std::string text = std::to_string(hundredths / 100);
  if (const std::int64_t rest = hundredths % 100; rest != 0) {
    text += "." + std::to_string(rest / 10);
    if (rest % 10 != 0) text += std::to_string(rest % 10);
  }
  return text;
}

std::string ToMoney(Rational value) {
  std::string text = ToDecimal(value);
  if (const std::size_t point = text.find('.'); point != std::string::npos && point + 2 == text.size()) text += '0';
  return text;
}

int TemplateCount() { return static_cast<int>(Templates().size()); }
std::string_view TemplateId(int index) { return Templates().at(static_cast<std::size_t>(index)).source->id; }
int TemplateSteps(int index) { return static_cast<int>(Templates().at(static_cast<std::size_t>(index)).steps.size()); }
std::string_view TemplateStepList(int index) { return Templates().at(static_cast<std::size_t>(index)).source->steps; }

std::string SplitKey(std::string_view template_id, const std::vector<std::string>& operands) {
  std::string key(template_id);
  char separator = '|';
  for (const std::string& operand : operands) {
    key += separator;
    key += operand;
    separator = ',';
  }
  return key;
}

std::uint64_t Fnv1a64(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211ull;
  }
  return hash;
}

bool IsTestKey(std::string_view key) {
  std::uint64_t hash = Fnv1a64(key);
  hash ^= hash >> 32;
  hash ^= hash >> 16;
  return (hash & 15) == 0;
}

Problem MakeProblem(Split split, std::uint64_t seed, std::uint64_t index) {
  const auto which = static_cast<std::size_t>((index % Templates().size()) * 29 % Templates().size());
  const CompiledTemplate& compiled = Templates()[which];
  Random mixer(seed);
  Random random(mixer.Next() ^ (index * 0xD1342543DE82EF95ull));
  Values values{};
  for (;;) {
    if (!DrawOperands(compiled, random, values)) continue;
    const auto worked = Evaluate(compiled, values);
    if (!worked) continue;
    Problem problem;
    problem.operands = OperandTexts(compiled, values);
    if (IsTestKey(SplitKey(compiled.source->id, problem.operands)) != (split == Split::kTest)) continue;
    char number[32];
    std::snprintf(number, sizeof number, "%04llu", static_cast<unsigned long long>(index));
    problem.id = std::string(split == Split::kTest ? "tinymath-test-" : "tinymath-train-") + number;
    problem.template_id = compiled.source->id;
    problem.steps = static_cast<int>(compiled.steps.size());
    problem.question = Render(compiled.source->wordings[static_cast<std::size_t>(random.Below(2))], values, random);
    problem.answer = worked->lines + "#### " + ToDecimal(worked->result);
    return problem;
  }
}

std::string ToJsonLine(const Problem& problem) {
  std::string operands;
  for (const std::string& operand : problem.operands) operands += (operands.empty() ? "" : ",") + Quoted(operand);
  return "{\"id\":" + Quoted(problem.id) + ",\"template\":" + Quoted(problem.template_id) +
         ",\"steps\":" + std::to_string(problem.steps) + ",\"operands\":[" + operands +
         "],\"question\":" + Quoted(problem.question) + ",\"answer\":" + Quoted(problem.answer) + "}";
}

}  // namespace moecap::tinymath
