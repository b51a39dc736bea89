#include "experiment/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::experiment {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> Levels(const char* text) { return ParseSweep(text)->levels; }
std::string Refusal(const char* text) { return ParseSweep(text).error().message; }

TEST(Sweep, GoesOnAsTheLevelsBegan) {
  EXPECT_THAT(Levels("concurrency=1,2,4,...,128"), ElementsAre(1, 2, 4, 8, 16, 32, 64, 128));
  EXPECT_THAT(Levels("clients=1,2,...,16"), ElementsAre(1, 2, 4, 8, 16));
  EXPECT_THAT(Levels("clients=1,2,...,6"), ElementsAre(1, 2, 3, 4, 5, 6)) << "no factor meets 6";
  EXPECT_THAT(Levels("rate=0.5,1,...,4,10"), ElementsAre(0.5, 1, 2, 4, 10));
  EXPECT_THAT(Levels("users=8"), ElementsAre(8));
  EXPECT_THAT(Levels("clients=64,1"), ElementsAre(1, 64));
  EXPECT_EQ(ParseSweep("rate=1")->kind, record::LoadKind::kRate);
}

TEST(Sweep, SaysWhatItCannotRead) {
  EXPECT_THAT(Refusal("batch=1,2"), HasSubstr("'batch' is none of"));
  EXPECT_THAT(Refusal("clients"), HasSubstr("none of"));
  EXPECT_THAT(Refusal("clients=1,two"), HasSubstr("'two'"));
  EXPECT_THAT(Refusal("clients=1,-2"), HasSubstr("'-2'"));
  EXPECT_THAT(Refusal("clients=1,2,..."), HasSubstr("where '...' ends"));
  EXPECT_THAT(Refusal("clients=1,2,4,...,100"), HasSubstr("does not meet 100"));
  EXPECT_THAT(Refusal("clients=1,...,8"), HasSubstr("does not meet 8"));
  EXPECT_THAT(Refusal("clients=2,2"), HasSubstr("twice"));
}

TEST(Sweep, ReplacesTheLevelsAndKeepsTheRest) {
  const auto config = ParseConfig(
      "systems:\n  - {server: {url: 'http://127.0.0.1:1'}, name: \"a: b\"}\n"
      "load:\n  rates_per_s: [3]\n  start_over_s: 2  # slowly\nrepeats: 5\nworkload: {input_tokens: 8, output_tokens: 4, "
      "requests: 16}\n",
      "x.yaml", ".");
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto swept = WithSweep(*config, *ParseSweep("concurrency=1,2,4"), "x.yaml");
  ASSERT_TRUE(swept.ok()) << swept.error().message;
  EXPECT_EQ(swept->load.kind, record::LoadKind::kClients);
  EXPECT_THAT(swept->load.levels, ElementsAre(1, 2, 4));
  EXPECT_EQ(swept->load.start_over_s, 2);
  EXPECT_EQ(swept->repeats, 5);
  EXPECT_EQ(swept->systems[0].name, "a: b");
  const auto stored = ParseConfig(swept->text, "stored", swept->base_dir);
  ASSERT_TRUE(stored.ok()) << stored.error().message;
  EXPECT_THAT(stored->load.levels, ElementsAre(1, 2, 4));
}

TEST(Sweep, RefusesWhatHasNoLevels) {
  const auto config = ParseConfig(
      "systems: [{server: {url: 'http://127.0.0.1:1'}}]\nsearch: {start: 1}\nobjectives: {ttft_s: 1}\n"
      "workload: {input_tokens: 8, output_tokens: 4, requests: 16}\nload: {clients: [1]}\n",
      "x.yaml", ".");
  if (!config.ok()) GTEST_FAIL() << config.error().message;
  EXPECT_THAT(WithSweep(*config, *ParseSweep("clients=1"), "x.yaml").error().message, HasSubstr("searches"));
}

}  // namespace
}  // namespace moecap::experiment
