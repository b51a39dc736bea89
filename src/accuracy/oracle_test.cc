// Verdicts of the reference implementations themselves, where the project's reference material lies beside the checkout.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "accuracy/aime.h"
#include "accuracy/boxed.h"
#include "accuracy/contract.h"
#include "accuracy/gsm8k.h"
#include "accuracy/hendrycks.h"
#include "accuracy/math_answers.h"
#include "accuracy/math_verify.h"
#include "accuracy/minerva.h"
#include "accuracy/moe_cap.h"
#include "accuracy/multiple_choice.h"
#include "accuracy/prm800k.h"
#include "base/fs.h"
#include "base/json.h"

namespace moecap::accuracy {
namespace {

const std::filesystem::path& Folder() {
  static const std::filesystem::path folder = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/oracles";
  return folder;
}

std::vector<Json> Rows(const char* file) {
  std::vector<Json> rows;
  for (const std::string& line : *ReadLines(Folder() / file)) rows.push_back(*ParseJson(line));
  return rows;
}

Verdict MathVerdict(const Json& row, bool (*equal)(std::string_view, std::string_view)) {
  const std::string prediction = row["prediction"], gold = row["gold"];
  const std::optional<std::string> boxed = row["task"] == "math500_real" ? LastBoxed(prediction) : prediction;
  return {boxed, boxed && equal(*boxed, gold), false};
}

bool HarnessEqual(std::string_view a, std::string_view b) { return HendrycksEqual(a, b, HendrycksVariant::kHarness); }
bool OriginalEqual(std::string_view a, std::string_view b) { return HendrycksEqual(a, b, HendrycksVariant::kOriginal); }

// The scorer of each rule on strings, by "task/filter" of the oracle.
const std::map<std::string, Scorer>& StringRules() {
  static const std::map<std::string, Scorer> rules{{"gsm8k/strict-match", Gsm8kStrictMatch},
                                                   {"gsm8k/flexible-extract", Gsm8kFlexibleExtract},
                                                   {"gsm8k_cot/strict-match", Gsm8kCotStrictMatch},
                                                   {"gsm8k_cot_llama/strict-match", Gsm8kCotLlamaStrictMatch},
                                                   {"gsm8k_cot_llama/flexible-extract", Gsm8kFlexibleExtract},
                                                   {"mmlu_pro/custom-extract", MmluProCustomExtract},
                                                   {"mmlu_pro/tiger-l1", TigerLevel1},
                                                   {"mmlu_pro/tiger-l2", TigerLevel2},
                                                   {"mmlu_pro/mlperf-mc-J", MlperfAToJ},
                                                   {"gpqa/mlperf-mc-D", MlperfAToD},
                                                   {"gpqa/strict-match", GpqaStrictMatch},
                                                   {"gpqa/flexible-extract", MultipleChoiceFlexible},
                                                   {"gpqa/simple-evals-multichoice", SimpleEvalsGpqa},
                                                   {"mmlu/simple-evals-mmlu", SimpleEvalsMmlu},
                                                   {"mmlu_generative/get_response", MmluGenerativeGetResponse},
                                                   {"longbench_v2/extract_answer", LongBenchV2Official},
                                                   {"aime/exact_match", AimeLmEval},
                                                   {"aime/mlperf-aime", AimeMlperf},
                                                   {"hendrycks_math/exact_match", HendrycksExactMatch}};
  return rules;
}

std::optional<std::string> ExtractedOf(const Json& row) {
  const Json& extracted = row["extracted"];
  if (extracted.is_null() || extracted == "[invalid]") return std::nullopt;
  return extracted.is_string() ? extracted.get<std::string>() : extracted.dump();
}

TEST(Oracle, RulesOnStringsAgreeExactly) {
  if (!std::filesystem::exists(Folder())) GTEST_SKIP() << "no oracle files";
  std::map<std::string, int> cases;
  for (const Json& row : Rows("answer_cases.jsonl")) {
    const std::string key = row["task"].get<std::string>() + "/" + row["filter"].get<std::string>();
    const auto rule = StringRules().find(key);
    if (rule == StringRules().end()) continue;
    std::vector<std::string> choices;
    if (row.contains("choices")) choices = row["choices"].get<std::vector<std::string>>();
    const std::string prediction = row["prediction"], gold = row["gold"];
    const Verdict verdict = rule->second({prediction, gold, choices});
    EXPECT_EQ(verdict.correct, row["verdict"].get<bool>()) << key << " " << row;
    EXPECT_FALSE(verdict.gave_up) << row;
    if (row.contains("extracted")) {
      EXPECT_EQ(verdict.extracted, ExtractedOf(row)) << key << " " << row;
    }
    ++cases[key];
  }
  EXPECT_EQ(cases.size(), StringRules().size());
}

TEST(Oracle, HendrycksAgreesExactly) {
  if (!std::filesystem::exists(Folder())) GTEST_SKIP() << "no oracle files";
  int cases = 0;
  for (const Json& row : Rows("answer_cases.jsonl")) {
    const std::string filter = row["filter"];
    if (filter.find("hendrycks_is_equiv") == std::string::npos) continue;
    const bool original = filter.ends_with("original");
    EXPECT_EQ(MathVerdict(row, original ? OriginalEqual : HarnessEqual).correct, row["verdict"].get<bool>()) << row;
    ++cases;
  }
  EXPECT_GT(cases, 350);
}

bool MinervaSame(std::string_view answer, std::string_view gold) {
  return MinervaEqual(MinervaNormalised(answer), MinervaNormalised(gold));
}
bool PrmSame(std::string_view answer, std::string_view gold) { return Prm800kEqual(answer, gold); }
bool VerifySame(std::string_view answer, std::string_view gold) { return MathVerifyEqual(gold, answer); }

// The grader that a filter of the oracle names, null for rules on strings.
bool (*GraderOf(const std::string& filter))(std::string_view, std::string_view) {
  if (filter.ends_with("minerva_is_equiv")) return MinervaSame;
  if (filter.ends_with("prm800k_grade_answer")) return PrmSame;
  return filter == "math_verify" ? VerifySame : nullptr;
}

Verdict GraderVerdict(const Json& row) {
  const std::string task = row["task"], filter = row["filter"], prediction = row["prediction"], gold = row["gold"];
  if (task == "minerva_math" && filter == "exact_match") return MinervaExactMatch({prediction, gold, {}});
  if (task == "math500") return MlperfMath({prediction, gold, {}});
  if (filter == "math_verify" && task != "math_answer") return MathVerifyScore({prediction, gold, {}});
  return MathVerdict(row, GraderOf(filter));
}

// The graders that lean on a computer-algebra system: at least 97 % each; each disagreement stands in docs/accuracy.md.
TEST(Oracle, GradersOfMathematicsAgree) {
  if (!std::filesystem::exists(Folder())) GTEST_SKIP() << "no oracle files";
  std::map<std::string, std::pair<int, int>> agreed;  // of all
  for (const Json& row : Rows("answer_cases.jsonl")) {
    const std::string task = row["task"], filter = row["filter"];
    const bool is_math =
        GraderOf(filter) != nullptr || (task == "minerva_math" && filter == "exact_match") || task == "math500";
    if (!is_math) continue;
    const std::string grader = filter == "exact_match"        ? "minerva_is_equiv"
                               : task == "math500"            ? "prm800k_grade_answer"
                               : filter.starts_with("boxed+") ? filter.substr(6)
                                                              : filter;
    auto& [same, all] = agreed[grader];
    const bool correct = GraderVerdict(row).correct;
    ++all;
    same += correct == row["verdict"].get<bool>();
    if (correct != row["verdict"].get<bool>())
      std::cout << grader << " says " << row["verdict"] << ", we " << correct << ": " << row["prediction"] << " | "
                << row["gold"] << "\n";
  }
  ASSERT_EQ(agreed.size(), 3u);
  for (const auto& [grader, counts] : agreed) {
    std::cout << grader << ": " << counts.first << " of " << counts.second << "\n";
    EXPECT_GE(counts.first, 0.97 * counts.second) << grader;
    EXPECT_GT(counts.second, 300) << grader;
  }
}

TEST(Oracle, MoeCapAgreesExactly) {
  if (!std::filesystem::exists(Folder())) GTEST_SKIP() << "no oracle files";
  int cases = 0;
  for (const Json& row : Rows("answer_cases.jsonl")) {
    if (!row.contains("upstream_moe_cap")) continue;
    const std::string task = row["task"], prediction = row["prediction"], gold = row["gold"];
    const Scorer score = task == "mmlu_pro"       ? MoeCapAToJ
                         : task == "longbench_v2" ? MoeCapAToD
                         : task == "gsm8k"        ? MoeCapGsm8k
                                                  : MoeCapNumber;
    const Verdict verdict = score({prediction, gold, {}});
    const Json& upstream = row["upstream_moe_cap"];
    EXPECT_EQ(verdict.correct, upstream["verdict"].get<bool>()) << row;
    EXPECT_EQ(verdict.extracted.value_or(""), upstream["extracted"].get<std::string>()) << row;
    ++cases;
  }
  EXPECT_GT(cases, 500);
}

TEST(Oracle, RealMmluProRepliesAgreeExactly) {
  if (!std::filesystem::exists(Folder())) GTEST_SKIP() << "no oracle files";
  const std::pair<const char*, Scorer> rules[] = {{"lm_eval_custom_extract", MmluProCustomExtract},
                                                  {"tiger_l1", TigerLevel1},
                                                  {"tiger_l2", TigerLevel2},
                                                  {"moe_cap", MoeCapAToJ}};
  for (const Json& row : Rows("mmlu_pro_outputs.jsonl")) {
    const std::string prediction = row["prediction"], gold = row["gold"];
    for (const auto& [column, score] : rules) {
      const Json& letter = row[column];
      const std::optional<std::string> expected =
          letter.is_null() || letter == "[invalid]" || letter == "" ? std::nullopt : std::optional(letter.get<std::string>());
      const Verdict verdict = score({prediction, gold, {}});
      EXPECT_EQ(verdict.extracted, expected) << column << " " << row["question_id"];
      EXPECT_EQ(verdict.correct, expected == gold) << column << " " << row["question_id"];
    }
  }
}

}  // namespace
}  // namespace moecap::accuracy
