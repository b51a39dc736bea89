#include "app/launch_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::app {
namespace {

using testing::HasSubstr;
using testing::Not;

// A closed loop of 96 clients on eight devices in two ranks of data parallelism that step together, 48 requests each.
class PlannedLine : public testing::Test {
 protected:
  PlannedLine() {
    device_.id = "h200-sxm";
    plan_.model = "org/model";
    plan_.question.load.clients = 96;
    plan_.question.load.input_tokens = 1000;
    plan_.question.load.output_tokens = 24;
    planner::Candidate best;
    best.device = &device_;
    best.count = 8;
    best.deployment = {4, 8, 1, 2};
    best.serving.running = 96;
    best.serving.decoding = 80;
    best.serving.most_running = 400;
    best.room = 200;
    plan_.search.candidates = {best};
    plan_.best = 0;
  }
  planner::Candidate& Best() { return plan_.search.candidates[0]; }
  std::string On(const std::string& system) {
    Best().system = system;
    return LaunchOf(plan_);
  }

  hardware::Device device_;
  planner::Plan plan_;
};

// Requests in prefill have a place, too.
TEST_F(PlannedLine, LetsAsManyRunAsThereAreClients) {
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 48 --max-model-len 1024 "));
  EXPECT_THAT(On("sglang"), HasSubstr("--max-running-requests 96 --context-length 1024 ")) << "of all ranks";
  EXPECT_THAT(On("trtllm"), HasSubstr("--max_batch_size 48 "));
  EXPECT_THAT(On("vllm"), HasSubstr("\n# planned: tensor 4, expert 8, pipeline 1, data 2"));
}

TEST_F(PlannedLine, ALimitOfTheQuestionStandsInTheLine) {
  Best().running_limit = 10;
  Best().serving.most_running = 20;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 10 "));
  EXPECT_THAT(On("sglang"), HasSubstr("--max-running-requests 20 "));
}

// 48 in a replica on average: 48 + 3 x 6.93 = 68.8 in all but 2 of 1,000 moments; no more than memory holds.
TEST_F(PlannedLine, ArrivalsByChanceComeInNumbers) {
  plan_.question.load.clients.reset();
  plan_.question.load.requests_per_s = 2;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 69 "));
  Best().room = 60;
  EXPECT_THAT(On("vllm"), HasSubstr("--max-num-seqs 60 "));
}

TEST_F(PlannedLine, MoreOfAHybridModelThanSglangHasStatesFor) {
  Best().state_ratio = 2.44;
  Best().default_running = 48;
  EXPECT_THAT(On("sglang"), Not(HasSubstr("radix"))) << "as many as planned";
  Best().default_running = 40;
  EXPECT_THAT(On("sglang"), HasSubstr(" --disable-radix-cache\n"));
  EXPECT_THAT(On("vllm"), Not(HasSubstr("radix")));
  plan_.question.load.prefix_hit = 0.5;
  EXPECT_THAT(On("sglang"), HasSubstr(" --mamba-full-memory-ratio 2.44\n")) << "hits need the cache of prefixes";
  EXPECT_THAT(On("sglang"), Not(HasSubstr("radix")));
  Best().state_ratio = 0;
  EXPECT_THAT(On("sglang"), Not(HasSubstr("mamba"))) << "states are not what limits";
}

TEST_F(PlannedLine, NothingPlannedStartsNothing) {
  plan_.best.reset();
  EXPECT_EQ(LaunchOf(plan_), "");
}

}  // namespace
}  // namespace moecap::app
