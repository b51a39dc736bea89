#include "live/window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::live {
namespace {

using load::EngineSnapshot;
using record::PassKind;
using record::SequenceSlice;
using testing::ElementsAre;

EngineSnapshot Still() {
  EngineSnapshot engine;
  engine.counters.generated_tokens = 1000;
  engine.counters.prompt_tokens = 500;
  engine.counters.cached_tokens = 0;
  engine.counters.finished = 10;
  engine.first_tokens = 20;
  engine.passes = 300;
  engine.running = 4;
  engine.waiting = 0;
  engine.kv_used_tokens = 400;
  return engine;
}

TEST(Window, DecodePassesHaveTheirMeanBatch) {
  const EngineSnapshot before = Still();
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1225;  // 225 in 50 passes: half of them of 4, half of 5
  after.passes = 350;
  const Window window = WindowOf(before, after, 2);
  EXPECT_EQ(window.pass_count, 50);
  EXPECT_EQ(window.pass_origin, Origin::kCounted);
  EXPECT_EQ(window.busy_s, 2);
  EXPECT_EQ(window.busy_origin, Origin::kWhole);
  ASSERT_EQ(window.passes.size(), 2u);
  EXPECT_EQ(window.passes[0].count, 25);
  EXPECT_THAT(window.passes[0].pass.sequences, ElementsAre(SequenceSlice{100, 1, 4})) << "400 tokens of 4 requests";
  EXPECT_EQ(window.passes[1].count, 25);
  EXPECT_THAT(window.passes[1].pass.sequences, ElementsAre(SequenceSlice{100, 1, 5}));
}

TEST(Window, PromptsAreComputedBesideDecoding) {
  EngineSnapshot before = Still();
  before.pass_sizes = {{1, 0}, {8, 290}, {64, 295}, {512, 300}};
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1205;
  after.first_tokens = 24;             // so 201 were decoded, in 50 passes
  after.counters.prompt_tokens = 740;  // 240, of which
  after.counters.cached_tokens = 40;   // 200 were computed,
  after.passes = 350;
  // in the 2 passes of more than 64 tokens: half of a mean prompt is 25, and one of 9 to 64 decoded.
  after.pass_sizes = {{1, 0}, {8, 337}, {64, 343}, {512, 350}};
  const Window window = WindowOf(before, after, 1);
  ASSERT_EQ(window.passes.size(), 3u);
  EXPECT_EQ(window.passes[0].count, 2);
  EXPECT_EQ(window.passes[0].pass.kind, PassKind::kMixed);
  EXPECT_THAT(window.passes[0].pass.sequences, ElementsAre(SequenceSlice{10, 50, 2}, SequenceSlice{100, 1, 2}))
      << "of four that run two decode";
  EXPECT_EQ(window.passes[1].count, 47);
  EXPECT_THAT(window.passes[1].pass.sequences, ElementsAre(SequenceSlice{100, 1, 4}));
  EXPECT_EQ(window.passes[2].count, 1);
  EXPECT_THAT(window.passes[2].pass.sequences, ElementsAre(SequenceSlice{100, 1, 9})) << "requests that the looks did not meet";
}

TEST(Window, PassesLieInTheirBuckets) {
  EngineSnapshot before = Still();
  before.running = 12;
  before.pass_sizes = {{1, 0}, {8, 0}, {16, 0}, {32, 0}};
  EngineSnapshot after = before;
  after.passes = 340;  // 10 of one token, 10 of 2 to 8, 20 of 9 to 12, which is the most that ran
  after.pass_sizes = {{1, 10}, {8, 20}, {16, 40}, {32, 40}};
  after.counters.generated_tokens = 1270;  // 10 + 10 (2 + 6 t) + 20 (9 + 3 t) = 270: t = 1/2
  const Window window = WindowOf(before, after, 1);
  std::vector<std::pair<double, int64_t>> passes;
  for (const TypicalPass& typical : window.passes) passes.emplace_back(typical.count, typical.pass.SequenceCount());
  EXPECT_THAT(passes, ElementsAre(std::pair(10.0, int64_t{1}), std::pair(10.0, int64_t{5}), std::pair(10.0, int64_t{10}),
                                  std::pair(10.0, int64_t{11})));
}

TEST(Window, PromptsApart) {
  EngineSnapshot before = Still();
  before.prefill_apart = true;
  before.prefill_passes = 20;
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1194;
  after.first_tokens = 22;  // 192 decoded in 48 passes
  after.counters.prompt_tokens = 600;
  after.passes = 350;
  after.prefill_passes = 22;
  const Window window = WindowOf(before, after, 1);
  ASSERT_EQ(window.passes.size(), 2u);
  EXPECT_EQ(window.passes[0].pass.kind, PassKind::kPrefill);
  EXPECT_THAT(window.passes[0].pass.sequences, ElementsAre(SequenceSlice{0, 50, 1}));
  EXPECT_EQ(window.passes[0].count, 2);
  EXPECT_THAT(window.passes[1].pass.sequences, ElementsAre(SequenceSlice{100, 1, 4}));
  EXPECT_EQ(window.passes[1].count, 48);
}

TEST(Window, AChunkedPromptHasHalfOfItselfInTheCache) {
  EngineSnapshot before = Still();
  before.prefill_apart = true;
  before.prefill_passes = 0;
  EngineSnapshot after = before;
  after.first_tokens = 21;
  after.counters.generated_tokens = 1001;
  after.counters.prompt_tokens = 900;  // 400 in 4 passes of 100: contexts 0, 100, 200, 300
  after.passes = 304;
  after.prefill_passes = 4;
  const Window window = WindowOf(before, after, 1);
  ASSERT_EQ(window.passes.size(), 1u);
  EXPECT_THAT(window.passes[0].pass.sequences, ElementsAre(SequenceSlice{150, 100, 1}));
}

TEST(Window, WithoutACountPassesFollowFromGapsOrRequests) {
  EngineSnapshot before = Still();
  before.passes.reset();
  before.token_gaps = 100;
  before.token_gap_s = 1;
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1200;
  after.token_gaps = 300;
  after.token_gap_s = 5;  // 200 gaps of 20 ms
  Window window = WindowOf(before, after, 1);
  EXPECT_EQ(window.pass_origin, Origin::kTokenGaps);
  EXPECT_EQ(window.pass_count, 50);
  before.token_gaps.reset();
  window = WindowOf(before, after, 1);
  EXPECT_EQ(window.pass_origin, Origin::kRunning);
  EXPECT_EQ(window.pass_count, 50) << "200 tokens of 4 requests";
  before.running = after.running = std::nullopt;
  window = WindowOf(before, after, 1);
  EXPECT_FALSE(window.pass_count.has_value());
  EXPECT_THAT(window.missing, testing::HasSubstr("how many passes"));
}

TEST(Window, IdleTimeIsNotBusy) {
  EngineSnapshot before = Still();
  before.running = 0;
  before.token_gaps = 0;
  before.token_gap_s = 0;
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1040;
  after.passes = 340;
  after.token_gaps = 40;
  after.token_gap_s = 0.4;
  const Window window = WindowOf(before, after, 1);
  EXPECT_EQ(window.busy_origin, Origin::kTokenGaps);
  EXPECT_DOUBLE_EQ(*window.busy_s, 0.4);
  const Window idle = WindowOf(before, before, 1);
  EXPECT_EQ(idle.pass_count, 0);
  EXPECT_TRUE(idle.passes.empty());
}

// Two data-parallel ranks, each busy for 0.3 of a second, with 4 requests between them.
TEST(Window, EnginesSideBySideHaveTheirOwnTime) {
  EngineSnapshot before = Still();
  before.engines = 2;
  before.busy_s = 10;
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1200;
  after.passes = 400;
  after.busy_s = 10.6;
  Window window = WindowOf(before, after, 1);
  EXPECT_DOUBLE_EQ(*window.busy_s, 0.3);
  EXPECT_EQ(window.pass_count, 100);
  EXPECT_THAT(window.passes[0].pass.sequences, ElementsAre(SequenceSlice{100, 1, 2})) << "2 of 4 requests each";
  before.busy_s.reset();
  before.passes.reset();
  window = WindowOf(before, after, 1);
  EXPECT_EQ(window.pass_origin, Origin::kRunning);
  EXPECT_EQ(window.pass_count, 100) << "200 tokens, 2 a pass";
  before.token_gaps = before.token_gap_s = 0;
  after.token_gaps = 100;
  after.token_gap_s = 2;
  window = WindowOf(before, after, 1);
  EXPECT_EQ(window.pass_origin, Origin::kTokenGaps);
  EXPECT_EQ(window.pass_count, 100) << "50 in a second, of each";
  after.running = 0;
  after.passes = 310;
  before.passes = 300;
  window = WindowOf(before, after, 1);
  EXPECT_DOUBLE_EQ(*window.busy_s, 0.1) << "5 passes of 20 ms of each";
}

TEST(Window, APartOfAWindowIsNotTheWhole) {
  const EngineSnapshot before = Still();
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1200;
  after.passes = 350;
  after.running = 0;
  const Window window = WindowOf(before, after, 1);
  EXPECT_EQ(window.pass_count, 50);
  EXPECT_FALSE(window.busy_s.has_value());
  EXPECT_EQ(window.busy_origin, Origin::kNone);
  EXPECT_THAT(window.busy_missing, testing::HasSubstr("a part of the window"));
}

// llama-server's page says 1.00009e+07 of ten million passes: its steps are of a hundred.
TEST(Window, CountersOfSixDigitsNeedTime) {
  EngineSnapshot before = Still();
  before.is_six_digits = true;
  before.passes = 10'000'000;
  EngineSnapshot after = before;
  after.counters.generated_tokens = 1350;
  after.passes = 10'000'100;
  Window window = WindowOf(before, after, 1);
  EXPECT_FALSE(window.pass_count.has_value());
  EXPECT_THAT(window.missing, testing::HasSubstr("longer --interval"));
  EXPECT_EQ(window.generated_tokens, 350) << "exact still";
  after.passes = 10'009'000;
  after.counters.generated_tokens = 37'000;
  before.decode_tokens = 40'000'000;
  after.decode_tokens = 40'007'000;  // a product of two rounded numbers
  window = WindowOf(before, after, 100);
  EXPECT_EQ(window.pass_count, 9'000);
  double sequences = 0;
  for (const TypicalPass& typical : window.passes)
    sequences += typical.count * static_cast<double>(typical.pass.SequenceCount());
  EXPECT_NEAR(sequences, 36'000, 1e-6) << "by the count of tokens";
  EngineSnapshot idle = before;
  idle.running = 0;
  EXPECT_EQ(WindowOf(idle, idle, 1).pass_count, 0);
  before.counters.generated_tokens = 3'000'000;
  after = before;
  after.counters.generated_tokens = 3'000'100;
  EXPECT_FALSE(WindowOf(before, after, 1).generated_tokens.has_value());
}

TEST(Window, RecordedPassesAreTakenAsTheyAre) {
  record::PassRecord pass;
  pass.latency_s = 0.25;
  pass.sequences = {{7, 1, 3}};
  const std::vector<record::PassRecord> recorded = {pass, pass};
  const Window window = WindowOf(Still(), Still(), 1, recorded);
  EXPECT_EQ(window.pass_origin, Origin::kTelemetry);
  EXPECT_EQ(window.busy_s, 0.5);
  ASSERT_EQ(window.passes.size(), 2u);
  EXPECT_EQ(window.passes[1].pass.sequences, pass.sequences);
}

}  // namespace
}  // namespace moecap::live
