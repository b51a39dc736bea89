#include "accuracy/ifeval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "accuracy/ifeval_checks.h"
#include "accuracy/unicode.h"
#include "base/check.h"

namespace moecap::accuracy {
namespace {

const InstructionKind* FindKind(std::string_view id) {
  const auto kinds = InstructionKinds();
  const auto found = std::ranges::find(kinds, id, &InstructionKind::id);
  return found == kinds.end() ? nullptr : &*found;
}

// The arguments of one instruction, with the errors that name them.
class Arguments {
 public:
  Arguments(std::string_view id, const Json& values) : id_(id), values_(values) {}

  // Hub copies write whole numbers as 3.0.
  Result<int64_t> Number(std::string_view name) const {
    const Json* const value = Find(name);
    if (value == nullptr || !value->is_number()) return Wrong(name, "a whole number");
    const auto number = value->get<double>();
    if (!(number >= 0 && number <= 1e9) || number != std::floor(number)) return Wrong(name, "a whole number from 0");
    return static_cast<int64_t>(number);
  }
  Result<std::string> Text(std::string_view name) const {
    const Json* const value = Find(name);
    if (value == nullptr || !value->is_string() || value->get<std::string>().empty()) return Wrong(name, "a text");
    return ValidUtf8(value->get<std::string>());
  }
  Result<std::vector<std::string>> Texts(std::string_view name) const {
    const Json* const value = Find(name);
    const auto is_text = [](const Json& item) { return item.is_string(); };
    if (value == nullptr || !value->is_array() || value->empty() || !std::ranges::all_of(*value, is_text)) {
      return Wrong(name, "a list of texts");
    }
    std::vector<std::string> texts;
    for (const Json& item : *value) texts.push_back(ValidUtf8(item.get<std::string>()));
    return texts;
  }
  Result<Relation> RelationOf(std::string_view name) const {
    const Json* const value = Find(name);
    if (value != nullptr && *value == "at least") return Relation::kAtLeast;
    if (value != nullptr && *value == "less than") return Relation::kLessThan;
    return Wrong(name, "'at least' or 'less than'");
  }
  Error Wrong(std::string_view name, std::string_view expected) const {
    return BadInput(fmt::format("the instruction {} needs {} as its argument {}", id_, expected, name));
  }

 private:
  const Json* Find(std::string_view name) const {
    if (!values_.is_object()) return nullptr;
    const auto found = values_.find(std::string(name));
    return found == values_.end() ? nullptr : &*found;
  }

