#include "mock/timed_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "mock/lateness.h"

namespace moecap::mock {
namespace {

using testing::SizeIs;

EngineRequest Request(uint64_t id, int64_t arrival_ns, int64_t output, uint64_t seed = 0) {
  EngineRequest request;
  request.id = id;
  request.arrival_ns = arrival_ns;
  request.prompt = {5};
  request.output_tokens = output;
  request.seed = seed;
  return request;
}

EngineOutput RunAll(Engine& engine) {
  EngineOutput out;
  while (const auto next = engine.NextNs()) engine.Advance(*next, out);
  return out;
}

TEST(TimedEngine, ConstantTimesAreAnAbsoluteSchedule) {
  TimedEngineOptions options;
  options.ttft_s = {0.2, 0};
  options.tpot_s = {0.05, 0};
  options.vocab = 100;
  TimedEngine engine(options);
  ASSERT_TRUE(engine.Submit(Request(1, 1000, 4)));
  EXPECT_EQ(engine.NextNs(), 1000 + 200'000'000);
  EngineOutput out;
  engine.Advance(1000 + 275'000'000, out);  // late: what was due meanwhile comes with its own time
  ASSERT_THAT(out.tokens, SizeIs(2));
  EXPECT_EQ(out.tokens[1].due_ns, 1000 + 250'000'000);
  out = RunAll(engine);
  EXPECT_EQ(out.tokens.back().due_ns, 1000 + 350'000'000);
  EXPECT_TRUE(out.tokens.back().last);
  EXPECT_EQ(engine.NextNs(), std::nullopt);
}

TEST(TimedEngine, DrawnTimesHaveTheMeanAndDependOnTheSeedOnly) {
  TimedEngineOptions options;
  options.ttft_s = {0.2, 0.5};
  options.tpot_s = {0.05, 0.3};
  options.vocab = 100;
  TimedEngine engine(options), same(options);
  for (uint64_t id = 1; id <= 2000; ++id) {
    EngineRequest request = Request(id, 0, 11, id);
    ASSERT_TRUE(engine.Submit(request));
    request.arrival_ns = 0;
    ASSERT_TRUE(same.Submit(request));
  }
  const EngineOutput out = RunAll(engine);
  const EngineOutput again = RunAll(same);
  ASSERT_EQ(out.tokens.size(), 22000u);
  double first = 0, last = 0;
  for (size_t i = 0; i < out.tokens.size(); ++i) {
    EXPECT_EQ(out.tokens[i].due_ns, again.tokens[i].due_ns);
    if (out.tokens[i].index == 0) first += static_cast<double>(out.tokens[i].due_ns) * 1e-9 / 2000;
    if (out.tokens[i].last) last += static_cast<double>(out.tokens[i].due_ns) * 1e-9 / 2000;
  }
  EXPECT_NEAR(first, 0.2, 0.2 * 0.53 * 4 / std::sqrt(2000.0));
  EXPECT_NEAR((last - first) / 10, 0.05, 0.05 * 0.31 * 4 / std::sqrt(20000.0));
}

TEST(TimedEngine, WaitsForARunningRequestToEnd) {
  TimedEngineOptions options;
  options.ttft_s = {0.1, 0};
  options.tpot_s = {0.1, 0};
  options.max_running = 1;
  options.vocab = 100;
  TimedEngine engine(options);
  ASSERT_TRUE(engine.Submit(Request(1, 0, 3)));
  ASSERT_TRUE(engine.Submit(Request(2, 0, 1)));
  ASSERT_TRUE(engine.Submit(Request(3, 0, 1)));
  EXPECT_EQ(engine.State().waiting, 2);
  EngineOutput out;
  engine.Advance(150'000'000, out);
  engine.Cancel(1, 150'000'000);
  const EngineOutput rest = RunAll(engine);
  ASSERT_THAT(rest.tokens, SizeIs(2));
  EXPECT_EQ(rest.tokens[0].due_ns, 250'000'000) << "admitted when the first was cancelled";
  EXPECT_EQ(rest.tokens[1].due_ns, 350'000'000);
}

TEST(Sampling, SpreadsAreParsedAndRefused) {
  const auto constant = ParseSpread("0.25", "--x");
  ASSERT_TRUE(constant.ok());
  EXPECT_EQ(constant->mean, 0.25);
  EXPECT_EQ(constant->sigma, 0);
  EXPECT_EQ(ParseSpread("3:0.5", "--x")->sigma, 0.5);
  for (const char* bad : {"", "x", "1:", ":1", "1:2:3", "-1", "1:-1", "nan", "1:11"}) {
    const auto spread = ParseSpread(bad, "--x");
    ASSERT_FALSE(spread.ok()) << bad;
    EXPECT_THAT(spread.error().message, testing::HasSubstr("--x"));
  }
}

TEST(Lateness, QuantilesAreWithinAStep) {
  LatenessHistogram half, sum;
  for (int64_t us = 1; us <= 1000; ++us) half.Add(us * 1000);
  half.AddTo(sum);
  half.AddTo(sum);
  const Lateness late = sum.Summarize();
  EXPECT_EQ(late.tokens, 2000);
  EXPECT_NEAR(late.p50_us, 500, 500 * 0.045) << "a step is 1/16 octave, 4.4 %";
  EXPECT_NEAR(late.p99_us, 990, 990 * 0.045);
  EXPECT_EQ(late.max_us, 1000);
  EXPECT_EQ(LatenessHistogram().Summarize().tokens, 0);
}

TEST(OutputToken, IsAWordOfTheVocabulary) {
  for (int64_t i = 0; i < 1000; ++i) {
    const int32_t id = OutputToken(1, i, 100);
    EXPECT_TRUE(id >= kFirstWordToken && id < 100);
    EXPECT_EQ(id, OutputToken(1, i, 100));
  }
}

}  // namespace
}  // namespace moecap::mock
