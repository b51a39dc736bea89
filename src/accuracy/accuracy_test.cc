#include <gtest/gtest.h>

#include "accuracy/aime.h"
#include "accuracy/contract.h"
#include "accuracy/gsm8k.h"
#include "accuracy/moe_cap.h"
#include "accuracy/multiple_choice.h"
#include "accuracy/predictions.h"
#include "accuracy/regex.h"
#include "accuracy/text.h"

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

TEST(Regex, HasPythonsMeaning) {
  EXPECT_EQ(*Regex("\\d+").FindFirst("x٣"), "٣") << "digits of every script";
  EXPECT_FALSE(Regex("\\bA\\b").FindFirst("ÄA").has_value()) << "letters of every script end no word";
  EXPECT_EQ(*Regex(".*").FindFirst("a\r\nb"), "a\r") << "only a line feed ends a line";
  EXPECT_EQ(Regex("a|").FindAll("ba"), (std::vector<std::string>{"", "a", ""}));
  EXPECT_EQ(Regex("x*").ReplaceAll("axb", "-"), "-a--b-");
  EXPECT_EQ(*Regex("[0-9]+").FindLast("1 22 3"), "3");
  EXPECT_EQ(Regex("(?<word>b)").Search("ab", 1)->begin, 1u);
  EXPECT_FALSE(Regex("b").Search("\xff\xfe").has_value());
}

TEST(Regex, GivesUpAndSaysSo) {
  bool gave_up = false;
  EXPECT_FALSE(Regex("(x+x+)+[yz]").FindFirst(std::string(60, 'x'), &gave_up).has_value());
  EXPECT_TRUE(gave_up);
  gave_up = false;
  EXPECT_TRUE(Regex("x+").FindFirst(std::string(1 << 20, 'x'), &gave_up).has_value());
  EXPECT_FALSE(gave_up);
}

TEST(Text, IsPythons) {
  EXPECT_EQ(ValidUtf8("a\xff\xe2\x82z"), "a\uFFFD\uFFFDz");
  EXPECT_EQ(Strip("\u2003 a b\u00a0\n"), "a b");
  EXPECT_EQ(LowerCase("ÄB\u0130"), "äbi\u0307");
  EXPECT_EQ(WithoutPunctuation("(a.b)~"), "ab");
}

std::string Letter(Scorer score, const char* reply, std::span<const std::string> choices = {}) {
  return score({reply, "B", choices}).extracted.value_or("none");
}

TEST(MultipleChoice, EachRuleHasItsOwnTraps) {
  EXPECT_EQ(Letter(MmluProCustomExtract, "The answer is (B). Or the answer is (C)."), "B");
  EXPECT_EQ(Letter(MmluProCustomExtract, "The answer is: B"), "none");
  EXPECT_EQ(Letter(GpqaStrictMatch, "The answer is B."), "B");
  EXPECT_EQ(Letter(TigerLevel1, "the answer is Apple"), "A");
  EXPECT_EQ(Letter(TigerLevel2, "I am not sure"), "I");
  EXPECT_EQ(Letter(MlperfAToJ, "I need a hint"), "A") << "an article counts where nothing else does";
  EXPECT_EQ(Letter(MlperfAToD, "Answer: A\nFinal answer: (b)."), "B");
  EXPECT_EQ(Letter(GpqaOfficial, "(B) is wrong, so the answer is (C)"), "C");
  EXPECT_EQ(Letter(LongBenchV2Official, "**The correct answer is (B)**"), "B");
  EXPECT_EQ(Letter(SimpleEvalsGpqa, "answer: b"), "b");
  EXPECT_FALSE(SimpleEvalsGpqa({"answer: b", "B", {}}).correct) << "its case is kept";
  EXPECT_EQ(Letter(SimpleEvalsMmlu, "**Antwort:** $\\boxed{B}$"), "B");
  EXPECT_EQ(Letter(SimpleEvalsMmlu, "答案：Ｂ"), "B");
  EXPECT_EQ(Letter(MmluGenerativeGetResponse, " B \nbecause"), "B");
  EXPECT_EQ(Letter(MmluCotLlamaStrictMatch, "best answer is A. No, the best answer is B."), "B");
  EXPECT_EQ(Letter(MoeCapAToJ, "The answer is definitely C."), "D") << "any letter after 'answer is', without case";
}

