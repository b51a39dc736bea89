#include "accuracy/benchmark_scores.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "accuracy/code_answer.h"
#include "accuracy/longbench.h"
#include "accuracy/multiple_choice.h"
#include "accuracy/ruler.h"
#include "accuracy/text.h"
#include "base/check.h"

namespace moecap::accuracy {
namespace {

// A share of 0..1 of a reply; one of blanks is no answer.
Verdict Partly(std::string_view prediction, std::string extracted, double share) {
  Verdict verdict;
  if (!Strip(prediction).empty()) verdict.extracted = std::move(extracted);
  verdict.correct = verdict.extracted && share == 1;
  verdict.share = share;
  return verdict;
}

Verdict LeftOpen(std::string reason) {
  Verdict verdict;
  verdict.parts = 0;
  verdict.reason = std::move(reason);
  return verdict;
}

const Reference& ReferenceOf(const Answer& answer) {
  CHECK(answer.reference != nullptr);
  return *answer.reference;
}

Verdict LongBenchVerdict(const Answer& answer, decltype(ScoreLongBench)& score) {
  const Reference& reference = ReferenceOf(answer);
  const LongBenchTask* task = FindLongBenchTask(reference.part);
  if (task == nullptr || task->metric == LongBenchMetric::kNeedsJieba)
    return LeftOpen("its words are told apart by the Python package jieba");
  const auto share = score(reference.part, answer.prediction, reference.golds, reference.classes);
  CHECK(share.ok());  // ReadLongBenchFacts has seen to it
  return Partly(answer.prediction, std::string(Strip(answer.prediction)), *share);
}

Verdict RulerVerdict(const Answer& answer, bool any) {
  const auto& outputs = ReferenceOf(answer).golds;
  const double all = RulerMatchAll(answer.prediction, outputs);
  const auto found = static_cast<int64_t>(all * static_cast<double>(outputs.size()) + 0.5);
  return Partly(answer.prediction, fmt::format("{} of {}", found, outputs.size()),
                any ? RulerMatchPart(answer.prediction, outputs) : all);
}

std::vector<InstructionVerdict> ChecksOf(const Answer& answer, bool loosely) {
  std::vector<InstructionVerdict> verdicts;
  for (const Instruction& instruction : ReferenceOf(answer).instructions)
    verdicts.push_back((loosely ? CheckInstructionLoosely : CheckInstruction)(instruction, answer.prediction));
  return verdicts;
}

// "2 of 3; not punctuation:no_comma".
std::string Followed(const Reference& reference, const std::vector<InstructionVerdict>& verdicts) {
  std::vector<std::string_view> missed;
  int64_t followed = 0;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].followed == true) ++followed;
    if (verdicts[i].followed == false) missed.push_back(reference.instructions[i].id);
  }
  const std::string text = fmt::format("{} of {}", followed, verdicts.size());
  return missed.empty() ? text : fmt::format("{}; not {}", text, fmt::join(missed, ", "));
}

Verdict IfevalVerdictOf(const Answer& answer, bool loosely, bool each) {
  const std::vector<InstructionVerdict> verdicts = ChecksOf(answer, loosely);
  int64_t followed = 0, judged = 0;
  std::string reason;
  for (const InstructionVerdict& one : verdicts) {
    judged += one.followed ? 1 : 0;
    followed += one.followed == true ? 1 : 0;
    if (!one.followed) reason = one.reason;
  }
  const bool failed = followed < judged, known = judged == std::ssize(verdicts);
  if (each ? judged == 0 : !failed && !known) return LeftOpen(std::move(reason));
  const double share = each ? static_cast<double>(followed) / static_cast<double>(judged) : (failed ? 0.0 : 1.0);
  Verdict verdict = Partly(answer.prediction, Followed(ReferenceOf(answer), verdicts), share);
  if (each) {
    verdict.parts = judged;
    verdict.reason = std::move(reason);  // of those that are left out
  }
  return verdict;
}

Verdict Program(std::string_view text) {
  Verdict verdict;
  if (!Strip(text).empty()) verdict.extracted = std::string(text);
  return verdict;
}

const Json* Fact(const Json& facts, const char* name) {
  const auto found = facts.find(name);
  return found == facts.end() || found->is_null() ? nullptr : &*found;
}

Error Missing(const char* name) { return BadInput(fmt::format("no field '{}'", name)); }

Status ReadText(const Json& facts, const char* name, std::string& text) {
  const Json* value = Fact(facts, name);
  if (value == nullptr) return Missing(name);
  if (!value->is_string()) return BadInput(fmt::format("'{}' must be text", name));
  text = value->get<std::string>();
  return {};
}

}  // namespace

Verdict LongBenchOfficial(const Answer& answer) { return LongBenchVerdict(answer, ScoreLongBench); }
Verdict LongBenchHarness(const Answer& answer) { return LongBenchVerdict(answer, ScoreLongBenchHarness); }

