#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "accuracy/gsm8k.h"
#include "accuracy/regex.h"
#include "base/fs.h"
#include "base/json.h"

namespace moecap::accuracy {
namespace {

bool Strict(const char* prediction, const char* gold) {
  return ScoreGsm8k(prediction, gold, Gsm8kFilter::kStrictMatch).correct;
}
bool Flexible(const char* prediction, const char* gold) {
  return ScoreGsm8k(prediction, gold, Gsm8kFilter::kFlexibleExtract).correct;
}

TEST(Gsm8k, FollowsTheHarnessInItsCornerCases) {
  EXPECT_TRUE(Strict("3+4=<<3+4=7>>7 pens.\n#### 7", "3+4=7\n#### 7"));
  EXPECT_TRUE(Strict("#### 18.", "18"));
  EXPECT_TRUE(Strict("#### 1,234", "#### 1234"));
  EXPECT_TRUE(Strict("#### -5", "-5"));
  EXPECT_TRUE(Strict("#### 3\n#### 4", "3")) << "the first match counts";
  EXPECT_FALSE(Strict("####18", "18"));
  EXPECT_FALSE(Strict("#### $18", "18"));
  EXPECT_FALSE(Strict("#### 18.00", "18"));
  EXPECT_FALSE(Strict("The answer is 18.", "18"));

  EXPECT_TRUE(Flexible("####18", "18"));
  EXPECT_TRUE(Flexible("The answer is $18.", "18"));
  EXPECT_TRUE(Flexible("first 3, then 7", "7")) << "the last match counts";
  EXPECT_FALSE(Flexible("I think it is 42...", "42"));
  EXPECT_FALSE(Flexible("42. Hope this helps...", "42"));
  EXPECT_FALSE(Flexible("- 5", "-5"));
}

TEST(Gsm8k, NoAnswerIsNullAndWrong) {
  const Verdict verdict = ScoreGsm8k("I do not know", "18", Gsm8kFilter::kStrictMatch);
  EXPECT_FALSE(verdict.extracted.has_value());
  EXPECT_FALSE(verdict.correct);
  EXPECT_EQ(*ScoreGsm8k("#### 1.5", "18", Gsm8kFilter::kStrictMatch).extracted, "1.5");
}

TEST(Regex, FindsAndRemovesLikePython) {
  EXPECT_EQ(Regex("(a)|(b)").FindAll("xbya"), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(Regex("a*").FindAll("ba").size(), 3u);
  EXPECT_EQ(Regex("\\.$").RemoveAll("1.5.\n"), "1.5\n") << "$ also matches before a final newline";
}

// Verdicts of the harness itself, when the project's reference material lies beside the checkout.
TEST(Gsm8k, AgreesWithTheHarnessOnEveryOracleCase) {
  const std::filesystem::path file = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/oracles/answer_cases.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no oracle file";
  int cases = 0;
  for (const std::string& line : *ReadLines(file)) {
    const Json row = *ParseJson(line);
    if (row["task"] != "gsm8k") continue;
    const bool is_strict = row["filter"] == "strict-match";
    const Verdict verdict = ScoreGsm8k(row["prediction"].get<std::string>(), row["gold"].get<std::string>(),
                                       is_strict ? Gsm8kFilter::kStrictMatch : Gsm8kFilter::kFlexibleExtract);
    EXPECT_EQ(verdict.correct, row["verdict"].get<bool>()) << line;
    if (row.contains("extracted")) {
      EXPECT_EQ(verdict.extracted.value_or("[invalid]"), row["extracted"].get<std::string>()) << line;
    }
    ++cases;
  }
  EXPECT_GT(cases, 200);
}

}  // namespace
}  // namespace moecap::accuracy
