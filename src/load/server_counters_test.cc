#include "load/server_counters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::load {
namespace {

TEST(ServerCounters, GrowWhereBothReadingsTell) {
  ServerCounters before, after;
  before.prompt_tokens = 100;
  after.prompt_tokens = 164;
  after.generated_tokens = 7;
  before.process_start_s = after.process_start_s = 1.7e9;
  const ServerCounters growth = GrowthOf(before, after);
  EXPECT_EQ(growth.prompt_tokens, 64);
  EXPECT_FALSE(growth.generated_tokens.has_value()) << "not told before";
  EXPECT_EQ(growth.process_start_s, 1.7e9);
  EXPECT_EQ(WhyRestarted(before, after), "");
}

TEST(ServerCounters, ARestartShowsInTheStartOfTheProcessOrInACounterThatFalls) {
  ServerCounters before, after;
  before.generated_tokens = 100;
  after.generated_tokens = 90;
  EXPECT_THAT(WhyRestarted(before, after), testing::HasSubstr("generated tokens fell from 100 to 90"));
  EXPECT_FALSE(GrowthOf(before, after).generated_tokens.has_value());
  after.generated_tokens = 200;
  before.process_start_s = 1.7e9;
  after.process_start_s = 1.7e9 + 30;
  EXPECT_THAT(WhyRestarted(before, after), testing::HasSubstr("start of its process"));
  EXPECT_FALSE(GrowthOf(before, after).generated_tokens.has_value()) << "counted from another beginning";
}

// SGLang counts an abort at once, and a request only when its output ends.
TEST(ServerCounters, AbortsAreNoRestart) {
  ServerCounters before, after;
  before.finished = 1000;
  after.finished = 936;
  before.aborted = 0;
  after.aborted = 64;
  EXPECT_EQ(WhyRestarted(before, after), "");
  EXPECT_EQ(GrowthOf(before, after).finished, 0);
  EXPECT_EQ(GrowthOf(before, after).aborted, 64);
}

}  // namespace
}  // namespace moecap::load
