#include "live/watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "live/probe_budget.h"

namespace moecap::live {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

model::Weights Matrix(int64_t params) {
  return {params, 2.0 * static_cast<double>(params), params, 2.0 * static_cast<double>(params)};
}

// One MoE layer: attention of 400 parameters, 8 experts of 60, top-2; 2 bytes each. No KV cache, no ends.
model::ModelSpec Model() {
  model::ModelSpec spec;
  spec.id = "m";
  model::LayerSpec layer;
  layer.ffn.experts = 8;
  layer.ffn.top_k = 2;
  layer.weights[model::TensorClass::kAttention] = Matrix(400);
  layer.weights[model::TensorClass::kRoutedExpert] = Matrix(480);
  spec.layers.push_back(layer);
  return spec;
}

WatcherOptions Options() {
  WatcherOptions options;
  options.server = "vLLM 1";
  options.model_name = "served";
  options.model = Model();
  options.peaks = {100'000.0, 1e6, 2};
  return options;
}

Look At(double time_s, double generated, double passes) {
  load::EngineSnapshot engine;
  engine.model = "served";
  engine.counters.generated_tokens = generated;
  engine.counters.prompt_tokens = 0;
  engine.counters.finished = 1;
  engine.passes = passes;
  engine.running = 1;
  Look look;
  look.time_s = time_s;
  look.engine = engine;
  look.energy_missing = "no counter here";
  return look;
}

TEST(Watcher, SMbuByHand) {
  Watcher watcher(Options());
  EXPECT_THAT(watcher.Take(At(10, 100, 50)).missing.at("all"), HasSubstr("first look"));
  // 50 passes of one sequence in 2 s: 800 bytes of attention and, whatever the routing, 2 experts of 120 bytes: 1,040.
  const Reading reading = watcher.Take(At(12, 150, 100));
  EXPECT_EQ(reading.tokens_per_s, 25);
  EXPECT_EQ(reading.passes_per_s, 25);
  EXPECT_EQ(reading.mean_batch, 1);
  ASSERT_TRUE(reading.distinct_experts.has_value());
  EXPECT_DOUBLE_EQ(reading.distinct_experts->value, 2);
  EXPECT_DOUBLE_EQ(*reading.bandwidth_bytes_per_s, 26'000);
  ASSERT_TRUE(reading.s_mbu.has_value());
  EXPECT_DOUBLE_EQ(reading.s_mbu->value, 26'000.0 / 200'000) << "of two devices";
  EXPECT_DOUBLE_EQ(reading.s_mbu->low, reading.s_mbu->high) << "one token uses two experts, sampled or not";
  // 2 FLOPs for each of 400 + 2 x 60 parameters, 25 times a second.
  EXPECT_DOUBLE_EQ(*reading.s_mfu, 25 * 2 * 520 / 2e6);
  EXPECT_EQ(reading.missing.at("power_w"), "no counter here");
  EXPECT_EQ(reading.expert_source, ExpertSource::kEstimated);
}

TEST(Watcher, BytesWithoutContextsSaySo) {
  Watcher watcher(Options());
  Look look = At(0, 0, 0);
  look.engine->counters.finished.reset();
  watcher.Take(look);
  look = At(1, 10, 10);
  look.engine->counters.finished.reset();
  EXPECT_THAT(watcher.Take(look).missing.at("kv_bytes"), HasSubstr("without reads of the KV cache"));
  EXPECT_EQ(watcher.Summary().missing.count("kv_bytes"), 1u);
}

TEST(Watcher, TheSummaryIsOfSums) {
  Watcher watcher(Options());
  watcher.Take(At(0, 0, 0));
  watcher.Take(At(1, 100, 100));
  watcher.Take(At(5, 200, 200));
  const Reading summary = watcher.Summary();
  EXPECT_EQ(summary.duration_s, 5);
  EXPECT_EQ(summary.tokens_per_s, 40) << "not the mean of 100 and 25";
  EXPECT_DOUBLE_EQ(summary.s_mbu->value, 200 * 1040.0 / 5 / 200'000);
}

TEST(Watcher, TheSummaryOfBytesBeginsWithTheSample) {
  Watcher watcher(Options());
  watcher.Take(At(0, 0, 0));
  watcher.Take(At(1, 200, 100));  // batches of 2: estimated
  routing::RoutedExperts answer;
  answer.rows = 1;
  answer.layers = 1;
  answer.top_k = 2;
  answer.ids = {0, 1};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(watcher.experts()->AddAnswer(answer).ok());
  watcher.Take(At(2, 400, 200));
  const Reading summary = watcher.Summary();
  EXPECT_EQ(summary.tokens_per_s, 200);
  EXPECT_DOUBLE_EQ(summary.distinct_experts->value, 2) << "all sampled tokens chose alike";
  EXPECT_DOUBLE_EQ(summary.s_mbu->value, 100 * 1040.0 / 200'000) << "of the second alone";
}

TEST(Watcher, EnergyIsOfTheSameWindow) {
  Watcher watcher(Options());
  Look look = At(0, 0, 0);
  look.energy_j = 1000;
  watcher.Take(look);
  look = At(2, 100, 100);
  look.energy_j = 1300;
  const Reading reading = watcher.Take(look);
  EXPECT_EQ(reading.power_w, 150);
  EXPECT_EQ(reading.joules_per_token, 3);
}

TEST(Watcher, ARestartEndsTheWindowAndTheSample) {
  Watcher watcher(Options());
  watcher.Take(At(0, 100, 50));
  routing::RoutedExperts answer;
  answer.rows = 1;
  answer.layers = 1;
  answer.top_k = 2;
  answer.ids = {0, 1};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(watcher.experts()->AddAnswer(answer).ok());
  EXPECT_EQ(watcher.Take(At(1, 200, 100)).expert_source, ExpertSource::kSampled);
  const Reading reading = watcher.Take(At(2, 10, 5));
  EXPECT_THAT(reading.events, ElementsAre(HasSubstr("started anew: its counter of generated tokens fell from 200 to 10")));
  EXPECT_FALSE(reading.tokens_per_s.has_value());
  EXPECT_EQ(reading.sampled_answers, 0);
  EXPECT_EQ(watcher.Take(At(3, 20, 10)).tokens_per_s, 10) << "goes on from there";
  EXPECT_EQ(watcher.Summary().tokens_per_s, 55) << "100 and 10 in 2 s";
}

TEST(Watcher, AServerThatIsAwayIsSaidOnce) {
  Watcher watcher(Options());
  watcher.Take(At(0, 100, 50));
  Look away;
  away.time_s = 1;
  away.why_none = "connection refused";
  EXPECT_THAT(watcher.Take(away).events, ElementsAre("connection refused"));
  away.time_s = 2;
  const Reading still = watcher.Take(away);
  EXPECT_TRUE(still.events.empty());
  EXPECT_EQ(still.missing.at("all"), "connection refused");
  const Reading back = watcher.Take(At(4, 300, 150));
  EXPECT_THAT(back.events, ElementsAre("the server answers again"));
  EXPECT_EQ(back.tokens_per_s, 50) << "it counted on: over the whole gap";
}

TEST(Watcher, AnotherModelHasNoBytes) {
  Watcher watcher(Options());
  watcher.Take(At(0, 100, 50));
  Look look = At(1, 200, 100);
  look.engine->model = "other";
  EXPECT_THAT(watcher.Take(look).events, ElementsAre("the server now serves other instead of served"));
  look = At(2, 300, 150);
  look.engine->model = "other";
  const Reading reading = watcher.Take(look);
  EXPECT_EQ(reading.tokens_per_s, 100);
  EXPECT_FALSE(reading.s_mbu.has_value());
  EXPECT_THAT(reading.missing.at("s_mbu"), HasSubstr("not the one that is served"));
}

// vLLM labels its counters with the first of its names; a user may ask for it by another one.
TEST(Watcher, AnAliasIsNoOtherModel) {
  Watcher watcher(Options());
  for (int i = 0; i < 3; ++i) {
    Look look = At(i, 100 * (i + 1), 50 * (i + 1));
    look.engine->model = "first-name";
    if (i == 2) look.model_name = "served";
    const Reading reading = watcher.Take(look);
    EXPECT_TRUE(reading.events.empty()) << reading.events.front();
    EXPECT_EQ(reading.s_mbu.has_value(), i > 0);
  }
}

TEST(Watcher, AModelThatComesBackHasBytesAgain) {
  Watcher watcher(Options());
  watcher.Take(At(0, 100, 50));
  Look look = At(1, 200, 100);
  look.engine->model = "other";
  watcher.Take(look);
  EXPECT_TRUE(watcher.model_changed());
  EXPECT_THAT(watcher.Take(At(2, 300, 150)).events, ElementsAre("the server now serves served instead of other"));
  EXPECT_TRUE(watcher.Take(At(3, 400, 200)).s_mbu.has_value());
}

// The time in passes is not known in the middle window: it counts for neither side of a ratio.
TEST(Watcher, ATimeThatIsNotKnownIsInNoRatio) {
  Watcher watcher(Options());
  watcher.Take(At(0, 100, 50));
  watcher.Take(At(1, 200, 100));
  Look idle = At(2, 300, 150);
  idle.engine->running = 0;
  const Reading part = watcher.Take(idle);
  EXPECT_FALSE(part.s_mbu || part.busy_share || part.s_mfu);
  EXPECT_THAT(part.missing.at("s_mbu"), HasSubstr("a part of the window"));
  EXPECT_THAT(part.missing.at("busy_share"), HasSubstr("a part of the window"));
  EXPECT_TRUE(part.distinct_experts && part.passes_per_s == 50);
  EXPECT_EQ(watcher.Summary().busy_share, 1);
}

TEST(Watcher, WhatIsMissingSaysWhy) {
  WatcherOptions options = Options();
  options.model.reset();
  options.model_missing = "no model is named (--model)";
  options.peaks = {};
  Watcher watcher(std::move(options));
  watcher.Take(At(0, 0, 0));
  const Reading reading = watcher.Take(At(1, 10, 10));
  EXPECT_EQ(reading.missing.at("s_mbu"), "no model is named (--model)");
  EXPECT_EQ(reading.tokens_per_s, 10);
  const Json json = ToJson(reading);
  EXPECT_TRUE(json["s_mbu"].is_null());
  EXPECT_EQ(json["tokens_per_s"], 10);
  EXPECT_EQ(json["missing"]["s_mbu"], "no model is named (--model)");
  const std::string page = PrometheusPage(std::span(&reading, 1));
  EXPECT_THAT(page, HasSubstr("\nmoecap_tokens_per_s 10\n"));
  EXPECT_THAT(page, testing::Not(HasSubstr("moecap_s_mbu")));
  std::vector<Reading> both(2, reading);
  both[0].url = "http://a";
  both[1].url = "http://b";
  EXPECT_THAT(PrometheusPage(both),
              HasSubstr("gauge\nmoecap_tokens_per_s{url=\"http://a\"} 10\nmoecap_tokens_per_s{url=\"http://b\"} 10\n"));

  options = Options();
  options.peaks = {};
  Watcher unrated(std::move(options));
  unrated.Take(At(0, 0, 0));
  const Reading bytes = unrated.Take(At(1, 10, 10));
  EXPECT_TRUE(bytes.bandwidth_bytes_per_s.has_value());
  EXPECT_THAT(bytes.missing.at("s_mbu"), HasSubstr("--bandwidth-bytes-per-s"));
}

TEST(Together, RatesAddUpAndSharesAreOfTheTimeInPasses) {
  Reading a;
  a.start_s = 10;
  a.duration_s = 1;
  a.model = "m";
  a.tokens_per_s = 300;
  a.passes_per_s = 30;
  a.busy_share = 0.75;
  a.mean_batch = 10;
  a.s_mbu = Banded{0.4, 0.3, 0.5};
  a.kv_used_share = 0.2;
  a.joules_per_token = 1;
  a.probes.tokens = 40;
  a.seen_tokens = 1000;
  Reading b = a;
  b.start_s = 9.5;
  b.tokens_per_s = 100;
  b.passes_per_s = 10;
  b.busy_share = 0.25;
  b.mean_batch = 2;
  b.s_mbu = Banded{0.2, 0.2, 0.2};
  b.kv_used_share = 0.4;
  b.joules_per_token = 3;
  b.probes.tokens = 20;
  b.seen_tokens = 2000;
  Reading away;
  Reading all = Together(std::vector{a, b, away});
  EXPECT_EQ(all.server, "2 of 3 servers");
  EXPECT_THAT(all.events, ElementsAre("only 2 of 3 servers answer"));
  EXPECT_EQ(all.start_s, 9.5);
  EXPECT_EQ(all.model, "m");
  EXPECT_EQ(all.tokens_per_s, 400);
  EXPECT_EQ(all.mean_batch, 8) << "(30 x 10 + 10 x 2) / 40 passes";
  EXPECT_DOUBLE_EQ(all.s_mbu->value, 0.35) << "0.75 s at 0.4 and 0.25 s at 0.2";
  EXPECT_DOUBLE_EQ(all.s_mbu->low, 0.275);
  EXPECT_DOUBLE_EQ(*all.kv_used_share, 0.3);
  EXPECT_EQ(all.joules_per_token, 1.5) << "600 J for 400 tokens";
  EXPECT_DOUBLE_EQ(*all.probe_tokens_share, 0.02) << "60 of 3000 tokens";
  EXPECT_FALSE(all.running.has_value()) << "nobody tells";

  // Of one nobody knows what it computed.
  b.seen_tokens.reset();
  b.url = "http://b";
  b.missing["probe_tokens_share"] = "the server has told of no token";
  all = Together(std::vector{a, b});
  EXPECT_FALSE(all.probe_tokens_share.has_value());
  EXPECT_EQ(all.missing.at("probe_tokens_share"), "http://b: the server has told of no token");

  // One that is idle has no S-MBU, and takes none from the other.
  b.busy_share = b.passes_per_s = 0;
  b.s_mbu.reset();
  b.mean_batch.reset();
  b.model = "n";
  all = Together(std::vector{a, b});
  EXPECT_DOUBLE_EQ(all.s_mbu->value, 0.4);
  EXPECT_EQ(all.mean_batch, 10);
  EXPECT_EQ(all.model, "several models");
  b.busy_share = 0.1;
  EXPECT_FALSE(Together(std::vector{a, b}).s_mbu.has_value()) << "it computes, and nobody knows what";
  EXPECT_THAT(Together(std::vector{away}).missing.at("all"), HasSubstr("no server told anything"));
}

TEST(ProbeBudget, BothSharesHold) {
  const ProbeBudget budget{0.01, 0.005};
  EXPECT_FALSE(MayProbe(budget, {}, 50, 99, 1e6)) << "one of fewer than a hundred";
  EXPECT_TRUE(MayProbe(budget, {}, 50, 100, 10'000));
  EXPECT_FALSE(MayProbe(budget, {}, 51, 100, 10'000)) << "50 tokens are 0.5 %";
  EXPECT_FALSE(MayProbe(budget, {.sent = 1, .answered = 1, .tokens = 50}, 50, 199, 1e6));
  EXPECT_FALSE(MayProbe({0, 1}, {}, 1, 1e9, 1e9)) << "none asked for";
}

TEST(Watcher, RecordedPassesGoBeforeCounters) {
  Watcher watcher(Options());
  watcher.Take(At(0, 0, 0));
  Look look = At(1, 40, 40);
  record::PassRecord pass;
  pass.latency_s = 0.1;
  pass.sequences = {{0, 1, 1}};
  look.passes = {pass, pass};
  Reading reading = watcher.Take(look);
  EXPECT_EQ(reading.pass_origin, Origin::kTelemetry);
  EXPECT_DOUBLE_EQ(reading.s_mbu->value, 2 * 1040 / 0.2 / 200'000);
  EXPECT_DOUBLE_EQ(*reading.busy_share, 0.2);
  look.time_s = 2;
  look.passes_lost = true;
  reading = watcher.Take(look);
  EXPECT_EQ(reading.pass_origin, Origin::kCounted);
  EXPECT_THAT(reading.events, ElementsAre(HasSubstr("telemetry")));
}

}  // namespace
}  // namespace moecap::live
