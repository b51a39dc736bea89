#include "planner/serving.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hardware/catalogue.h"
#include "model/catalogue.h"

namespace moecap::planner {
namespace {

class ServingTest : public testing::Test {
 protected:
  ServingTest()
      : devices_(*hardware::Catalogue::Builtin()),
        device_(*devices_.FindDevice("h100-sxm")),
        spec_(*model::SpecOf(*model::ModelCatalogue::Builtin()->Find("Qwen/Qwen3-30B-A3B"), "Qwen/Qwen3-30B-A3B")),
        work_(MakeModelWork(spec_)),
        factors_(Multipliers::Builtin()->FactorsOf("vllm", device_)) {
    load_.clients = 32;
  }
  ServingPoint Point(metrics::Deployment deployment = {}) const {
    return {work_, device_, deployment, FabricOf(device_, devices_), factors_, {}};
  }

  hardware::Catalogue devices_;
  hardware::Device device_;
  model::ModelSpec spec_;
  ModelWork work_;
  StepFactors factors_;
  Load load_;
};

TEST_F(ServingTest, KeepsLittlesLaw) {
  const Serving serving = Serve(Point(), load_, 1e6);
  EXPECT_FALSE(serving.over_capacity);
  // Clients = throughput x time in the system; running requests = throughput x time of decoding.
  EXPECT_NEAR(serving.requests_per_s * serving.e2e_s, 32, 0.01);
  EXPECT_NEAR(serving.requests_per_s * load_.output_tokens * serving.tpot_s, serving.decoding, 1e-6);
  EXPECT_LT(serving.decoding, 32);
}

TEST_F(ServingTest, ClientsBeyondTheMemoryWait) {
  const Serving roomy = Serve(Point(), load_, 1e6), tight = Serve(Point(), load_, 8);
  EXPECT_TRUE(tight.over_capacity);
  EXPECT_EQ(tight.bound, Bound::kCapacity);
  EXPECT_LT(tight.decoding, 8);
  EXPECT_NEAR(tight.running, 8, 1e-4);
  EXPECT_GT(tight.queue_s, 0);
  EXPECT_GT(tight.ttft_s, roomy.ttft_s);
  EXPECT_LT(tight.tpot_s, roomy.tpot_s);  // fewer run at once
  EXPECT_NEAR(tight.requests_per_s * tight.e2e_s, 32, 0.01);
}

// A launch that lets 8 of 32 clients run serves as 8 clients alone would be; each of the 32 has a turn in four.
TEST_F(ServingTest, ARunningLimitMakesALine) {
  Load eight = load_;
  eight.clients = 8;
  const Serving limited = Serve(Point(), load_, 1e6, 8), alone = Serve(Point(), eight, 1e6);
  EXPECT_TRUE(limited.over_capacity);
  EXPECT_EQ(limited.bound, Bound::kRunningLimit);
  EXPECT_DOUBLE_EQ(limited.most_running, 8);
  EXPECT_EQ(limited.decoding, alone.decoding);
  EXPECT_EQ(limited.tpot_s, alone.tpot_s);
  EXPECT_EQ(limited.output_tokens_per_s, alone.output_tokens_per_s);
  EXPECT_NEAR(limited.e2e_s, 4 * alone.e2e_s, 1e-5 * limited.e2e_s);
  EXPECT_NEAR(limited.queue_s, 3 * alone.e2e_s, 1e-5 * limited.e2e_s);
  // Whichever is less binds, and is named.
  EXPECT_EQ(Serve(Point(), load_, 6, 8).bound, Bound::kCapacity);
  EXPECT_DOUBLE_EQ(Serve(Point(), load_, 6, 8).most_running, 6);
  EXPECT_EQ(Name(Bound::kRunningLimit), "running limit");
}

// It is of each replica: four of them run four times as many.
TEST_F(ServingTest, ARunningLimitIsOfAReplica) {
  const Serving four = Serve(Point({1, 1, 1, 4}), load_, 1e6, 2);
  EXPECT_DOUBLE_EQ(four.most_running, 8);
  EXPECT_NEAR(four.running, 8, 1e-4);
}

TEST_F(ServingTest, ARunningLimitOfTheClientsOrMoreChangesNothing) {
  const Serving open = Serve(Point(), load_, 1e6);
  for (const double limit : {32.0, 33.0, 1e5}) {
    const Serving same = Serve(Point(), load_, 1e6, limit);
    EXPECT_FALSE(same.over_capacity) << limit;
    EXPECT_EQ(same.bound, open.bound);
    EXPECT_EQ(same.decoding, open.decoding);
    EXPECT_EQ(same.tpot_s, open.tpot_s);
    EXPECT_EQ(same.ttft_s, open.ttft_s) << limit;
    EXPECT_EQ(same.queue_s, open.queue_s);
    EXPECT_EQ(same.output_tokens_per_s, open.output_tokens_per_s);
  }
}

// A client that is alone is not always in decode; its own prompt is in its first token, and no step waits for it.
TEST_F(ServingTest, OneClientPaysForItsPromptOnce) {
  for (const char* system : {"vllm", "llama-server"}) {
    for (const double clients : {1.0, 0.0}) {  // and requests that come by chance once in a long while
      Load load;
      load.input_tokens = 65536;
      load.output_tokens = 10;
      if (clients > 0) {
        load.clients = clients;
      } else {
        load.requests_per_s = 1e-5;
      }
      ServingPoint point = Point();
      point.factors = Multipliers::Builtin()->FactorsOf(system, device_);
      const Serving one = Serve(point, load, 1e6);
      const double step_s = DecodeStep(point, {1, load.MeanContext(), 1}).Total();
      EXPECT_NEAR(one.tpot_s, step_s, 2e-3 * step_s) << system;
      EXPECT_NEAR(one.running, one.requests_per_s * one.e2e_s, 2e-3 * one.running) << system;
      EXPECT_NEAR(one.running, clients, clients > 0 ? 1e-6 : 1e-3) << system;
      EXPECT_LT(one.decoding, 0.7 * one.running) << system;
      EXPECT_GT(one.prefill_share, 0.5) << system << ": the prompt is most of the work";
      EXPECT_EQ(one.bound, Bound::kPrefill) << system;
      EXPECT_LT(one.s_mfu, 1) << system;
      EXPECT_LT(one.s_mbu, 1) << system;
    }
  }
}

// Two in turn: each meets the other's prompt, on average half of the requests of its decoding are the other's.
TEST_F(ServingTest, ARequestMeetsThePromptsOfTheOthers) {
  load_.clients = 2;
  const ServingPoint point = Point();
  const double steps = load_.output_tokens;
  EXPECT_NEAR(Tpot(point, load_, 2) - DecodeStep(point, {2, load_.MeanContext(), 1}).Total(),
              PromptsShare(point, 1, load_.NewTokens(), 0, steps), 1e-12);
  load_.clients = std::nullopt;
  load_.requests_per_s = 1;
  EXPECT_NEAR(Tpot(point, load_, 2) - DecodeStep(point, {2, load_.MeanContext(), 1}).Total(),
              PromptsShare(point, 2, load_.NewTokens(), 0, steps), 1e-12)
      << "arrivals by chance do not know who is there";
}

// From one request at a time to all of them: more are served and each token takes longer, in closed and open loops, on one
// device and on replicas that step together, with drafts and without.
TEST_F(ServingTest, ALargerRunningLimitServesNoLessAndItsTokensTakeNoLess) {
  for (const metrics::Deployment& deployment :
       {metrics::Deployment{}, metrics::Deployment{2, 2, 1, 1}, metrics::Deployment{1, 4, 1, 4}}) {
    for (const double drafts : {0.0, 3.0}) {
      for (const double clients : {1.0, 7.0, 200.0, 3000.0}) {
        Load load = load_;
        load.clients = clients;
        load.drafted_tokens = drafts;
        load.accepted_tokens = drafts / 2;
        Serving before = Serve(Point(deployment), load, 900, 1);
        for (double limit = 2; limit < 4000; limit = std::ceil(limit * 1.3)) {
          const Serving next = Serve(Point(deployment), load, 900, limit);
          EXPECT_GE(next.output_tokens_per_s, before.output_tokens_per_s * (1 - 1e-9)) << clients << " " << limit;
          EXPECT_GE(next.tpot_s, before.tpot_s * (1 - 1e-9)) << clients << " " << limit;
          EXPECT_LE(next.e2e_s, before.e2e_s * (1 + 1e-6)) << clients << " " << limit;
          EXPECT_LE(next.running, next.most_running * (1 + 1e-5)) << clients << " " << limit;
          EXPECT_NEAR(next.running, next.requests_per_s * (next.e2e_s - next.queue_s), 1e-6 * next.running);
          before = next;
        }
        load.clients = std::nullopt;
        load.requests_per_s = before.requests_per_s * 0.9;
        const Serving open = Serve(Point(deployment), load, 900, 4000);
        EXPECT_FALSE(open.over_capacity);
        EXPECT_LE(open.running, open.most_running * (1 + 1e-5));
      }
    }
  }
}

TEST_F(ServingTest, AnOpenLoopIsAClosedOneWithItsClients) {
  const Serving closed = Serve(Point(), load_, 1e6);
  Load open = load_;
  open.clients = std::nullopt;
  open.requests_per_s = closed.requests_per_s;
  const Serving opened = Serve(Point(), open, 1e6);
  EXPECT_NEAR(opened.decoding, closed.decoding, 0.01 * closed.decoding);
  open.requests_per_s = 1e5;
  const Serving drowned = Serve(Point(), open, 64);
  EXPECT_TRUE(drowned.over_capacity);
  EXPECT_TRUE(std::isinf(drowned.queue_s));
  // It serves what as many clients as have room would be served, but for their own prompts, which these do not meet.
  load_.clients = 64;
  const double served = Serve(Point(), load_, 64).requests_per_s;
  EXPECT_LT(drowned.requests_per_s, served);
  EXPECT_NEAR(drowned.requests_per_s, served, served / 64);
}

// Answers of 100 and of 900 tokens, as many of each: over all 1,000 steps of such a pair the tokens behind the prompt are
// counted one by one. Prompts that spread like exponential ones wait twice as long.
TEST_F(ServingTest, LengthsThatSpreadAreMetWhereTheyAreLong) {
  double behind = 0;
  for (const int answer : {100, 900}) {
    for (int token = 0; token < answer; ++token) behind += token + 0.5;
  }
  Load load;
  load.output_tokens = 500;
  load.output_cv = 0.8;  // 400 on either side
  EXPECT_NEAR(load.MeanContext() - load.input_tokens, behind / 1000, 1e-9);
  load.requests_per_s = 4;
  const Serving alike = Serve(Point(), load, 1e6);
  load.input_cv = 1;
  const Serving spread = Serve(Point(), load, 1e6);
  EXPECT_GT(alike.queue_s, 0);
  EXPECT_NEAR(spread.queue_s, 2 * alike.queue_s, 1e-12);
  load.output_cv = 0;
  EXPECT_LT(Serve(Point(), load, 1e6).tpot_s, spread.tpot_s) << "shorter contexts";
}

TEST_F(ServingTest, MoreReplicasServeMore) {
  const Serving one = Serve(Point(), load_, 1e6), four = Serve(Point({1, 1, 1, 4}), load_, 1e6);
  EXPECT_GT(four.output_tokens_per_s, one.output_tokens_per_s);
  EXPECT_LT(four.tpot_s, one.tpot_s);
}

TEST_F(ServingTest, CachedPrefixesCostLess) {
  load_.input_tokens = 8192;
  const Serving fresh = Serve(Point(), load_, 1e6);
  load_.prefix_hit = 0.9;
  const Serving cached = Serve(Point(), load_, 1e6);
  EXPECT_LT(cached.ttft_s, fresh.ttft_s);
  EXPECT_LT(cached.prefill_share, fresh.prefill_share);
}

TEST_F(ServingTest, MemoryIsALineOverTheSequences) {
  const MemoryPlan plan = PlanMemory(spec_, {}, 4096);
  EXPECT_NEAR(plan.weights_bytes, spec_.WeightBytes(), 1e-3 * spec_.WeightBytes());
  EXPECT_NEAR(plan.sequence_bytes, spec_.ResidentKvBytes(4096), 1e-6 * plan.sequence_bytes);
  const double ten = plan.weights_bytes + plan.other_bytes + 10 * plan.sequence_bytes;
  EXPECT_NEAR(plan.MostSequences(ten), 10, 1e-6);
  EXPECT_LT(plan.MostSequences(plan.weights_bytes), 0);
}

// llama.cpp rounds a slot up to blocks of 256 cells and takes no workspace of gigabytes.
TEST_F(ServingTest, LlamaCppAllocatesByItsOwnRules) {
  const MemoryPlan server = PlanMemory(spec_, {}, 4000), engine = PlanMemory(spec_, {}, 4000, Allocator::kLlamaCpp);
  EXPECT_EQ(engine.weights_bytes, server.weights_bytes);
  EXPECT_DOUBLE_EQ(engine.sequence_bytes, spec_.ResidentKvBytes(4096) + 4.0 * static_cast<double>(spec_.vocab));
  EXPECT_LT(engine.other_bytes, 0.5 * server.other_bytes);
}

}  // namespace
}  // namespace moecap::planner
