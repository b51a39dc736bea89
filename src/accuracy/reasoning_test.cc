#include "accuracy/reasoning.h"

#include <gtest/gtest.h>

#include <vector>

namespace moecap::accuracy {
namespace {

struct Case {
  std::string text, reasoning, answer;
  bool truncated = false;
};

// The shapes of docs/datasets.md.
TEST(SeparateReasoning, KnowsEveryForm) {
  const std::vector<Case> cases = {
      {"The answer is 5.", "", "The answer is 5."},
      {"  #### 5\n", "", "  #### 5\n"},
      {"", "", ""},
      {"<think>7 or 8?</think>\n\n#### 8", "7 or 8?", "#### 8"},
      {"\n<think>a</think> b", "a", "b"},
      {"7 or 8?\n</think>\n8", "7 or 8?\n", "8"},  // the template has opened it
      {"<think>a</think>no<think>b</think>yes", "a</think>no<think>b", "yes"},
      {"<think>First 16-3-4 = 9, 9*2=18", "First 16-3-4 = 9, 9*2=18", "", true},
      {"<think></think>5", "", "5"},
      {"<reasoning>a</reasoning>b", "a", "b"},
      {"[THINK]a[/THINK]b", "a", "b"},
      {"<thought>a", "a", "", true},
      {"analysisWe need 3+4.assistantfinalIt is 7.", "We need 3+4.", "It is 7."},
      {"analysisWe need 3+4", "We need 3+4", "", true},
      {"analysis of the problem: 7", "", "analysis of the problem: 7"},
      {"<|channel|>analysis<|message|>3+4<|end|><|start|>assistant<|channel|>final<|message|>7<|return|>",
       "<|channel|>analysis<|message|>3+4<|end|><|start|>assistant", "7"},
      {"<|channel|>analysis<|message|>3+4", "<|channel|>analysis<|message|>3+4", "", true},
      {"<|channel|>analysis<|message|>3<|channel|>final", "<|channel|>analysis<|message|>3<|channel|>final", "", true},
      {"The tag <think> opens reasoning. 5", "", "The tag <think> opens reasoning. 5"},
  };
  for (const Case& c : cases) {
    const SeparatedText found = SeparateReasoning(c.text);
    EXPECT_EQ(found.reasoning, c.reasoning) << c.text;
    EXPECT_EQ(found.answer, c.answer) << c.text;
    EXPECT_EQ(found.truncated, c.truncated) << c.text;
  }
}

TEST(CutAtStop, EndsAtTheFirst) {
  const std::vector<std::string> stop = {"Question:", "\n\n", ""};
  EXPECT_EQ(CutAtStop("5\n\nQuestion: 7", stop), "5");
  EXPECT_EQ(CutAtStop("5 Question: 7\n\n", stop), "5 ");
  EXPECT_EQ(CutAtStop("5", stop), "5");
}

TEST(SeparateReasoning, TakesLongTextsInOnePass) {
  std::string text = "<think>";
  for (int i = 0; i < 200'000; ++i) text += "<think>";
  EXPECT_TRUE(SeparateReasoning(text).truncated);
  EXPECT_EQ(SeparateReasoning(text + "</think>x").answer, "x");
}

}  // namespace
}  // namespace moecap::accuracy
