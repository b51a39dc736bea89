#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/fs.h"
#include "workload/dataset.h"
#include "workload/make_requests.h"
#include "workload/prompt_template.h"

namespace moecap::workload {
namespace {

class OwnLines : public testing::Test {
 protected:
  Result<std::vector<Problem>> Read(const std::string& content) {
    EXPECT_TRUE(WriteFileAtomically(path_, content).ok());
    auto loaded = LoadDataset(*FindDataset("jsonl"), "test", path_, 1);
    if (!loaded.ok()) return loaded.error();
    return loaded->problems;
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("moecap-dataset-" + std::to_string(::getpid()) + ".jsonl");
};

TEST_F(OwnLines, ReadsQuestionAnswerAndId) {
  const auto problems = Read("{\"question\":\"1+1?\",\"answer\":\"#### 2\"}\n{\"id\":7,\"question\":\"q\",\"answer\":\"a\"}\n");
  ASSERT_TRUE(problems.ok()) << problems.error().message;
  ASSERT_EQ(problems->size(), 2u);
  EXPECT_EQ((*problems)[0].id, "1");
  EXPECT_EQ((*problems)[1].id, "7");
  EXPECT_EQ(FillIn(FindPromptTemplate("gsm8k-zeroshot")->question, {}, (*problems)[0]).value(), "Question: 1+1?\nAnswer:");
}

TEST_F(OwnLines, ErrorsNameFileLineAndKey) {
  EXPECT_THAT(Read("{\"question\":\"q\",\"answer\":\"a\"}\nnot json\n").error().message,
              testing::AllOf(testing::HasSubstr(path_.string() + ":2"), testing::HasSubstr("not valid JSON")));
  EXPECT_THAT(Read("{\"question\":\"q\"}\n").error().message, testing::HasSubstr("\"answer\" is missing"));
  EXPECT_THAT(Read("{\"question\":[],\"answer\":\"a\"}\n").error().message, testing::HasSubstr("must be a text"));
  EXPECT_THAT(Read("[]\n").error().message, testing::HasSubstr("not a JSON object"));
  EXPECT_THAT(Read("").error().message, testing::HasSubstr("no problems"));
  EXPECT_THAT(Read("{\"id\":\"a\",\"question\":\"q\",\"answer\":\"a\"}\n{\"id\":\"a\",\"question\":\"q\",\"answer\":\"a\"}\n")
                  .error()
                  .message,
              testing::HasSubstr("used before"));
}

TEST(Select, TakesTheFirstOnesOrDrawsBySeed) {
  std::vector<Problem> problems;
  for (int i = 0; i < 50; ++i) problems.push_back({std::to_string(i), "q", "a", {}, {}, {}, {}, {}, 0, {}});
  const auto ids = [&](uint64_t seed) {
    std::vector<std::string> result;
    for (const Problem& problem : *SelectProblems(problems, 10, seed)) result.push_back(problem.id);
    return result;
  };
  EXPECT_EQ(SelectProblems(problems, 10, std::nullopt)->back().id, "9");
  EXPECT_EQ(ids(1), ids(1));
  EXPECT_NE(ids(1), ids(2));
  const auto chosen = ids(1);
  EXPECT_EQ(std::set<std::string>(chosen.begin(), chosen.end()).size(), 10u);
  EXPECT_THAT(SelectProblems(problems, 51, 1).error().message, testing::HasSubstr("has 50"));
  EXPECT_FALSE(SelectProblems(problems, 0, 1).ok());
}

// What vLLM takes: at most 128 characters, none of '/', '@', NUL.
TEST(Salts, AreWhatServersTake) {
  WorkloadConfig config;
  config.input_tokens = FixedValue(20);
  config.requests = 3;
  std::set<std::string> salts;
  for (const std::string& run :
       {std::string("20260131-120000-load/0"), std::string("20260131-120000-load@0"), std::string("a\0b", 3),
        std::string(500, 'x'), std::string(500, 'x') + "y", std::string("\xc3\xa4")}) {
    const auto set = MakeRequests(config, {.run_salt = run});
    ASSERT_TRUE(set.ok()) << set.error().message;
    for (const PlannedPrompt& prompt : set->prompts) {
      EXPECT_LE(prompt.cache_salt.size(), 128u);
      EXPECT_EQ(prompt.cache_salt.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"),
                std::string::npos)
          << prompt.cache_salt;
      EXPECT_TRUE(salts.insert(prompt.cache_salt).second) << "two runs share a salt";
    }
  }
  EXPECT_EQ(CleanSalt("run-7_a.b"), "run-7_a.b");
}

}  // namespace
}  // namespace moecap::workload
