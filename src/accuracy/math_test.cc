#include <gtest/gtest.h>

#include "accuracy/boxed.h"
#include "accuracy/hendrycks.h"
#include "accuracy/math_answers.h"
#include "accuracy/math_canonical.h"
#include "accuracy/math_equal.h"
#include "accuracy/math_parse.h"
#include "accuracy/math_verify.h"
#include "accuracy/minerva.h"
#include "accuracy/prm800k.h"

namespace moecap::accuracy {
namespace {

std::string Form(const char* text) {
  const auto expr = math::Parse(text, math::Dialect::kAnswer);
  return expr ? math::Key(math::Canonical(*expr)) : "unreadable";
}

bool SameValue(const char* first, const char* second, math::Domain domain = math::Domain::kReal) {
  return math::SameValue(*math::Parse(first, math::Dialect::kAnswer), *math::Parse(second, math::Dialect::kAnswer), domain);
}

bool Same(const char* gold, const char* answer) { return MathVerifyEqual(gold, answer); }

TEST(MathCanonical, BringsOneValueToOneForm) {
  const std::pair<const char*, const char*> equal[] = {{"\\frac{6}{4}", "1.5"},
                                                       {"\\sqrt{12}", "2\\sqrt{3}"},
                                                       {"\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt2}{2}"},
                                                       {"\\sqrt[3]{54}", "3 \\cdot \\sqrt[3]{2}"},
                                                       {"8^{2/3}", "4"},
                                                       {"a+b+a", "b+2a"},
                                                       {"xyx", "x^2 y"},
                                                       {"(2x)^3", "8x^3"},
                                                       {"\\sqrt2 \\cdot \\sqrt2", "2"},
                                                       {"5!", "120"},
                                                       {"\\binom{5}{2}", "10"},
                                                       {"2^{-3}", "0.125"},
                                                       {"|-3|", "3"},
                                                       {"- - 5", "5"},
                                                       {"1,234.50", "1234.5"}};
  for (const auto& [a, b] : equal) EXPECT_EQ(Form(a), Form(b)) << a << " and " << b;
  EXPECT_NE(Form("(x+1)^2"), Form("x^2+2x+1")) << "products are not expanded; values decide";
  EXPECT_EQ(Form("9^{9^{9^9}}").substr(0, 1), "g") << "what is too large stays a power";
}

TEST(MathEqual, DecidesRationalsExactlyAndTheRestByValues) {
  EXPECT_TRUE(SameValue("(x+1)^2", "x^2+2x+1"));
  EXPECT_TRUE(SameValue("\\sin^2 x + \\cos^2 x", "1"));
  EXPECT_TRUE(SameValue("\\log_2 8", "3"));
  EXPECT_TRUE(SameValue("\\sqrt{3+2\\sqrt2}", "1+\\sqrt2"));
  EXPECT_TRUE(SameValue("\\frac{x^2-1}{x-1}", "x+1"));
  EXPECT_FALSE(SameValue("0.333333333333333333", "\\frac13"));
  EXPECT_FALSE(SameValue("100000000000000000000000000000000000000001", "100000000000000000000000000000000000000000"));
  EXPECT_FALSE(SameValue("\\sqrt2", "1.41421356237309"));
  EXPECT_FALSE(SameValue("x", "y"));
  EXPECT_FALSE(SameValue("\\sqrt{x^2}", "x", math::Domain::kComplex));
  EXPECT_FALSE(SameValue("\\frac{1}{0}", "\\frac{2}{0}")) << "what has no value is equal only as written";
}

TEST(MathVerify, ComparesAnswersOfEveryKind) {
  const std::pair<const char*, const char*> equal[] = {
      {"\\frac{1}{3}", "0.333333"},
      {"50\\%", "0.5"},
      {"5", "x = 5"},
      {"x = 5", "5"},
      {"\\{1,2,3\\}", "\\{3,2,1\\}"},
      {"5,2", "2,5"},
      {"1 \\pm \\sqrt{19}", "1-\\sqrt{19}, 1+\\sqrt{19}"},
      {"(3, \\frac{\\pi}{2})", "\\left(3,\\frac{\\pi}{2}\\right)"},
      {"[-2,7]", "x \\in [-2,7]"},
      {"x < 3", "3 > x"},
      {"2x+4y=6", "x+2y=3"},
      {"x > 1", "(1, \\infty)"},
      {"(-\\infty,1)\\cup(2,\\infty)", "(2,\\infty) \\cup (-\\infty,1)"},
      {"\\begin{pmatrix} \\frac12 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 0.5 \\\\ 2 \\end{pmatrix}"},
      {"10", "10\\text{ cm}"},
      {"13", "13 \\text{ square feet}"},
      {"90", "90^\\circ"},
      {"10000", "10,\\!000"},
      {"\\frac{7}{2}", "3\\frac12"},
      {"\\text{Evelyn}", "Evelyn"},
      {"\\text{No solution}", "no solution"},
      {"\\text{(C)}", "C"},
      {"3", "\\boxed{3}"},
      {"2 \\text{ and } 3", "3, 2"}};
  for (const auto& [gold, answer] : equal) EXPECT_TRUE(Same(gold, answer)) << gold << " and " << answer;
  const std::pair<const char*, const char*> different[] = {{"(2,5)", "[2,5]"},
                                                           {"(1,2)", "(2,1)"},
                                                           {"(5,3)", "(7,2)"},
                                                           {"50", "50\\%"},
                                                           {"x < 3", "x > 3"},
                                                           {"x < 3", "-x < -3"},
                                                           {"x = 1", "y = 1"},
                                                           {"\\{1,2\\}", "\\{1,2,2\\}"},
                                                           {"3", "\\text{3 or 4}"},
                                                           {"\\frac{\\pi}{2}", "90^\\circ"},
                                                           {"11000", "11\\ 000"},
                                                           {"\\text{even}", "\\text{odd}"},
                                                           {"2", ""}};
  for (const auto& [gold, answer] : different) EXPECT_FALSE(Same(gold, answer)) << gold << " and " << answer;
}

TEST(MathVerify, FindsTheAnswerOfAReply) {
  const auto found = [](const char* reply) { return MathVerifyScore({reply, "5", {}}).extracted.value_or("none"); };
  EXPECT_EQ(found("We find $x = 4$. Final Answer: The final answer is $5$. I hope it is correct."), "5");
  EXPECT_EQ(found("<think>maybe \\boxed{4}</think>So the answer is \\boxed{5}."), "5");
  EXPECT_EQ(found("First $7$, then the answer: $x=5$, so we are done with $y$."), "x=5");
  EXPECT_EQ(found("so \\[ 5 \\] holds"), " 5 ");
  EXPECT_EQ(found("The values are $2$ and $3$."), "2, 3");
  EXPECT_EQ(found("ANSWER: 5"), "5");
  EXPECT_EQ(found("Answer: -\\frac{3}{4}"), "-\\frac{3}{4}") << "a bare fraction is a formula";
  EXPECT_EQ(found("Answer: \\frac{a}{4}"), "none");
  EXPECT_EQ(found("She pays 5$ for 2 and $7$"), "7") << "behind a digit a dollar opens nothing";
  EXPECT_EQ(found("The answer is x = -1\nSo 2 + 2 = 4."), "-1") << "an announced number stands on the line";
  EXPECT_EQ(found("That is the answer.\n\n$x$\n\nSo 2 + 2 = 4."), "x") << "an announced formula may stand below";
  EXPECT_EQ(found("\\fbox{7}"), "none");
  EXPECT_EQ(found("no idea"), "none");
}

TEST(Minerva, NormalisesAsPublished) {
  EXPECT_EQ(MinervaNormalised("$x=5$"), "5");
  EXPECT_EQ(MinervaNormalised("\\frac12 \\text{ cm}"), "\\frac{1}{2}");
  EXPECT_EQ(MinervaNormalised("so $\\sqrt3$ it is"), "\\sqrt{3}");
  EXPECT_EQ(MinervaNormalised("1,000 dollars"), "1000");
  EXPECT_EQ(MinervaNormalised("\\boxed{\\text{east}}"), "east");
}

TEST(Minerva, SinceItsVersion31WhatIsEqualAsTextIsEqual) {
  const Answer point{"Final Answer: The final answer is $(1, 2)$. I hope it is correct.", "(1,2)", {}};
  EXPECT_FALSE(MinervaExactMatch(point).correct);
  EXPECT_TRUE(MinervaExactMatchOrSame(point).correct);
  EXPECT_FALSE(MinervaExactMatchOrSame({"no final answer", "(1,2)", {}}).correct);
}

TEST(Minerva, ComparesAsItsParserReads) {
  EXPECT_TRUE(MinervaEqual("\\frac{3}{6}", "\\frac{1}{2}"));
  EXPECT_TRUE(MinervaEqual("nylevE", "Evelyn")) << "letters multiply";
  EXPECT_TRUE(MinervaEqual("2516_8", "2516")) << "what cannot continue the expression ends it";
  EXPECT_TRUE(MinervaEqual("x\\in[-2,7]", "x\\in[1,2]")) << "a product of x and in";
  EXPECT_FALSE(MinervaEqual("(1,2)", "(1,2)")) << "no tuple can be read";
  EXPECT_FALSE(MinervaEqual("x<3", "x<3")) << "nor relations subtracted";
  EXPECT_FALSE(MinervaEqual("\\infty", "\\infty"));
  EXPECT_FALSE(MinervaEqual("50\\%", "50\\%"));
  EXPECT_FALSE(MinervaEqual("\\displaystyle 12", "12")) << "a command that it does not know is a factor";
  EXPECT_EQ(*MinervaAnswer("Final Answer: The final answer is $5$. I hope it is correct."), "$5$");
  EXPECT_FALSE(MinervaAnswer("Final Answer: The final answer is $5$").has_value()) << "without the closing sentence";
}

TEST(Prm800k, NormalisesThenComparesElements) {
  EXPECT_TRUE(Prm800kEqual("3*sqrt(13)", "3\\sqrt{13}"));
  EXPECT_TRUE(Prm800kEqual("7 3/4", "\\frac{31}{4}"));
  EXPECT_TRUE(Prm800kEqual("(3,pi/2)", "\\left( 3, \\frac{\\pi}{2} \\right)"));
  EXPECT_TRUE(Prm800kEqual("12,000 meters", "12000"));
  EXPECT_TRUE(Prm800kEqual("a+b", "b+a"));
  EXPECT_FALSE(Prm800kEqual("\\frac{3}{6}", "\\frac{1}{2}")) << "fractions must be reduced";
  EXPECT_FALSE(Prm800kEqual("5\\cdot 10^2", "500")) << "integers must be written out";
  EXPECT_FALSE(Prm800kEqual("a+b+c", "c+b+a")) << "more than two letters are not evaluated";
  EXPECT_FALSE(Prm800kEqual("[2,5]", "(2,5)"));
  EXPECT_FALSE(Prm800kEqual("12345678901234567890", "12345678901234567891"));
  EXPECT_TRUE(MlperfMath({"So \\boxed{ \\tfrac12 }", "0.5", {}}).correct);
  EXPECT_FALSE(MlperfMath({"So \\boxed{}", "", {}}).correct);
}

TEST(Hendrycks, NormalisesAsPublished) {
  EXPECT_EQ(*HendrycksNormalised("\\dfrac12", HendrycksVariant::kHarness), "\\frac{1}{2}");
  EXPECT_EQ(*HendrycksNormalised("\\frac{72}1", HendrycksVariant::kHarness), "\\frac{72}1");
  EXPECT_EQ(*HendrycksNormalised("k = .5", HendrycksVariant::kHarness), "\\frac{1}{2}");
  EXPECT_EQ(*HendrycksNormalised("10\\text{ cm}", HendrycksVariant::kHarness), "10");
  EXPECT_EQ(*HendrycksNormalised("3/4", HendrycksVariant::kHarness), "\\frac{3}{4}");
  EXPECT_EQ(*HendrycksNormalised("a/b", HendrycksVariant::kOriginal), "a/b");
  EXPECT_FALSE(HendrycksNormalised("a/b", HendrycksVariant::kHarness).has_value());
  EXPECT_EQ(*HendrycksNormalised("3/4\t", HendrycksVariant::kHarness), "3/4\t") << "integers, but not written as such";
  EXPECT_FALSE(HendrycksEqual("x / 2", "x/2", HendrycksVariant::kHarness));
  EXPECT_TRUE(HendrycksEqual("x / 2", "x/2", HendrycksVariant::kOriginal));
  EXPECT_FALSE(HendrycksNormalised("1\\text{ a}\\text{ b}", HendrycksVariant::kHarness).has_value());
  EXPECT_FALSE(HendrycksNormalised("2\\sqrt", HendrycksVariant::kHarness).has_value());
  EXPECT_EQ(*HendrycksNormalised("\\sqrt\u03c0", HendrycksVariant::kHarness), "\\sqrt{\u03c0}") << "whole characters";
}

TEST(Boxed, TakesTheLastOne) {
  EXPECT_EQ(*LastBoxed("\\boxed{1} and \\boxed{\\frac{1}{2}}."), "\\frac{1}{2}");
  EXPECT_EQ(*LastBoxed("\\boxed 5$ ok"), "5");
  EXPECT_FALSE(LastBoxed("\\boxed{5").has_value());
  EXPECT_FALSE(LastBoxed("\\fbox{5}").has_value());
  EXPECT_EQ(*LastBoxedInBraces("\\boxed{ 5 }"), "5");
  EXPECT_EQ(BetweenDollars("a $x$ b $y$ c"), "x$ b $y");
}

// Long or deep answers end, and say so; none of these is anything but wrong.
TEST(MathLimits, WhatIsTooLargeIsNotReadAndSaysSo) {
  const auto repeated = [](const char* part, size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += part;
    return text;
  };
  constexpr size_t kMebibyte = 1 << 20;
  for (const char* part :
       {"(", "{", "1+", "\\frac", "-", "$", "$x ", "\\boxed{1 ", "answer is ", "#### ", " ", "x^", "\\{1,"}) {
    const std::string inside = repeated(part, kMebibyte);
    bool gave_up = false;
    EXPECT_FALSE(MathVerifyEqual("1", inside, &gave_up)) << part;
    EXPECT_FALSE(MlperfMath({"\\boxed{" + inside + "}", "77", {}}).correct) << part;
    MathVerifyScore({inside, "1", {}});
  }
  bool gave_up = false;
  EXPECT_FALSE(MathVerifyEqual("1", repeated("1+", 20'000) + "1", &gave_up));
  EXPECT_TRUE(gave_up);
  gave_up = false;
  EXPECT_FALSE(MathVerifyEqual("1", repeated("(", 300) + "1" + repeated(")", 300), &gave_up));
  EXPECT_TRUE(gave_up);
  EXPECT_FALSE(MathVerifyEqual("1", "9^{9^{9^{9}}}"));
  EXPECT_FALSE(MathVerifyEqual("1", "100000!"));
}

}  // namespace
}  // namespace moecap::accuracy
