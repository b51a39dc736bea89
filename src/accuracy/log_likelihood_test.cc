#include "accuracy/log_likelihood.h"

#include <gtest/gtest.h>

#include <vector>

#include "accuracy/contract.h"

namespace moecap::accuracy {
namespace {

const std::vector<std::string> kChoices = {"no", "certainly", "né"};

Verdict Acc(std::string_view reply, std::string_view gold = "B") { return LikeliestChoice({reply, gold, kChoices}); }
Verdict Norm(std::string_view reply, std::string_view gold = "B") { return LikeliestCharacterwise({reply, gold, kChoices}); }

TEST(LogLikelihood, TheLikeliestChoiceIsTheAnswer) {
  EXPECT_EQ(Acc("[-3.5,-1.25,-2]").extracted, "B");
  EXPECT_TRUE(Acc("[-3.5,-1.25,-2]").correct);
  EXPECT_FALSE(Acc("[-3.5,-1.25,-2]", "A").correct);
  EXPECT_EQ(Acc("[-1e-3,-0.5,-inf]").extracted, "A");
  EXPECT_EQ(Acc("[-2,-1,-1]").extracted, "B") << "the first of equal ones, as numpy's argmax";
}

// -2 / 2 characters, -5 / 9, -1.5 / 2: the second is likeliest a character.
TEST(LogLikelihood, LengthIsInCharacters) {
  EXPECT_EQ(Acc("[-2,-5,-1.5]").extracted, "C");
  EXPECT_EQ(Norm("[-2,-5,-1.5]").extracted, "B");
  EXPECT_EQ(Norm("[-9,-9,-1.9]").extracted, "C") << "-0.95 a character, -0.63 a byte; the second has -1";
  EXPECT_EQ(Norm("[-9,-9,-2.1]").extracted, "B") << "-1.05 a character; by bytes it would be C";
}

TEST(LogLikelihood, OtherRepliesAreNoAnswer) {
  for (const char* reply : {"", "B", "[]", "[-1", "-1,-2]", "[-1,]", "[-1;-2]", "[nan,-1,-2]", "[a]", "[-1,-2,-3] B"}) {
    EXPECT_FALSE(Acc(reply).extracted.has_value()) << reply;
    EXPECT_FALSE(Norm(reply).extracted.has_value()) << reply;
  }
  EXPECT_FALSE(Norm("[-1,-2]").extracted.has_value()) << "of three choices";
}

TEST(LogLikelihood, AreFiltersOfAContract) {
  const auto task = FindTask(kLikelihoodTask, "lm-eval");
  ASSERT_TRUE(task.ok());
  EXPECT_EQ((*task)->filters.size(), 2u);
  Reference reference;
  reference.gold = "B";
  EXPECT_TRUE(Score((*task)->filters.front(), "[-1,-0.5]", reference).correct);
}

}  // namespace
}  // namespace moecap::accuracy
