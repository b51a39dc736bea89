#include "base/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Words, AreDividedAsAShellDividesThem) {
  EXPECT_THAT(SplitWords("  a  b\tc\nd ").value(), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(SplitWords("--x='a b' \"c 'd'\" e\\ f").value(), ElementsAre("--x=a b", "c 'd'", "e f"));
  EXPECT_THAT(SplitWords("'' \"\"").value(), ElementsAre("", ""));
  EXPECT_THAT(SplitWords(R"("a\"b\\c\d" '$HOME' \$x)").value(), ElementsAre("a\"b\\c\\d", "$HOME", "$x"));
  EXPECT_THAT(SplitWords("a \\\n  b").value(), ElementsAre("a", "b")) << "a continued line";
  EXPECT_THAT(SplitWords(R"(--config {"a":[1]} x~y)").value(), ElementsAre("--config", "{a:[1]}", "x~y"));
  EXPECT_TRUE(SplitWords(" ").value().empty());
}

TEST(Words, WhatOnlyAShellCanDoIsRefusedByName) {
  for (const char* line : {"a | b", "a > f", "a && b", "a; b", "$HOME/x", "\"$HOME\"", "`id`", "~/x", "(a)"}) {
    const auto words = SplitWords(line);
    ASSERT_FALSE(words.ok()) << line;
    EXPECT_THAT(words.error().message, HasSubstr("sh, -c")) << line;
  }
  for (const char* line : {"a 'b", "a \"b", "a \\"}) EXPECT_FALSE(SplitWords(line).ok()) << line;
}

TEST(Words, AssignmentsAreTold) {
  EXPECT_EQ(AssignmentName("A_1=x=y"), 3u);
  for (const char* word : {"", "=", "=x", "1A=x", "A", "--a=b", "a-b=c"}) EXPECT_EQ(AssignmentName(word), 0u) << word;
}

TEST(Words, AreQuotedSoThatTheyReadBack) {
  const std::vector<std::string> words = {"vllm", "a b", "it's", "", "x=1", "$y", "\"z\"", "\\"};
  EXPECT_EQ(SplitWords(ShellLine(words)).value(), words);
  EXPECT_EQ(ShellLine(std::vector<std::string>{"vllm", "serve", "a b"}), "vllm serve 'a b'");
}

}  // namespace
}  // namespace moecap