  std::string_view id_;
  const Json& values_;
};

std::vector<std::string> LooseVariants(const std::string& answer) {
  const size_t first_end = answer.find('\n'), last_begin = answer.rfind('\n');
  const bool one_line = first_end == std::string::npos;
  const std::string_view text = answer;
  const std::string_view without_first = one_line ? "" : text.substr(first_end + 1);
  const std::string_view without_last = one_line ? "" : text.substr(0, last_begin);
  const std::string_view without_both =
      one_line || first_end == last_begin ? "" : text.substr(first_end + 1, last_begin - first_end - 1);
  std::vector<std::string> variants{answer};
  for (const std::string_view variant : {without_first, without_last, without_both}) variants.emplace_back(Strip(variant));
  for (size_t i = 0, count = variants.size(); i < count; ++i) {
    std::string plain = variants[i];
    std::erase(plain, '*');
    variants.push_back(std::move(plain));
  }
  return variants;
}

InstructionVerdict Check(const Instruction& instruction, const std::string& answer) {
  const InstructionKind* const kind = FindKind(instruction.id);
  CHECK(kind != nullptr);
  if (Strip(answer).empty()) return {false, {}};
  return kind->check(instruction, answer);
}

// `strict` is the verdict on the answer itself, the first variant.
InstructionVerdict CheckAny(const Instruction& instruction, const InstructionVerdict& strict,
                            std::span<const std::string> variants) {
  InstructionVerdict verdict = strict;
  if (strict.followed == true) return verdict;
  for (const std::string& variant : variants.subspan(1)) {
    InstructionVerdict one = Check(instruction, variant);
    if (one.followed == true) return one;
    if (!one.followed) verdict = std::move(one);
  }
  return verdict;
}

std::optional<bool> All(std::span<const InstructionVerdict> verdicts) {
  const auto is = [&](std::optional<bool> what) {
    return std::ranges::find(verdicts, what, &InstructionVerdict::followed) != verdicts.end();
  };
  if (is(false)) return false;
  if (is(std::nullopt)) return std::nullopt;
  return true;
}

void Tally(std::optional<bool> followed, JudgedShare& share) {
  if (!followed) {
    ++share.not_judged;
    return;
  }
  ++share.judged;
  share.followed += *followed ? 1 : 0;
}

std::optional<double> Ratio(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Result<Instruction> ReadInstruction(std::string_view id, const Json& arguments) {
  const InstructionKind* const kind = FindKind(id);
  if (kind == nullptr) return BadInput(fmt::format("IFEval has no instruction '{}'", id));
  const Arguments given(id, arguments);
  Instruction instruction;
  instruction.id = id;
  if (!kind->number.empty()) {
    ASSIGN_OR_RETURN(instruction.number, given.Number(kind->number));
  }
  if (!kind->relation.empty()) {
    ASSIGN_OR_RETURN(instruction.relation, given.RelationOf(kind->relation));
  }
  if (!kind->text.empty()) {
    ASSIGN_OR_RETURN(instruction.text, given.Text(kind->text));
  }
  if (!kind->texts.empty()) {
    ASSIGN_OR_RETURN(instruction.texts, given.Texts(kind->texts));
  }
  if (!kind->nth.empty()) {
    ASSIGN_OR_RETURN(instruction.nth, given.Number(kind->nth));
    if (instruction.nth < 1 || instruction.nth > instruction.number) return given.Wrong(kind->nth, "one of its paragraphs");
  }
  if (kind->text == "letter" && unicode::CodePoints(instruction.text).size() != 1)
    return given.Wrong(kind->text, "one character");
  return instruction;
}

InstructionVerdict CheckInstruction(const Instruction& instruction, std::string_view answer) {
  return Check(instruction, ValidUtf8(answer));
}

InstructionVerdict CheckInstructionLoosely(const Instruction& instruction, std::string_view answer) {
  const std::vector<std::string> variants = LooseVariants(ValidUtf8(answer));
  return CheckAny(instruction, Check(instruction, variants.front()), variants);
}

IfevalVerdict JudgeIfeval(std::span<const Instruction> instructions, std::string_view answer) {
  const std::vector<std::string> variants = LooseVariants(ValidUtf8(answer));
  IfevalVerdict verdict;
  for (const Instruction& instruction : instructions) {
    verdict.strict.push_back(Check(instruction, variants.front()));
    verdict.loose.push_back(CheckAny(instruction, verdict.strict.back(), variants));
  }
  verdict.prompt_strict = All(verdict.strict);
  verdict.prompt_loose = All(verdict.loose);
  return verdict;
}

std::optional<double> JudgedShare::Share() const { return Ratio(followed, judged); }
std::optional<double> JudgedShare::Least() const { return Ratio(followed, judged + not_judged); }
std::optional<double> JudgedShare::Most() const { return Ratio(followed + not_judged, judged + not_judged); }

IfevalScore ScoreIfeval(std::span<const IfevalVerdict> verdicts) {
  IfevalScore score;
  for (const IfevalVerdict& verdict : verdicts) {
    Tally(verdict.prompt_strict, score.prompt_strict);
    Tally(verdict.prompt_loose, score.prompt_loose);
    for (const InstructionVerdict& one : verdict.strict) Tally(one.followed, score.instruction_strict);
    for (const InstructionVerdict& one : verdict.loose) Tally(one.followed, score.instruction_loose);
  }
  return score;
}

}  // namespace moecap::accuracy
