#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"
#include "metrics/utilization.h"
#include "mock/engine_model.h"
#include "mock/test_model.h"

namespace moecap::mock {
namespace {

using record::PassKind;
using testing::ElementsAre;
using testing::SizeIs;

// 1 MB/s and so many FLOPs that memory bounds every pass; no overhead, so that a byte is a microsecond.
Roofline Slow() {
  Roofline roofline;
  roofline.bandwidth_bytes_per_s = 1e6;
  roofline.flops_per_s = 1e15;
  roofline.memory_bytes = 1e6;
  roofline.bandwidth_efficiency = 1;
  roofline.compute_efficiency = 1;
  roofline.overhead_s = 0;
  return roofline;
}

EngineModelOptions SlowEngine() {
  EngineModelOptions options;
  options.roofline = Slow();
  return options;
}

std::unique_ptr<EngineModel> Make(const EngineModelOptions& options) {
  auto engine = EngineModel::Create(SmallMoe(), options);
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  return std::move(engine).value();
}

EngineRequest Request(uint64_t id, int64_t arrival_ns, size_t prompt, int64_t output, uint64_t seed = 0) {
  EngineRequest request;
  request.id = id;
  request.arrival_ns = arrival_ns;
  for (size_t i = 0; i < prompt; ++i) request.prompt.push_back(static_cast<int32_t>(3 + (seed * 7 + i) % 97));
  request.output_tokens = output;
  request.seed = seed;
  return request;
}

EngineOutput RunAll(Engine& engine) {
  EngineOutput out;
  while (const auto next = engine.NextNs()) engine.Advance(*next, out);
  return out;
}

TEST(Roofline, StepOfADecodePassByHand) {
  record::PassRecord pass;
  pass.kind = PassKind::kDecode;
  pass.sequences = {{99, 1, 3}};
  pass.distinct_experts = {5};
  // Attention 2 x 400, dense 90, head 1000, three embedding rows of 10; five experts of 60; KV read and written: three
  // sequences x 100 tokens x 2 layers x 16 elements. F16.
  const double bytes = 2.0 * (800 + 90 + 1000 + 30) + 2.0 * 5 * 60 + 2.0 * 3 * 100 * 2 * 16;
  // Per token: attention, dense FFN, two experts, head; 100 pairs a sequence and layer.
  const double flops = 3 * 2.0 * (800 + 90 + 120 + 1000) + 3 * 2 * 64.0 * 100;
  Roofline roofline;
  roofline.bandwidth_bytes_per_s = 1e6;
  roofline.flops_per_s = 1e9;
  roofline.devices = 2;
  roofline.bandwidth_efficiency = 0.5;
  roofline.compute_efficiency = 0.25;
  roofline.overhead_s = 0.003;
  const StepCost cost = CostOfStep(SmallMoe(), pass, roofline);
  EXPECT_DOUBLE_EQ(cost.bytes, bytes);
  EXPECT_DOUBLE_EQ(cost.flops, flops);
  EXPECT_TRUE(cost.memory_bound);
  EXPECT_DOUBLE_EQ(cost.seconds, bytes / 1e6 + 0.003);

  roofline.flops_per_s = 1e5;
  const StepCost compute = CostOfStep(SmallMoe(), pass, roofline);
  EXPECT_FALSE(compute.memory_bound);
  EXPECT_DOUBLE_EQ(compute.seconds, flops / (2e5 * 0.25) + 0.003);
}

TEST(Roofline, KvMemoryIsWhatTheWeightsLeave) {
  // Weights: 2000 ends, 800 attention, 480 experts, 90 dense; F16.
  EXPECT_DOUBLE_EQ(KvCapacityBytes(SmallMoe(), Slow(), 0.5), 0.5e6 - 2.0 * 3370);
}

TEST(EngineModel, ASingleRequestByHand) {
  auto engine = Make(SlowEngine());
  ASSERT_TRUE(engine->Submit(Request(7, 1000, 4, 3)));
  EXPECT_EQ(engine->NextNs(), 1000);
  const EngineOutput out = RunAll(*engine);
  ASSERT_THAT(out.admissions, SizeIs(1));
  EXPECT_EQ(out.admissions[0].time_ns, 1000);
  EXPECT_EQ(out.admissions[0].cached_tokens, 0);
  ASSERT_THAT(out.passes, SizeIs(3));
  EXPECT_EQ(out.passes[0].kind, PassKind::kPrefill);
  EXPECT_THAT(out.passes[0].sequences, ElementsAre(record::SequenceSlice{0, 4, 1}));
  EXPECT_EQ(out.passes[1].kind, PassKind::kDecode);
  EXPECT_THAT(out.passes[1].sequences, ElementsAre(record::SequenceSlice{4, 1, 1}));
  EXPECT_THAT(out.passes[2].sequences, ElementsAre(record::SequenceSlice{5, 1, 1}));
  EXPECT_THAT(out.passes[1].distinct_experts, ElementsAre(2)) << "one token uses its top-2";
  // Decode at context 4: fixed weights, one embedding row, two experts, 5 tokens of KV in two layers.
  const double decode_bytes = 2.0 * (800 + 90 + 1000 + 10) + 2.0 * 2 * 60 + 2.0 * 5 * 2 * 16;
  EXPECT_DOUBLE_EQ(out.passes[1].latency_s, decode_bytes / 1e6);
  ASSERT_THAT(out.tokens, SizeIs(3));
  EXPECT_EQ(out.tokens[0].due_ns, 1000 + std::llround(out.passes[0].latency_s * 1e9));
  EXPECT_EQ(out.tokens[1].due_ns - out.tokens[0].due_ns, std::llround(decode_bytes * 1e3));
  EXPECT_FALSE(out.tokens[1].last);
  EXPECT_TRUE(out.tokens[2].last);
  EXPECT_EQ(engine->State().running, 0);
  EXPECT_EQ(engine->State().kv_used_share, 0);
}

TEST(EngineModel, ARequestThatArrivesDuringAPassWaitsForTheNext) {
  auto engine = Make(SlowEngine());
  ASSERT_TRUE(engine->Submit(Request(1, 0, 4, 3)));
  EngineOutput out;
  engine->Advance(0, out);
  const int64_t first_end = *engine->NextNs();
  ASSERT_TRUE(engine->Submit(Request(2, first_end / 2, 4, 2)));
  const EngineOutput rest = RunAll(*engine);
  ASSERT_THAT(rest.admissions, SizeIs(1));
  EXPECT_EQ(rest.admissions[0].time_ns, first_end);
  EXPECT_EQ(rest.passes[1].kind, PassKind::kMixed);
  EXPECT_THAT(rest.passes[1].sequences, ElementsAre(record::SequenceSlice{4, 1, 1}, record::SequenceSlice{0, 4, 1}));
}

TEST(EngineModel, PromptsAreCutToThePassBudgetAndDecodingGoesFirst) {
  EngineModelOptions options = SlowEngine();
  options.max_pass_tokens = 8;
  auto engine = Make(options);
  ASSERT_TRUE(engine->Submit(Request(1, 0, 4, 10)));
  ASSERT_TRUE(engine->Submit(Request(2, 0, 15, 1, 5)));
  const EngineOutput out = RunAll(*engine);
  EXPECT_THAT(out.passes[0].sequences, ElementsAre(record::SequenceSlice{0, 4, 2})) << "4 of the first, 4 of the second";
  EXPECT_THAT(out.passes[1].sequences, ElementsAre(record::SequenceSlice{4, 1, 1}, record::SequenceSlice{4, 7, 1}));
  EXPECT_THAT(out.passes[2].sequences, ElementsAre(record::SequenceSlice{5, 1, 1}, record::SequenceSlice{11, 4, 1}));
  EXPECT_EQ(out.tokens[2].request, 1u);
  EXPECT_EQ(out.tokens[3].request, 2u) << "its first token comes with the last chunk";
}

TEST(EngineModel, WithoutChunksPromptsRunAlone) {
  EngineModelOptions options = SlowEngine();
  options.chunked_prefill = false;
  options.max_pass_tokens = 8;
  auto engine = Make(options);
  ASSERT_TRUE(engine->Submit(Request(1, 0, 4, 4)));
  ASSERT_TRUE(engine->Submit(Request(2, 0, 15, 2, 5)));
  const EngineOutput out = RunAll(*engine);
  EXPECT_THAT(out.passes[0].sequences, ElementsAre(record::SequenceSlice{0, 4, 1}));
  EXPECT_THAT(out.passes[1].sequences, ElementsAre(record::SequenceSlice{0, 15, 1})) << "whole, though above the budget";
  EXPECT_EQ(out.passes[1].kind, PassKind::kPrefill);
  EXPECT_EQ(out.passes[2].kind, PassKind::kDecode);
}

TEST(EngineModel, KvMemoryLimitsAdmission) {
  EngineModelOptions options = SlowEngine();
  // A token holds 2 layers x 16 elements x 2 bytes = 64 bytes. Each request reserves 4 + 3 - 1 = 6 tokens, 384 bytes.
  options.kv_bytes = 2 * 384 + 383;
  auto engine = Make(options);
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(engine->Submit(Request(id, 0, 4, 3, id)));
  EXPECT_FALSE(engine->Submit(Request(4, 0, 4, 100))) << "can never fit";
  EngineOutput out;
  engine->Advance(0, out);
  EXPECT_EQ(engine->State().running, 2);
  EXPECT_EQ(engine->State().waiting, 1);
  EXPECT_DOUBLE_EQ(engine->State().kv_used_share, 768.0 / 1151);
  EXPECT_EQ(engine->State().kv_capacity_tokens, 1151 / 64);
  const EngineOutput rest = RunAll(*engine);
  ASSERT_THAT(rest.admissions, SizeIs(1));
  EXPECT_EQ(rest.admissions[0].request, 3u);
  EXPECT_EQ(rest.admissions[0].time_ns, rest.tokens[5].due_ns) << "when the two others end";
}

TEST(EngineModel, AtMostMaxRunning) {
  EngineModelOptions options = SlowEngine();
  options.max_running = 2;
  auto engine = Make(options);
  for (uint64_t id = 1; id <= 5; ++id) ASSERT_TRUE(engine->Submit(Request(id, 0, 4, 3, id)));
  EngineOutput out;
  engine->Advance(0, out);
  EXPECT_EQ(engine->State().running, 2);
  for (const record::PassRecord& pass : RunAll(*engine).passes) EXPECT_LE(pass.SequenceCount(), 2);
}

TEST(EngineModel, EqualPrefixesAreNotComputedAgain) {
  EngineModelOptions options = SlowEngine();
  options.block_tokens = 4;
  auto engine = Make(options);
  ASSERT_TRUE(engine->Submit(Request(1, 0, 10, 1)));
  (void)RunAll(*engine);
  const int64_t later = 1'000'000'000;
  ASSERT_TRUE(engine->Submit(Request(2, later, 10, 1)));
  EngineOutput out = RunAll(*engine);
  EXPECT_EQ(out.admissions[0].cached_tokens, 8) << "two whole blocks of four";
  EXPECT_THAT(out.passes[0].sequences, ElementsAre(record::SequenceSlice{8, 2, 1}));

  ASSERT_TRUE(engine->Submit(Request(3, 2 * later, 8, 1)));
  out = RunAll(*engine);
  EXPECT_EQ(out.admissions[0].cached_tokens, 4) << "the last prompt token is computed, and with it its block";

  EngineRequest salted = Request(4, 3 * later, 10, 1);
  salted.cache_salt = 1;
  ASSERT_TRUE(engine->Submit(salted));
  EXPECT_EQ(RunAll(*engine).admissions[0].cached_tokens, 0);

  EngineRequest without = Request(5, 4 * later, 10, 1);
  without.cache_prompt = false;
  ASSERT_TRUE(engine->Submit(without));
  EXPECT_EQ(RunAll(*engine).admissions[0].cached_tokens, 0);

  engine->ClearPrefixCache();
  ASSERT_TRUE(engine->Submit(Request(6, 5 * later, 10, 1)));
  EXPECT_EQ(RunAll(*engine).admissions[0].cached_tokens, 0);
}

TEST(EngineModel, AnAnswerIsAPrefixOfTheNextTurn) {
  EngineModelOptions options = SlowEngine();
  options.block_tokens = 4;
  auto engine = Make(options);
  EngineRequest first = Request(1, 0, 6, 7, 3);
  ASSERT_TRUE(engine->Submit(first));
  (void)RunAll(*engine);
  EngineRequest second = first;
  second.id = 2;
  second.arrival_ns = 1'000'000'000;
  for (int64_t i = 0; i < 7; ++i) second.prompt.push_back(OutputToken(3, i, 100));
  second.prompt.push_back(50);
  ASSERT_TRUE(engine->Submit(second));
  EXPECT_EQ(RunAll(*engine).admissions[0].cached_tokens, 12) << "6 + 6 computed tokens are three blocks";
}

TEST(PrefixCache, ForgetsTheLeastRecentlyUsedFirst) {
  PrefixCache cache;
  const std::vector<int32_t> a = {1, 2, 3, 4}, b = {5, 6, 7, 8};
  const auto ha = PrefixCache::BlockHashes(a, 2, 0);
  const auto hb = PrefixCache::BlockHashes(b, 2, 0);
  cache.Insert(ha);
  cache.Insert(hb);
  EXPECT_EQ(cache.blocks(), 4);
  EXPECT_EQ(cache.Match(ha), 2);
  cache.Trim(3);
  EXPECT_EQ(cache.Match(hb), 1) << "the end of the older chain went";
  EXPECT_EQ(cache.Match(ha), 2);
  cache.Trim(0);
  EXPECT_EQ(cache.Match(ha), 0);
}

TEST(EngineModel, CancelledRequestsGiveNoTokenAndFreeTheirMemory) {
  auto engine = Make(SlowEngine());
  ASSERT_TRUE(engine->Submit(Request(1, 0, 4, 50)));
  ASSERT_TRUE(engine->Submit(Request(2, 0, 4, 3, 2)));
  ASSERT_TRUE(engine->Submit(Request(3, 1'000'000'000'000, 4, 3, 2)));
  EngineOutput out;
  engine->Advance(0, out);
  engine->Cancel(1, 1);
  engine->Cancel(3, 1);
  engine->Cancel(99, 1);
  const EngineOutput rest = RunAll(*engine);
  EXPECT_THAT(rest.tokens, SizeIs(3));
  for (const TokenEvent& event : rest.tokens) EXPECT_EQ(event.request, 2u);
  EXPECT_EQ(rest.passes[0].SequenceCount(), 2) << "the pass had begun";
  EXPECT_EQ(rest.passes[1].SequenceCount(), 1);
  EXPECT_EQ(engine->State().kv_used_share, 0);
}

TEST(EngineModel, AModelThatDoesNotFitIsRefused) {
  EngineModelOptions options = SlowEngine();
  options.roofline.memory_bytes = 1000;
  const auto engine = EngineModel::Create(SmallMoe(), options);
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(engine.error().message, testing::HasSubstr("small-moe weighs"));
}

// A load of random requests, some of them cancelled, through an engine of random limits.
struct Storm {
  explicit Storm(uint64_t seed) {
    Rng rng(seed);
    options = SlowEngine();
    options.max_running = 1 + static_cast<int64_t>(rng.Below(12));
    options.max_pass_tokens = 1 + static_cast<int64_t>(rng.Below(60));
    options.chunked_prefill = rng.Below(2) == 0;
    options.prefix_cache = rng.Below(2) == 0;
    options.block_tokens = 1 + static_cast<int>(rng.Below(8));
    options.kv_bytes = 64.0 * (80 + static_cast<double>(rng.Below(400)));
    options.seed = seed;
    const bool cancels = rng.Below(2) == 0;
    engine = Make(options);
    int64_t time = 0;
    for (uint64_t id = 1; id <= kRequests; ++id) {
      time += static_cast<int64_t>(rng.Below(20'000'000));
      engine->Advance(time, out);
      EngineRequest request = Request(id, time, 1 + rng.Below(40), 1 + static_cast<int64_t>(rng.Below(30)), rng.Below(4));
      request.ends_with_eos = rng.Below(2) == 0;
      prompt_tokens += static_cast<int64_t>(request.prompt.size());
      expected[id] = request.output_tokens;
      EXPECT_TRUE(engine->Submit(std::move(request)));
      if (!cancels || rng.Below(10) != 0) continue;
      const uint64_t victim = 1 + rng.Below(id);
      engine->Cancel(victim, time);
      cancelled.insert(victim);
    }
    while (const auto next = engine->NextNs()) engine->Advance(*next, out);
  }

