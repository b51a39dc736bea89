#include "accuracy/longbench.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "accuracy/rouge_l.h"
#include "accuracy/sequence_ratio.h"
#include "base/fs.h"
#include "base/json.h"

namespace moecap::accuracy {
namespace {

using Strings = std::vector<std::string>;

double Ratio(std::u32string_view a, std::u32string_view b) { return SequenceRatio(a, b); }

TEST(SequenceRatio, IsDifflibs) {
  EXPECT_DOUBLE_EQ(Ratio(U"", U""), 1);
  EXPECT_DOUBLE_EQ(Ratio(U"abc", U""), 0);
  EXPECT_DOUBLE_EQ(Ratio(U"abcd", U"bcde"), 0.75) << "difflib's own example";
  EXPECT_DOUBLE_EQ(Ratio(U"tide", U"diet"), 0.25) << "its two orders differ";
  EXPECT_DOUBLE_EQ(Ratio(U"diet", U"tide"), 0.5);
  EXPECT_DOUBLE_EQ(Ratio(U"größer", U"grösser"), 10.0 / 13) << "characters, not bytes";
}

TEST(SequenceRatio, FrequentElementsOfALongSecondSequenceStartNoMatch) {
  const std::u32string many(200, U'x');
  EXPECT_DOUBLE_EQ(Ratio(U"zxxxx", many), 0) << "200 times x in 200 is frequent";
  EXPECT_DOUBLE_EQ(Ratio(U"zxxxx", many.substr(1)), 8.0 / 204) << "199 are not long";
  EXPECT_DOUBLE_EQ(Ratio(U"zxxyxx", many + U"y" + many), 10.0 / 407) << "but they lengthen one that starts elsewhere";
}

TEST(FuzzyPercent, RoundsAndKnowsEmptyTexts) {
  EXPECT_EQ(FuzzyPercent("", ""), 100);
  EXPECT_EQ(FuzzyPercent("a", ""), 0);
  EXPECT_EQ(FuzzyPercent("abcd", "bcde"), 75);
  EXPECT_EQ(FuzzyPercent("aaaaaaaax", "aaaaaaabbbbbbbb"), 58) << "2 * 7 / 24 = 58.33";
  EXPECT_EQ(FuzzyPercent("abcdefgh", "abcdefghxxxxxxxxxxxx"), 57);
}

TEST(RougeL, FollowsThePackage) {
  EXPECT_NEAR(RougeL("a b c d", "a b c"), 0.857142852, 1e-9);
  EXPECT_NEAR(RougeL("the cat sat", "the cat sat"), 0.999999995, 1e-9) << "never 1, for its 1e-8";
  EXPECT_EQ(RougeL("A", "a"), 0) << "letter case counts";
  EXPECT_EQ(RougeL("", "a"), 0);
  EXPECT_EQ(RougeL("...", "a"), 0) << "no sentence";
  // Sentences {"a"}, {""} against {"a"}: u = 1, P = 1/2, R = 1. A sentence of blanks has the empty word.
  EXPECT_NEAR(RougeL("a. ", "a"), 2.0 / 3, 1e-8);
  // "c b" and "b c" have a common subsequence of one word, but each of "a b" and "b a" finds another: words of all are counted.
  EXPECT_NEAR(RougeL("x y. y x", "y x"), 0.999999995, 1e-9);
}

TEST(RougeL, GivesUpWhereTheRecursionOfThePackageDoes) {
  std::string long_text;
  for (int i = 0; i < 990; ++i) long_text += "w" + std::to_string(i) + " ";
  EXPECT_GT(RougeL("w0 " + long_text.substr(3), "w0"), 0) << "990 steps";
  EXPECT_EQ(RougeL(long_text + "last", "w0"), 0) << "991 steps";
  EXPECT_GT(RougeL(long_text + ". last", "w0"), 0) << "in two sentences";
}

TEST(LongBench, F1IgnoresCasePunctuationAndArticles) {
  EXPECT_DOUBLE_EQ(QaF1("The U.S. Army", "us army"), 1);
  EXPECT_DOUBLE_EQ(QaF1("a cat and a dog", "dog"), 0.5) << "cat and dog against dog: P = 1/3, R = 1";
  EXPECT_DOUBLE_EQ(QaF1("", "dog"), 0);
  EXPECT_DOUBLE_EQ(QaF1("dog dog", "dog"), 2.0 / 3) << "words are counted";
  EXPECT_DOUBLE_EQ(QaF1("ÉCOLE", "école"), 1);
  EXPECT_DOUBLE_EQ(QaF1("an\xff the", "x"), 0) << "bytes that are no text";
}

TEST(LongBench, ClassesFoundInTheGoldAreDropped) {
  const Strings classes{"Individual", "Title of a person", "person", "Title"};
  EXPECT_DOUBLE_EQ(ClassScore("an Individual", "Individual", classes), 1);
  EXPECT_DOUBLE_EQ(ClassScore("Individual person", "Individual", classes), 0.5);
  // Found: the gold, "person", "Title". Both others are within the gold, but removing one skips the next.
  EXPECT_DOUBLE_EQ(ClassScore("Title of a person", "Title of a person", classes), 0.5);
  EXPECT_DOUBLE_EQ(ClassScore("nothing", "Individual", classes), 0);
}

TEST(LongBench, NumbersAreShares) {
  EXPECT_DOUBLE_EQ(CountScore("between 3 and 5", "5"), 0.5);
  EXPECT_DOUBLE_EQ(CountScore("none", "5"), 0);
  EXPECT_DOUBLE_EQ(CountScore("05", "5"), 0) << "as written";
  EXPECT_DOUBLE_EQ(RetrievalScore("Paragraph 19", "Paragraph 19").value(), 1);
  EXPECT_DOUBLE_EQ(RetrievalScore("19", "段落19").value(), 1);
  EXPECT_FALSE(RetrievalScore("19", "the 19th").has_value());
}

TEST(LongBench, CodeIsTheFirstLineWithoutMarks) {
  EXPECT_DOUBLE_EQ(CodeSimilarity("\n\n```python\n# comment\nx = 1\ny = 2", "x = 1"), 1);
  EXPECT_DOUBLE_EQ(CodeSimilarity("// only a comment", "x = 1"), 0);
  EXPECT_DOUBLE_EQ(CodeSimilarity("x = 1 // sum", "x = 1"), 0) << "the whole line is left out";
}

TEST(LongBench, TheBestAnswerCountsAndSomeTasksStopAtTheFirstLine) {
  EXPECT_DOUBLE_EQ(*ScoreLongBench("qasper", "yes", Strings{"no", "yes"}, {}), 1);
  EXPECT_DOUBLE_EQ(*ScoreLongBench("qasper_e", "yes\nQuestion", Strings{"yes"}, {}), 2.0 / 3);
  EXPECT_DOUBLE_EQ(*ScoreLongBench("triviaqa", "\nyes\nQuestion", Strings{"yes"}, {}), 1);
  EXPECT_DOUBLE_EQ(*ScoreLongBench("qasper", "yes", Strings{}, {}), 0);
  EXPECT_FALSE(ScoreLongBench("dureader", "x", Strings{"x"}, {}).ok());
  EXPECT_FALSE(ScoreLongBench("passage_retrieval_en", "x", Strings{"x"}, {}).ok());
  EXPECT_FALSE(ScoreLongBench("no_such_task", "x", Strings{"x"}, {}).ok());
}

TEST(LongBench, TheHarnessTakesTheWholeAnswer) {
  EXPECT_DOUBLE_EQ(*ScoreLongBenchHarness("triviaqa", " yes\nQuestion ", Strings{"yes"}, {}), 2.0 / 3);
  EXPECT_DOUBLE_EQ(*ScoreLongBenchHarness("lcc", "# x\n \nx = 1\n", Strings{"x = 1"}, {}), 1);
  EXPECT_DOUBLE_EQ(CodeSimilarity("# x\n \nx = 1\n", "x = 1"), 0.33) << "the benchmark itself takes the blank line";
  EXPECT_FALSE(ScoreLongBenchHarness("none", "x", Strings{"x"}, {}).ok());
}

TEST(LongBench, V2ReadsTheLetter) {
  EXPECT_EQ(LongBenchV2Letter("**The correct answer is (C)**"), 'C');
  EXPECT_EQ(LongBenchV2Letter("The correct answer is (E). The correct answer is B"), 'B');
  EXPECT_EQ(LongBenchV2Letter("The correct answer is A. The correct answer is (B)"), 'B') << "brackets first";
  EXPECT_EQ(LongBenchV2Letter("The correct answer is Beijing"), 'B');
  EXPECT_EQ(LongBenchV2Letter("the correct answer is (B)"), std::nullopt);
}

// A million bytes in one line, in one sentence, without an end, and against each other: completes.
TEST(LongBench, LongAnswersTakeBoundedWork) {
  std::string words, marks;
  while (words.size() < 1'000'000) words += "ab ", marks += "xy";
  EXPECT_EQ(RougeL(words, words), 0) << "too deep";
  EXPECT_GT(RougeL(words + ".", "ab ab ab"), 0);
  EXPECT_GT(QaF1(words, words), 0.99);
  EXPECT_EQ(CodeSimilarity(marks, std::string(199, 'x')), 0);
  EXPECT_EQ(CountScore(marks, "1"), 0);
}

TEST(LongBench, AgreesWithTheReferenceOnEveryOracleCase) {
  const std::filesystem::path file = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/oracles/longbench_cases.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no oracle file";
  int cases = 0;
  for (const std::string& line : *ReadLines(file)) {
    const Json row = *ParseJson(line);
    const auto classes = row["all_classes"].is_null() ? Strings() : row["all_classes"].get<Strings>();
    const auto score = ScoreLongBench(row["dataset"].get<std::string>(), row["prediction"].get<std::string>(),
                                      row["answers"].get<Strings>(), classes);
    ASSERT_TRUE(score.ok()) << score.error().message;
    EXPECT_DOUBLE_EQ(*score, row["score"].get<double>()) << line;
    ++cases;
  }
  EXPECT_GT(cases, 200);
}

}  // namespace
}  // namespace moecap::accuracy
