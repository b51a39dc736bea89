// Checks of the tinymath data set. The arithmetic is re-evaluated from the answer's text by a parser of its own, which
// shares no code with the generator. MOECAP_SOURCE_DIR is the root of the checkout.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "problem.h"

namespace moecap::tinymath {
namespace {

constexpr int kShipped = 512;

std::vector<std::string> ReadLines(const std::string& name) {
  std::ifstream file(std::string(MOECAP_SOURCE_DIR) + "/datasets/tinymath/" + name);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// Exact value of "a", "a.b", and of + - * / between them, by recursive descent with the usual precedence.
class Evaluator {
 public:
  struct Value {
    long long num = 0;
    long long den = 1;
    bool operator==(const Value&) const = default;
  };

  static std::optional<Value> Evaluate(std::string_view text) {
    Evaluator evaluator(text);
    const Value value = evaluator.Sum();
    if (!evaluator.ok_ || evaluator.at_ != text.size()) return std::nullopt;
    return value;
  }

 private:
  explicit Evaluator(std::string_view text) : text_(text) {}

  static Value Make(long long num, long long den) {
    const long long g = std::gcd(num, den) == 0 ? 1 : std::gcd(num, den);
    return den < 0 ? Value{-num / g, -den / g} : Value{num / g, den / g};
  }

  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Value Sum() {
    Value left = Product();
    for (;;) {
      const bool plus = Take('+');
      if (!plus && !Take('-')) return left;
      const Value right = Product();
      left = Make(left.num * right.den + (plus ? 1 : -1) * right.num * left.den, left.den * right.den);
    }
  }

  Value Product() {
    Value left = Number();
    for (;;) {
      if (Take('*')) {
        const Value right = Number();
        left = Make(left.num * right.num, left.den * right.den);
      } else if (Take('/')) {
        const Value right = Number();
        if (right.num == 0) ok_ = false;
        left = Make(left.num * right.den, right.num == 0 ? 1 : left.den * right.num);
      } else {
        return left;
      }
    }
  }

  Value Number() {
    long long num = 0;
    long long den = 1;
    int digits = 0;
    for (bool point = false; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '.' && !point && digits > 0) {
        point = true;
      } else if (c >= '0' && c <= '9') {
        num = num * 10 + (c - '0');
        if (point) den *= 10;
        ++digits;
      } else {
        break;
      }
    }
    if (digits == 0) ok_ = false;
    return Make(num, den);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

// Every "expression=value" line holds, and the number after "####" is the last value. Returns the number of steps.
int CheckAnswer(const std::string& answer) {
  std::istringstream lines(answer);
  std::string last;
  int steps = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#### ")) {
      EXPECT_EQ(line.substr(5), last);
      EXPECT_TRUE(std::regex_match(line, std::regex(R"(#### (\-?[0-9\.\,]+))"))) << line;
      EXPECT_TRUE(lines.peek() == EOF) << answer;
      return steps;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) break;
    const auto left = Evaluator::Evaluate(std::string_view(line).substr(0, equals));
    last = line.substr(equals + 1);
    const auto right = Evaluator::Evaluate(last);
    EXPECT_TRUE(left && right && *left == *right) << line;
    ++steps;
  }
  ADD_FAILURE() << "no #### line: " << answer;
  return steps;
}

std::vector<Problem> TestProblems() {
  std::vector<Problem> problems;
  for (int i = 0; i < kShipped; ++i) problems.push_back(MakeProblem(Split::kTest, 1, static_cast<std::uint64_t>(i)));
  return problems;
}

TEST(TinymathEvaluator, KnowsArithmetic) {
  using Value = Evaluator::Value;
  EXPECT_EQ(Evaluator::Evaluate("2+3*4"), (Value{14, 1}));
  EXPECT_EQ(Evaluator::Evaluate("3/8+1/8"), (Value{1, 2}));
  EXPECT_EQ(Evaluator::Evaluate("5.25*4-1"), (Value{20, 1}));
  EXPECT_EQ(Evaluator::Evaluate("2+"), std::nullopt);
  EXPECT_EQ(Evaluator::Evaluate("1/0"), std::nullopt);
}

TEST(Tinymath, ShippedFilesAreWhatTheGeneratorWrites) {
  const auto test = ReadLines("test.jsonl");
  ASSERT_EQ(test.size(), static_cast<std::size_t>(kShipped));
  for (std::size_t i = 0; i < test.size(); ++i) EXPECT_EQ(test[i], ToJsonLine(MakeProblem(Split::kTest, 1, i)));
  const auto sample = ReadLines("train_sample.jsonl");
  ASSERT_EQ(sample.size(), 96u);
  for (std::size_t i = 0; i < sample.size(); ++i) EXPECT_EQ(sample[i], ToJsonLine(MakeProblem(Split::kTrain, 2, i)));
}

TEST(Tinymath, HasFortyTemplatesOfTwoToEightSteps) {
  EXPECT_GE(TemplateCount(), 40);
  std::set<std::string_view> ids;
  std::vector<int> per_steps(9);
  for (int i = 0; i < TemplateCount(); ++i) {
    ids.insert(TemplateId(i));
    ASSERT_GE(TemplateSteps(i), 2);
    ASSERT_LE(TemplateSteps(i), 8);
    ++per_steps[static_cast<std::size_t>(TemplateSteps(i))];
  }
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(TemplateCount()));
  for (std::size_t steps = 2; steps <= 8; ++steps) EXPECT_GE(per_steps[steps], 5) << steps;
}

TEST(Tinymath, EveryRunOfProblemsHoldsEachTemplateOnce) {
  std::set<std::string> seen;
  for (int i = 0; i < TemplateCount(); ++i)
    seen.insert(MakeProblem(Split::kTest, 5, static_cast<std::uint64_t>(i)).template_id);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(TemplateCount()));
}