  static constexpr uint64_t kRequests = 60;
  EngineModelOptions options;
  std::unique_ptr<EngineModel> engine;
  EngineOutput out;
  std::map<uint64_t, int64_t> expected;
  std::set<uint64_t> cancelled;
  int64_t prompt_tokens = 0;
};

TEST(EngineModelProperty, PassesDoNotOverlapAndKeepTheirLimits) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Storm storm(seed);
    double end_s = 0;
    for (const record::PassRecord& pass : storm.out.passes) {
      EXPECT_GE(pass.start_s, end_s - 1e-9) << "seed " << seed;
      end_s = pass.start_s + pass.latency_s;
      EXPECT_LE(pass.SequenceCount(), storm.options.max_running);
      if (storm.options.chunked_prefill) {
        EXPECT_LE(pass.NewTokens(), storm.options.max_pass_tokens);
      }
      ASSERT_THAT(pass.distinct_experts, SizeIs(1));
      EXPECT_GE(pass.distinct_experts[0], 2);
      EXPECT_LE(pass.distinct_experts[0], 8);
    }
  }
}

TEST(EngineModelProperty, EachTokenComesOnceInOrderAtTheEndOfAPass) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Storm storm(seed);
    std::set<int64_t> pass_ends;
    for (const record::PassRecord& pass : storm.out.passes) {
      pass_ends.insert(std::llround(pass.start_s * 1e9) + std::llround(pass.latency_s * 1e9));
    }
    std::map<uint64_t, int64_t> produced;
    int64_t last_due = 0;
    for (const TokenEvent& event : storm.out.tokens) {
      EXPECT_EQ(event.index, produced[event.request]++) << "seed " << seed;
      EXPECT_EQ(event.last, produced[event.request] == storm.expected.at(event.request));
      EXPECT_GE(event.due_ns, last_due);
      last_due = event.due_ns;
      EXPECT_TRUE(pass_ends.contains(event.due_ns));
    }
    for (const auto& [id, count] : storm.expected) {
      if (storm.cancelled.contains(id)) continue;
      EXPECT_EQ(produced[id], count) << "seed " << seed << " request " << id;
    }
  }
}

