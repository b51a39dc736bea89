// RULER, pass@k, groups of tasks, and the text functions below all of them.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "accuracy/code_answer.h"
#include "accuracy/group_score.h"
#include "accuracy/regex.h"
#include "accuracy/ruler.h"
#include "accuracy/unicode.h"
#include "base/fs.h"
#include "base/json.h"
#include "stats/summary.h"

namespace moecap::accuracy {
namespace {

using Strings = std::vector<std::string>;

TEST(Unicode, RepairsAndDecodes) {
  EXPECT_EQ(ValidUtf8("a\xff\xc3z"), "a\xef\xbf\xbd\xef\xbf\xbdz");
  EXPECT_EQ(ValidUtf8("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") << "a surrogate";
  EXPECT_EQ(ValidUtf8("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd") << "an overlong '/'";
  EXPECT_EQ(ValidUtf8("ö€😀"), "ö€😀");
  EXPECT_EQ(unicode::CodePoints("aö€😀"), U"aö€😀");
}

TEST(Unicode, LowersStripsAndSplits) {
  EXPECT_EQ(LowerCase("ABC ÄÖ Ω Я ß"), "abc äö ω я ß");
  EXPECT_EQ(LowerCase("\xc8\xba"), "\xe2\xb1\xa5") << "longer in lower case";
  EXPECT_TRUE(unicode::IsUpper("A1 Ä") && unicode::IsUpper("A-B") && unicode::IsLower("ß."));
  EXPECT_FALSE(unicode::IsUpper("Aä") || unicode::IsUpper("12") || unicode::IsLower("aΣ") || unicode::IsUpper("Sₙ"));
  EXPECT_EQ(Strip(" \u2003\n a b\u00a0\x1f"), "a b");
  EXPECT_EQ(Strip("\u3000"), "");
  EXPECT_EQ(unicode::Split("  a\u3000b\nc "), (std::vector<std::string_view>{"a", "b", "c"}));
  EXPECT_EQ(unicode::SplitAt("a--b--", "--"), (std::vector<std::string_view>{"a", "b", ""}));
}

TEST(Unicode, PatternsSeeCharacters) {
  EXPECT_EQ(Regex("\\w+").Count("größe über_1 ٣"), 3);
  EXPECT_EQ(Regex(".").Count("ö\n€"), 2);
  EXPECT_EQ(Regex("x*").Count("öx"), 3) << "empty ones too, as Python's findall";
  EXPECT_EQ(Regex::OfData("É", true)->Count("é"), 1);
  EXPECT_FALSE(Regex::OfData("(", true).has_value());
  EXPECT_EQ(Regex::OfData("(a+)+$", false)->Count(std::string(60, 'a') + "b"), std::nullopt) << "given up";
}

TEST(Ruler, FindsSubstrings) {
  EXPECT_DOUBLE_EQ(RulerMatchAll("12345678", Strings{"1234567", "9"}), 0.5);
  EXPECT_DOUBLE_EQ(RulerMatchPart("PARIS", Strings{"rome", "paris"}), 1);
  EXPECT_DOUBLE_EQ(RulerMatchPart("", Strings{"rome"}), 0);
  EXPECT_DOUBLE_EQ(RulerMatchAll("x", Strings{}), 0);
}

TEST(CodeAnswer, CutsAndExtracts) {
  EXPECT_EQ(CutAtStops("return 1\ndef f", Strings{"\nclass", "\ndef", ""}), "return 1");
  EXPECT_EQ(CutAtFence("  return 1\n```\nDone"), "  return 1\n");
  EXPECT_EQ(BodyOfFencedFunction("So:\n```python\ndef f(x):\n    return x\n```"), "    return x\n");
  EXPECT_EQ(BodyOfFencedFunction("def f(x):\n    return x"), "    return x");
  EXPECT_EQ(BodyOfFencedFunction("return x"), "eturn x") << "the original's slice";
  EXPECT_EQ(BodyOfFencedFunction(""), "");
  EXPECT_EQ(HumanEvalProgram("def f():\n", "  return 1", "def check(g):\n  assert g() == 1", "f"),
            "def f():\n  return 1\ndef check(g):\n  assert g() == 1\ncheck(f)\n__import__('os')._exit(86)\n");
}

TEST(PassAtK, CountsTheWaysToMiss) {
  EXPECT_DOUBLE_EQ(PassAtK(4, 2, 2), 1 - 1.0 / 6) << "C(2,2) of C(4,2) pairs miss";
  EXPECT_DOUBLE_EQ(PassAtK(3, 0, 2), 0);
  EXPECT_DOUBLE_EQ(PassAtK(3, 2, 2), 1);
}

TEST(Group, NoErrorWithoutTheErrorOfEachTask) {
  EXPECT_FALSE(AggregateGroup({}).has_value());
  const std::vector<TaskScore> tasks{{1, 0.1, 10}, {0, std::nullopt, 1}};
  const GroupScore group = AggregateGroup(tasks).value();
  EXPECT_DOUBLE_EQ(group.weighted_mean, 10.0 / 11);
  EXPECT_FALSE(group.std_error.has_value());
}

void CheckMean(const Json& row) {
  std::vector<double> values;
  if (row["values"].is_null()) {
    values.assign(row["n"].get<size_t>(), 0);
    std::fill_n(values.begin(), row["ones"].get<size_t>(), 1.0);
  } else {
    values = row["values"].get<std::vector<double>>();
  }
  const stats::MeanWithError found = stats::MeanAndError(values).value();
  EXPECT_DOUBLE_EQ(found.mean, row["mean"].get<double>()) << row;
  EXPECT_DOUBLE_EQ(found.std_error.value(), row["stderr"].get<double>()) << row;
}

void CheckGroup(const Json& row) {
  std::vector<TaskScore> tasks;
  for (size_t i = 0; i < row["sizes"].size(); ++i) {
    tasks.push_back({row["metrics"][i].get<double>(), row["stderrs"][i].get<double>(), row["sizes"][i].get<int64_t>()});
  }
  const GroupScore group = AggregateGroup(tasks).value();
  EXPECT_DOUBLE_EQ(group.weighted_mean, row["weighted_mean"].get<double>()) << row;
  EXPECT_DOUBLE_EQ(group.unweighted_mean, row["unweighted_mean"].get<double>()) << row;
  EXPECT_DOUBLE_EQ(group.std_error.value(), row["pooled_stderr"].get<double>()) << row;
}

void CheckRuler(const Json& row) {
  const auto prediction = row["prediction"].get<std::string>();
  const auto outputs = row["outputs"].get<Strings>();
  const auto percent = [](double share) { return std::nearbyint(share * 10000) / 100; };
  EXPECT_EQ(RulerPostprocessed(prediction), row["postprocessed"].get<std::string>()) << row;
  EXPECT_DOUBLE_EQ(percent(RulerMatchAll(prediction, outputs)), row["string_match_all"].get<double>()) << row;
  EXPECT_DOUBLE_EQ(percent(RulerMatchPart(prediction, outputs)), row["string_match_part"].get<double>()) << row;
}

TEST(Metrics, AgreeWithTheReferenceOnEveryOracleCase) {
  const std::filesystem::path file = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/oracles/metrics_cases.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no oracle file";
  int cases = 0;
  for (const std::string& line : *ReadLines(file)) {
    const Json row = *ParseJson(line);
    ++cases;
    if (row["kind"] == "mean_stderr") {
      CheckMean(row);
    } else if (row["kind"] == "group") {
      CheckGroup(row);
    } else if (row["kind"] == "ruler") {
      CheckRuler(row);
    } else {
      ASSERT_EQ(row["kind"], "pass_at_k");
      EXPECT_DOUBLE_EQ(PassAtK(row["n"].get<int64_t>(), row["c"].get<int64_t>(), row["k"].get<int64_t>()),
                       row["value"].get<double>())
          << row;
    }
  }
  EXPECT_GE(cases, 25);
}

}  // namespace
}  // namespace moecap::accuracy
