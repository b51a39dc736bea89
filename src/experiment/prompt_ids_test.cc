#include "experiment/prompt_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "experiment/testing/fake_driver.h"

namespace moecap::experiment {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Systems whose vocabularies are known as given; null: nothing is known.
class Systems {
 public:
  explicit Systems(const std::vector<std::optional<Vocabulary>>& known) : logs_(known.size()) {
    for (size_t i = 0; i < known.size(); ++i) {
      SystemConfig system;
      system.name = "s" + std::to_string(i);
      system.server = ServerConfig{.urls = {"http://far:1"}};
      logs_[i].vocabulary = known[i];
      drivers_.push_back(std::make_unique<FakeDriver>(system, clock_, logs_[i]));
    }
  }
  DriverLog& log(size_t i) { return logs_[i]; }
  Result<PromptIds> Choose(const workload::WorkloadConfig& workload = {}) const { return ChoosePromptIds(workload, drivers_); }

 private:
  FakeClock clock_;
  std::vector<DriverLog> logs_;
  std::vector<std::unique_ptr<SystemDriver>> drivers_;
};

Vocabulary Of(int64_t size) { return {size, {}, "n_vocab of /v1/models"}; }

// Those that a tokenizer answered: every second one up to 2 n.
Vocabulary Seen(int32_t n) {
  Vocabulary vocabulary{2 * n - 1, {}, "/tokenize"};
  for (int32_t i = 0; i < n; ++i) vocabulary.ids.push_back(2 * i);
  return vocabulary;
}

TEST(PromptIds, StayInsideTheSmallestVocabulary) {
  const auto chosen = Systems({Of(128000), Of(1024)}).Choose();
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->workload.vocabulary_from, 128);
  EXPECT_EQ(chosen->workload.vocabulary_to, 1024);
  EXPECT_FALSE(chosen->workload.text);
  EXPECT_THAT(chosen->notes, ElementsAre(AllOf(HasSubstr("[128, 1024)"), HasSubstr("n_vocab"))));
  const auto large = Systems({Of(128000)}).Choose();
  EXPECT_EQ(large->workload.vocabulary_from, 1000);
  EXPECT_EQ(large->workload.vocabulary_to, 30000);
}

TEST(PromptIds, OfATokenizersAnswersNoOthersAreSent) {
  const auto chosen = Systems({Seen(300), Of(400)}).Choose();
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->ids.size(), 200u) << "those below 400";
  EXPECT_EQ(chosen->workload.vocabulary_to, 200);
  workload::RequestSet set;
  set.prompts.push_back({.id = "1", .token_ids = {0, 7, 199}});
  chosen->Translate(set);
  EXPECT_THAT(set.prompts[0].token_ids, ElementsAre(0, 14, 398));
}

TEST(PromptIds, WordsWhereNothingIsKnown) {
  const auto unknown = Systems({Of(1024), std::nullopt}).Choose();
  ASSERT_TRUE(unknown.ok());
  EXPECT_TRUE(unknown->workload.text);
  EXPECT_THAT(unknown->notes, ElementsAre(AllOf(HasSubstr("s1"), HasSubstr("--vocabulary"))));
  EXPECT_TRUE(Systems({Seen(20)}).Choose()->workload.text) << "too few to make prompts of";
  Systems chat({Of(1024)});
  chat.log(0).takes_ids = false;
  EXPECT_TRUE(chat.Choose()->workload.text);
}

TEST(PromptIds, WhatIsConfiguredIsKeptOrRefused) {
  workload::WorkloadConfig workload;
  workload.vocabulary_from = 5;
  workload.vocabulary_to = 5000;
  workload.vocabulary_is_given = true;
  EXPECT_EQ(Systems({std::nullopt}).Choose(workload)->workload.vocabulary_to, 5000);
  EXPECT_EQ(Systems({Seen(300)}).Choose(workload)->workload.vocabulary_to, 5000) << "others than those seen may exist";
  EXPECT_THAT(Systems({Of(1024)}).Choose(workload).error().message, AllOf(HasSubstr("1024"), HasSubstr("[128, 1024]")));
  Systems chat({Of(32000)});
  chat.log(0).takes_ids = false;
  EXPECT_THAT(chat.Choose(workload).error().message, HasSubstr("takes no token ids"));
}

TEST(PromptIds, PromptsFitTheShortestContext) {
  Systems systems({Of(32000), Of(32000)});
  systems.log(1).context_tokens = 512;
  const auto chosen = systems.Choose();
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->workload.input_tokens.max, 512 - 128 - 8);
  EXPECT_EQ(chosen->workload.output_tokens->max, 128);
  EXPECT_THAT(chosen->notes, testing::Contains(AllOf(HasSubstr("376 tokens"), HasSubstr("s1 is 512"))));
  workload::WorkloadConfig given;
  given.input_is_given = true;
  EXPECT_EQ(systems.Choose(given)->workload.input_tokens.max, 512) << "whoever asks for it gets the server's answer";
  systems.log(0).takes_ids = false;
  EXPECT_EQ(systems.Choose()->workload.input_tokens.max, (512 - 128 - 8) / 4) << "nobody counts what words become";
  systems.log(1).context_tokens = 4096;
  EXPECT_EQ(systems.Choose()->workload.input_tokens.max, 512);
}

}  // namespace
}  // namespace moecap::experiment