TEST(EngineModelProperty, EachTokenIsComputedOnceAndAllMemoryComesBack) {
  int checked = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const Storm storm(seed);
    EXPECT_EQ(storm.engine->State().kv_used_share, 0);
    EXPECT_EQ(storm.engine->State().running + storm.engine->State().waiting, 0);
    if (!storm.cancelled.empty()) continue;
    ++checked;
    int64_t computed = 0;
    for (const record::PassRecord& pass : storm.out.passes) computed += pass.NewTokens();
    int64_t cached = 0;
    for (const Admission& admission : storm.out.admissions) cached += admission.cached_tokens;
    const auto tokens = static_cast<int64_t>(storm.out.tokens.size());
    const auto requests = static_cast<int64_t>(Storm::kRequests);
    EXPECT_EQ(computed, storm.prompt_tokens - cached + tokens - requests) << "the last token of a request never is";
  }
  EXPECT_GT(checked, 5);
}

// The second way to the step time: what metrics/utilization.h makes of the engine's own records.
TEST(EngineModel, UtilisationOfItsPassesIsTheConfiguredEfficiency) {
  EngineModelOptions options = SlowEngine();
  options.roofline.bandwidth_efficiency = 0.6;
  auto engine = Make(options);
  for (uint64_t id = 1; id <= 20; ++id)
    ASSERT_TRUE(engine->Submit(Request(id, static_cast<int64_t>(id) * 1'000'000, 9, 12, id)));
  const EngineOutput out = RunAll(*engine);
  metrics::Peaks peaks{1e6, 1e15, 1};
  const metrics::Utilization use = metrics::ComputeUtilization(SmallMoe(), out.passes, peaks);
  ASSERT_TRUE(use.all.s_mbu.has_value());
  EXPECT_NEAR(*use.all.s_mbu, 0.6, 1e-9);
  EXPECT_NEAR(*use.decode.s_mbu, 0.6, 1e-9);
  double busy = 0;
  for (const record::PassRecord& pass : out.passes) busy += pass.latency_s;
  EXPECT_NEAR(busy, static_cast<double>(out.tokens.back().due_ns - out.admissions.front().time_ns) * 1e-9, 1e-6)
      << "the engine was never idle";
}

}  // namespace
}  // namespace moecap::mock