Verdict LongBenchV2Compensated(const Answer& answer) {
  Verdict verdict = LongBenchV2Official(answer);
  if (!verdict.extracted) verdict.share = kLongBenchV2Chance;
  return verdict;
}

Verdict RulerOfficial(const Answer& answer) {
  const std::string& part = ReferenceOf(answer).part;
  return RulerVerdict(answer, part == "qa_1" || part == "qa_2");
}
Verdict RulerHarness(const Answer& answer) { return RulerVerdict(answer, false); }

Verdict IfevalPromptStrict(const Answer& answer) { return IfevalVerdictOf(answer, false, false); }
Verdict IfevalPromptLoose(const Answer& answer) { return IfevalVerdictOf(answer, true, false); }
Verdict IfevalInstructionStrict(const Answer& answer) { return IfevalVerdictOf(answer, false, true); }
Verdict IfevalInstructionLoose(const Answer& answer) { return IfevalVerdictOf(answer, true, true); }

Verdict HumanEvalHarness(const Answer& answer) {
  static const std::vector<std::string> stops{"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
  return Program(CutAtStops(answer.prediction, stops));
}
Verdict HumanEvalHarnessInstruct(const Answer& answer) { return Program(CutAtFence(answer.prediction)); }
Verdict HumanEvalCompletion(const Answer& answer) { return Program(answer.prediction); }
Verdict HumanEvalSimpleEvals(const Answer& answer) { return Program(BodyOfFencedFunction(answer.prediction)); }

Status ReadLongBenchFacts(const Json& facts, Reference& reference) {
  if (Fact(facts, "dataset") != nullptr) RETURN_IF_ERROR(ReadText(facts, "dataset", reference.part));
  const LongBenchTask* task = FindLongBenchTask(reference.part);
  if (task == nullptr) return BadInput(fmt::format("'dataset' is \"{}\", which is no task of LongBench", reference.part));
  if (task->metric == LongBenchMetric::kRetrieval) {
    for (const std::string& gold : reference.golds) {
      if (!RetrievalScore("", gold)) return BadInput(fmt::format("the gold answer '{}' names no paragraph", gold));
    }
  }
  if (task->metric != LongBenchMetric::kClassification) return {};
  const Json* classes = Fact(facts, "all_classes");
  if (classes == nullptr) return Missing("all_classes");
  if (!classes->is_array() || classes->empty()) return BadInput("'all_classes' must be a list of texts");
  for (const Json& name : *classes) {
    if (!name.is_string()) return BadInput("'all_classes' must be a list of texts");
    reference.classes.push_back(name.get<std::string>());
  }
  return {};
}

Status ReadRulerFacts(const Json& facts, Reference& reference) {
  static constexpr std::array kTasks{"niah_single_1",
                                     "niah_single_2",
                                     "niah_single_3",
                                     "niah_multikey_1",
                                     "niah_multikey_2",
                                     "niah_multikey_3",
                                     "niah_multivalue",
                                     "niah_multiquery",
                                     "vt",
                                     "cwe",
                                     "fwe",
                                     "qa_1",
                                     "qa_2"};
  if (Fact(facts, "task") != nullptr) RETURN_IF_ERROR(ReadText(facts, "task", reference.part));
  for (const char* task : kTasks) {
    if (reference.part == task) return {};
  }
  return BadInput(
      fmt::format("'task' is \"{}\", which is no task of RULER; it has {}", reference.part, fmt::join(kTasks, ", ")));
}

Status ReadIfevalFacts(const Json& facts, Reference& reference) {
  const Json *ids = Fact(facts, "instruction_id_list"), *arguments = Fact(facts, "kwargs");
  if (ids == nullptr) return Missing("instruction_id_list");
  if (arguments == nullptr) return Missing("kwargs");
  if (!ids->is_array() || ids->empty() || !arguments->is_array() || arguments->size() != ids->size())
    return BadInput("'instruction_id_list' and 'kwargs' must be lists of the same length");
  for (size_t i = 0; i < ids->size(); ++i) {
    if (!(*ids)[i].is_string()) return BadInput("'instruction_id_list' must hold texts");
    ASSIGN_OR_RETURN(Instruction instruction, ReadInstruction((*ids)[i].get<std::string>(), (*arguments)[i]));
    reference.instructions.push_back(std::move(instruction));
  }
  return {};
}

Status ReadHumanEvalFacts(const Json& facts, Reference& reference) {
  RETURN_IF_ERROR(ReadText(facts, "prompt", reference.prompt));
  RETURN_IF_ERROR(ReadText(facts, "test", reference.test));
  return ReadText(facts, "entry_point", reference.entry_point);
}

}  // namespace moecap::accuracy