TEST(MultipleChoice, OfEmptyGroupsTheHarnessTakesNone) {
  EXPECT_FALSE(MmluFlanStrictMatch({"The final answer is D", "D", {}}).extracted.has_value())
      << "its rule eats the last letter";
  EXPECT_TRUE(MmluFlanStrictMatch({"The answer is D.", "D", {}}).correct);
}

TEST(MultipleChoice, ReadsTheChoicesThemselves) {
  const std::vector<std::string> choices{"Red fish", "blue!", "", "blue fish"};
  const std::vector<std::string> filled{"Red fish", "blue!", "green", "blue"};
  EXPECT_EQ(Letter(MultipleChoiceFlexible, "(A) or (B)", choices), "(B)");
  EXPECT_EQ(Letter(MultipleChoiceFlexible, "surely the RED fish.", filled), "(A)");
  EXPECT_EQ(Letter(MultipleChoiceFlexible, "it is blue", filled), "(D)") << "of equal texts the later choice";
  EXPECT_EQ(Letter(MultipleChoiceFlexible, "red fish: B", choices), "(B)") << "an empty choice hides the texts";
  EXPECT_EQ(Letter(MultipleChoiceFlexible, "none: E", choices), "none");
  const std::vector<std::string> nested{"no", "none of these", "all", "yes"};
  EXPECT_EQ(Letter(MultipleChoiceFlexible, "none of these", nested), "(B)") << "a choice that begins another does not hide it";
  EXPECT_TRUE(MultipleChoiceFlexible({"(B)", "b", {}}).correct) << "neither case nor punctuation counts";
}

TEST(Aime, IntegersAndTexts) {
  EXPECT_TRUE(AimeMlperf({"\\boxed{ 025 }", "25", {}}).correct);
  EXPECT_TRUE(AimeMlperf({"answer: 7", "007", {}}).correct);
  EXPECT_FALSE(AimeMlperf({"\\boxed{1000}", "1000", {}}).extracted.has_value()) << "999 is the greatest answer";
  EXPECT_FALSE(AimeLmEval({"\\boxed{25}", "025", {}}).correct);
  EXPECT_TRUE(AimeLmEval({"$25$", "25", {}}).correct);
}

TEST(MoeCap, TakesWhateverStandsLast) {
  const auto number = [](const char* reply) { return MoeCapNumber({reply, "1", {}}).extracted.value_or("none"); };
  EXPECT_EQ(number("#### 18\n\nCheck: a week is 7 * 18 = 126"), "126");
  EXPECT_EQ(number("\\boxed{2\\sqrt{3}}"), "2");
  EXPECT_EQ(number("\\boxed{1 \\boxed{2"), "none") << "a box that does not close";
  EXPECT_EQ(number("**Final Answer:**\n$42"), "42");
  EXPECT_EQ(number("He pays a total of $1,200 for 3 days"), "3");
  EXPECT_EQ(number("A: 18"), "none");
  EXPECT_TRUE(MoeCapGsm8k({"#### 2125", "2 + 2 = 4\n#### 2,125", {}}).correct);
}

TEST(Contract, FindsTasksAndNamesWhatThereIs) {
  EXPECT_EQ((*FindTask("MMLU-Pro", "mlperf"))->name, "mmlu_pro");
  EXPECT_EQ((*FindTask("tinymath", "lm-eval"))->name, "gsm8k");
  EXPECT_FALSE(FindTask("gsm8k", "mlperf").ok());
  for (const Task& task : Tasks()) {
    EXPECT_EQ(*FindTask(task.name, task.contract), &task) << task.contract << " " << task.name;
    EXPECT_FALSE(task.filters.empty());
    for (const Filter& filter : task.filters) EXPECT_FALSE(filter.source.empty()) << filter.name;
  }
}

TEST(Contract, ReadsGolds) {
  const Task& number = **FindTask("gsm8k", "lm-eval");
  const Task& letter = **FindTask("mmlu_pro", "lm-eval");
  const Task& math = **FindTask("math500", "mlperf");
  EXPECT_TRUE(ReadGold(number, "5 x 2 = 10\n#### 10").ok());
  EXPECT_FALSE(ReadGold(number, "ten").ok());
  EXPECT_EQ(*ReadGold(letter, "(J)"), "J");
  EXPECT_FALSE(ReadGold(letter, "K").ok());
  EXPECT_EQ(*ReadGold(math, "so \\boxed{\\frac12}."), "\\frac12");
  EXPECT_FALSE(ReadGold(math, " ").ok());
}

}  // namespace
}  // namespace moecap::accuracy
