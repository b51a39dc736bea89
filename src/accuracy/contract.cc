#include "accuracy/contract.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "accuracy/aime.h"
#include "accuracy/benchmark_scores.h"
#include "accuracy/boxed.h"
#include "accuracy/code_answer.h"
#include "accuracy/gsm8k.h"
#include "accuracy/log_likelihood.h"
#include "accuracy/math_answers.h"
#include "accuracy/moe_cap.h"
#include "accuracy/multiple_choice.h"
#include "accuracy/regex.h"
#include "accuracy/text.h"
#include "accuracy/unicode.h"
#include "base/check.h"
#include "base/nearest_word.h"

namespace moecap::accuracy {
namespace {

#define MOECAP_HARNESS "lm-evaluation-harness 4e7e0d4"
#define MOECAP_MLPERF "mlcommons/inference language/deepseek-r1/eval_accuracy.py"

constexpr std::string_view kAToD = "ABCD", kAToJ = "ABCDEFGHIJ", kAToZ = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

constexpr Filter kMathVerify{"math_verify", "huggingface/Math-Verify 0.8.0", MathVerifyScore};

Task Numbers(std::string_view contract, std::string_view name, std::string_view aliases, std::vector<Filter> filters) {
  return {contract, name, aliases, GoldForm::kNumber, "", false, std::move(filters)};
}
Task Letters(std::string_view contract, std::string_view name, std::string_view aliases, std::string_view letters,
             std::vector<Filter> filters) {
  return {contract, name, aliases, GoldForm::kLetter, letters, false, std::move(filters)};
}
Task ReadingChoices(Task task) {
  task.reads_choices = true;
  return task;
}
Task Integers(std::string_view contract, Filter filter) {
  return {contract, "aime", "aime24 aime25", GoldForm::kInteger, "", false, {filter}};
}
Task Mathematics(std::string_view contract, std::string_view name, std::string_view aliases, std::vector<Filter> filters) {
  return {contract, name, aliases, GoldForm::kMath, "", false, std::move(filters)};
}

Task LongBench(std::string_view contract, Filter filter) {
  return {contract,  "longbench", "longbench_v1",    GoldForm::kTexts, "", false, {filter}, "dataset all_classes",
          "dataset", true,        ReadLongBenchFacts};
}
Task Ruler(std::string_view contract, Filter filter, Status (*read_facts)(const Json&, Reference&)) {
  return {contract, "ruler", "", GoldForm::kTexts, "", false, {filter}, "task", "task", true, read_facts};
}
Task Ifeval(std::string_view contract, std::vector<Filter> filters) {
  return {contract, "ifeval",       "", GoldForm::kNone, "", false, std::move(filters), "instruction_id_list kwargs", "",
          false,    ReadIfevalFacts};
}
Task HumanEval(std::string_view contract, std::string_view name, std::vector<Filter> filters) {
  return {contract,          name, "", GoldForm::kNone, "", false, std::move(filters), "prompt test entry_point", "", false,
          ReadHumanEvalFacts};
}
Task ShownApart(Task task, std::string_view breakdown) {
  task.breakdown = breakdown;
  return task;
}

std::vector<Task> HarnessTasks() {
  constexpr std::string_view kContract = "lm-eval";
  const Filter flexible{"flexible-extract", MOECAP_HARNESS " gsm8k 3", Gsm8kFlexibleExtract};
  const Filter choice{"flexible-extract", MOECAP_HARNESS " gpqa_cot_zeroshot 2.2", MultipleChoiceFlexible};
  return {Numbers(kContract, "gsm8k", "tinymath", {{"strict-match", MOECAP_HARNESS " gsm8k 3", Gsm8kStrictMatch}, flexible}),
          Numbers(kContract, "gsm8k_cot", "gsm8k_cot_zeroshot",
                  {{"strict-match", MOECAP_HARNESS " gsm8k_cot 3", Gsm8kCotStrictMatch}, flexible}),
          Numbers(kContract, "gsm8k_cot_llama", "",
                  {{"strict-match", MOECAP_HARNESS " gsm8k_cot_llama 4", Gsm8kCotLlamaStrictMatch}, flexible}),
          Letters(kContract, "mmlu_generative", "mmlu", kAToD,
                  {{"get_response", MOECAP_HARNESS " mmlu_generative 3", MmluGenerativeGetResponse}}),
          ReadingChoices(Letters(kContract, "mmlu_flan_cot_zeroshot", "", kAToD,
                                 {{"strict-match", MOECAP_HARNESS " mmlu_flan_cot_zeroshot 3", MmluFlanStrictMatch}, choice})),
          Letters(kContract, "mmlu_cot_llama", "", kAToD,
                  {{"strict_match", MOECAP_HARNESS " mmlu_cot_llama 1", MmluCotLlamaStrictMatch}}),
          Letters(kContract, "mmlu_pro", "", kAToJ, {{"custom-extract", MOECAP_HARNESS " mmlu_pro 3.1", MmluProCustomExtract}}),
          ReadingChoices(Letters(kContract, "gpqa_cot_zeroshot",
                                 "gpqa gpqa_diamond gpqa_diamond_cot_zeroshot gpqa_main_cot_zeroshot", kAToZ,
                                 {{"strict-match", MOECAP_HARNESS " gpqa_cot_zeroshot 2.2", GpqaStrictMatch}, choice})),
          ReadingChoices(Letters(kContract, kLikelihoodTask, "", kAToZ,
                                 {{"acc", MOECAP_HARNESS " output_type multiple_choice", LikeliestChoice},
                                  {"acc_norm", MOECAP_HARNESS " output_type multiple_choice", LikeliestCharacterwise}})),
          Integers(kContract, {"exact_match", MOECAP_HARNESS " aime", AimeLmEval}),
          Mathematics(kContract, "minerva_math", "math minerva_math500 math500 numinamath",
                      {{"exact_match", MOECAP_HARNESS " minerva_math 3", MinervaExactMatch},
                       {"exact_match-3.1", "lm-evaluation-harness 0.4.13 minerva_math 3.1", MinervaExactMatchOrSame},
                       kMathVerify}),
          Mathematics(kContract, "hendrycks_math", "hendrycks_math500",
                      {{"exact_match", MOECAP_HARNESS " hendrycks_math 1", HendrycksExactMatch}}),
          LongBench(kContract, {"score", "lm-evaluation-harness 0.4.13 longbench 5", LongBenchHarness, "score"}),
          Ruler(kContract, {"string_match_all", MOECAP_HARNESS " ruler", RulerHarness}, nullptr),
          Ifeval(kContract,
                 {{"prompt_level_strict_acc", MOECAP_HARNESS " ifeval 4", IfevalPromptStrict, "prompt_level_strict_acc"},
                  {"inst_level_strict_acc", MOECAP_HARNESS " ifeval 4", IfevalInstructionStrict, "inst_level_strict_acc"},
                  {"prompt_level_loose_acc", MOECAP_HARNESS " ifeval 4", IfevalPromptLoose, "prompt_level_loose_acc"},
                  {"inst_level_loose_acc", MOECAP_HARNESS " ifeval 4", IfevalInstructionLoose, "inst_level_loose_acc"}}),
          HumanEval(kContract, "humaneval", {{"create_test", MOECAP_HARNESS " humaneval 1", HumanEvalHarness, "pass@1", true}}),
          HumanEval(kContract, "humaneval_instruct",
                    {{"create_test", MOECAP_HARNESS " humaneval_instruct 4", HumanEvalHarnessInstruct, "pass@1", true}})};
}

std::vector<Task> MlperfTasks() {
  constexpr std::string_view kContract = "mlperf";
  return {Letters(kContract, "gpqa", "gpqa_diamond", kAToD, {{"multiple-choice", MOECAP_MLPERF, MlperfAToD}}),
          Letters(kContract, "mmlu_pro", "", kAToJ, {{"multiple-choice", MOECAP_MLPERF, MlperfAToJ}}),
          Integers(kContract, {"integer", MOECAP_MLPERF, AimeMlperf}),
          Mathematics(kContract, "math500", "", {{"boxed-prm800k", MOECAP_MLPERF ", prm800k 7ecc794", MlperfMath}})};
}

std::vector<Task> OfficialTasks() {
  constexpr std::string_view kContract = "official";
  constexpr std::string_view kTiger = "TIGER-AI-Lab/MMLU-Pro f418b11 compute_accuracy.py";
  return {
      Numbers(kContract, "gsm8k", "tinymath", {{"exact-match", "openai/grade-school-math dataset.py", Gsm8kOfficial}}),
      Letters(kContract, "mmlu", "", kAToD, {{"simple-evals", "openai/simple-evals ee3b031 mmlu_eval.py", SimpleEvalsMmlu}}),
      Letters(kContract, "mmlu_pro", "", kAToJ, {{"level-1", kTiger, TigerLevel1}, {"level-2", kTiger, TigerLevel2}}),
      Letters(kContract, "gpqa", "gpqa_diamond", kAToD,
              {{"baseline", "idavidrein/gpqa baselines", GpqaOfficial},
               {"simple-evals", "openai/simple-evals ee3b031 gpqa_eval.py", SimpleEvalsGpqa}}),
      LongBench(kContract, {"metric-of-task", "THUDM/LongBench 2e00731 metrics.py, eval.py", LongBenchOfficial}),
      ShownApart(Letters(kContract, "longbench_v2", "", kAToD,
                         {{"extract-answer", "THUDM/LongBench 2e00731 pred.py", LongBenchV2Official},
                          {"compensated", "THUDM/LongBench 2e00731 result.py", LongBenchV2Compensated}}),
                 "difficulty length"),
      Ruler(kContract, {"string-match", "NVIDIA/RULER c3f5e3b constants.py", RulerOfficial}, ReadRulerFacts),
      Ifeval(kContract, {{"prompt-strict", "google-research 3f357bd evaluation_lib.py", IfevalPromptStrict},
                         {"instruction-strict", "google-research 3f357bd evaluation_lib.py", IfevalInstructionStrict},
                         {"prompt-loose", "google-research 3f357bd evaluation_lib.py", IfevalPromptLoose},
                         {"instruction-loose", "google-research 3f357bd evaluation_lib.py", IfevalInstructionLoose}}),
      HumanEval(kContract, "humaneval",
                {{"completion", "openai/human-eval 6d43fb9 execution.py", HumanEvalCompletion, "", true},
                 {"simple-evals", "openai/simple-evals ee3b031 humaneval_eval.py", HumanEvalSimpleEvals, "", true}}),
      Mathematics(kContract, "math", "", {{"boxed", "hendrycks/math 985bdc1 math_equivalence.py", HendrycksBoxed}}),
      Mathematics(kContract, "math500", "", {{"boxed", "openai/prm800k 7ecc794 grader.py", Prm800kBoxed}}),
      Mathematics(kContract, "numinamath", "", {kMathVerify})};
}

std::vector<Task> UpstreamTasks() {
  constexpr std::string_view kContract = "moe-cap";
  const auto rule = [](Scorer score) { return std::vector<Filter>{{"exact-match", "MoE-CAP e9e0d88 acc_metrics.py", score}}; };
  return {
      Numbers(kContract, "gsm8k", "tinymath", rule(MoeCapGsm8k)), Mathematics(kContract, "math", "math500", rule(MoeCapNumber)),
      Mathematics(kContract, "numinamath", "", rule(MoeCapNumber)), Letters(kContract, "mmlu_pro", "", kAToJ, rule(MoeCapAToJ)),
      Letters(kContract, "longbench_v2", "", kAToD, rule(MoeCapAToD))};
}

std::string Plain(std::string_view name) {
  std::string plain = LowerCase(name);
  std::replace(plain.begin(), plain.end(), '-', '_');
  return plain;
}

bool IsNamed(const Task& task, std::string_view plain) {
  const std::vector<std::string_view> aliases = WordsOf(task.aliases);
  return Plain(task.name) == plain || std::ranges::any_of(aliases, [&](auto alias) { return Plain(alias) == plain; });
}

std::string Listed(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

std::string DidYouMean(std::string_view word, const std::vector<std::string>& known) {
  const std::string nearest = NearestWord(word, known);
  return nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest);
}

}  // namespace

std::span<const Task> Tasks() {
  static const std::vector<Task> tasks = [] {
    std::vector<Task> all;
    for (std::vector<Task> some : {HarnessTasks(), MlperfTasks(), OfficialTasks(), UpstreamTasks()})
      all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
    return all;
  }();
  return tasks;
}

std::vector<std::string_view> WordsOf(std::string_view names) { return unicode::Split(names); }

Result<const Task*> FindTask(std::string_view name, std::string_view contract) {
  if (std::find(kContracts.begin(), kContracts.end(), contract) == kContracts.end()) {
    const std::vector<std::string> known(kContracts.begin(), kContracts.end());
    return BadInput(fmt::format("no contract '{}'; there are {}{}", contract, Listed(known), DidYouMean(contract, known)));
  }
  std::vector<std::string> names;
  for (const Task& task : Tasks()) {
    if (task.contract != contract) continue;
    if (IsNamed(task, Plain(name))) return &task;
    names.emplace_back(task.name);
  }
  return BadInput(fmt::format("contract {} has no rule for task '{}'; it has {}{}", contract, name, Listed(names),
                              DidYouMean(name, names)));
}

Result<std::string> ReadGold(const Task& task, std::string_view text) {
  std::string gold(Strip(text));
  if (gold.empty() && task.gold != GoldForm::kNone) return BadInput("the gold answer is empty");
  switch (task.gold) {
    case GoldForm::kNumber: {
      static const Regex number("(?:^|#### )\\s*\\$?-?\\.?[0-9][0-9.,]*\\s*\\z");
      if (!number.Search(gold))
        return BadInput(fmt::format("the gold answer '{}' is no number and does not end in '#### N'", gold));
      return gold;
    }
    case GoldForm::kLetter: {
      const std::string_view inside =
          gold.size() == 3 && gold.front() == '(' && gold.back() == ')' ? std::string_view(gold).substr(1, 1) : gold;
      if (inside.size() != 1 || task.letters.find(inside) == std::string_view::npos)
        return BadInput(fmt::format("the gold answer '{}' is none of the letters {}", gold, task.letters));
      return std::string(inside);
    }
    case GoldForm::kInteger:
      if (gold.size() > 3 || !std::all_of(gold.begin(), gold.end(), IsDigit))
        return BadInput(fmt::format("the gold answer '{}' is no integer from 0 to 999", gold));
      return gold;
    case GoldForm::kMath:
      if (std::optional<std::string> boxed = LastBoxed(gold)) gold = std::string(Strip(*boxed));
      if (gold.empty()) return BadInput("the gold answer is an empty \\boxed{}");
      return gold;
    case GoldForm::kTexts:
    case GoldForm::kNone:
      return std::string(text);
  }
  return gold;
}

Result<Reference> ReadReference(const Task& task, RawReference raw) {
  Reference reference;
  reference.choices = std::move(raw.choices);
  reference.part = std::move(raw.part);
  if (task.gold != GoldForm::kNone) {
    if (raw.golds.empty()) return BadInput("there is no gold answer");
    if (raw.golds.size() > 1 && task.gold != GoldForm::kTexts)
      return BadInput(fmt::format("{} gold answers, where the task has one", raw.golds.size()));
    for (const std::string& each : raw.golds) {
      ASSIGN_OR_RETURN(std::string gold, ReadGold(task, each));
      if (reference.golds.empty()) reference.gold = gold;
      if (task.gold == GoldForm::kTexts) reference.golds.push_back(ValidUtf8(gold));
    }
  }
  Json facts = Json::object();
  if (!raw.facts.empty()) {
    ASSIGN_OR_RETURN(facts, ParseJson(raw.facts));
  }
  if (task.read_facts != nullptr) RETURN_IF_ERROR(task.read_facts(facts, reference));
  for (const std::string_view name : WordsOf(task.breakdown)) {
    const auto value = facts.find(std::string(name));
    if (value != facts.end() && value->is_string()) {
      reference.traits.emplace_back(name, value->get<std::string>());
    } else if (task.parts_count_alike) {
      reference.traits.emplace_back(name, reference.part);
    }
  }
  return reference;
}

Verdict Score(const Filter& filter, std::string_view prediction, const Reference& reference) {
  const std::string text = ValidUtf8(prediction), gold = ValidUtf8(reference.gold);
  return filter.score({text, gold, reference.choices, &reference});
}

Result<Verdict> Judge(const Filter& filter, std::string_view prediction, const Reference& reference, const ProgramRunner& run) {
  Verdict verdict = Score(filter, prediction, reference);
  if (!filter.runs_code || !verdict.extracted) return verdict;
  CHECK(run);
  ASSIGN_OR_RETURN(verdict.correct,
                   run(HumanEvalProgram(reference.prompt, *verdict.extracted, reference.test, reference.entry_point)));
  return verdict;
}

}  // namespace moecap::accuracy