TEST(Tinymath, ShippedArithmeticIsRight) {
  for (const Problem& problem : TestProblems()) EXPECT_EQ(CheckAnswer(problem.answer), problem.steps) << problem.answer;
}

TEST(Tinymath, TrainingArithmeticIsRight) {
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const Problem problem = MakeProblem(Split::kTrain, 3, i);
    ASSERT_EQ(CheckAnswer(problem.answer), problem.steps) << problem.answer;
  }
}

TEST(Tinymath, TestAndTrainingKeysAreDisjoint) {
  std::set<std::string> test_keys;
  for (const Problem& problem : TestProblems()) {
    const std::string key = SplitKey(problem.template_id, problem.operands);
    EXPECT_TRUE(IsTestKey(key)) << key;
    test_keys.insert(key);
  }
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const Problem problem = MakeProblem(Split::kTrain, 4, i);
    const std::string key = SplitKey(problem.template_id, problem.operands);
    ASSERT_FALSE(IsTestKey(key)) << key;
    ASSERT_FALSE(test_keys.contains(key)) << key;
  }
}

TEST(Tinymath, SplitHashIsFnv1a64AndTakesOneSixteenth) {
  EXPECT_EQ(Fnv1a64(""), 0xcbf29ce484222325ull);
  EXPECT_EQ(Fnv1a64("a"), 0xaf63dc4c8601ec8cull);
  int in_test = 0;
  for (int i = 0; i < 160000; ++i) in_test += IsTestKey(SplitKey("boxes2", {std::to_string(i), "7"})) ? 1 : 0;
  EXPECT_NEAR(in_test, 10000, 500);
}

TEST(Tinymath, NoQuestionAppearsTwice) {
  std::set<std::string> questions;
  std::set<std::string> keys;
  for (const Problem& problem : TestProblems()) {
    questions.insert(problem.question);
    keys.insert(SplitKey(problem.template_id, problem.operands));
  }
  EXPECT_EQ(questions.size(), static_cast<std::size_t>(kShipped));
  EXPECT_EQ(keys.size(), static_cast<std::size_t>(kShipped));
}

TEST(Tinymath, CoversOperationsDecimalsAndFractions) {
  int with_decimals = 0;
  int with_fractions = 0;
  std::string all;
  for (const Problem& problem : TestProblems()) {
    with_decimals += problem.answer.find('.') != std::string::npos ? 1 : 0;
    with_fractions += std::regex_search(problem.question, std::regex("[0-9]/[0-9]")) ? 1 : 0;
    all += problem.answer;
    for (const std::string& operand : problem.operands) {
      EXPECT_LE(std::count_if(operand.begin(), operand.end(), [](char c) { return c != '.'; }), 4) << operand;
    }
  }
  for (const char op : {'+', '-', '*', '/'}) EXPECT_GT(std::count(all.begin(), all.end(), op), 100) << op;
  EXPECT_GE(with_decimals, 80);
  EXPECT_GE(with_fractions, 50);
}

TEST(Tinymath, TextIsCleanAscii) {
  for (const Problem& problem : TestProblems()) {
    EXPECT_EQ(problem.question.back(), '?');
    for (const char* bad : {"  ", " ?", " .", "{", "}", "[", "]", "\n"}) {
      EXPECT_EQ(problem.question.find(bad), std::string::npos) << problem.question;
    }
    for (const char c : problem.question) EXPECT_TRUE(c >= ' ' && c <= '~') << problem.question;
  }
}

}  // namespace
}  // namespace moecap::tinymath
