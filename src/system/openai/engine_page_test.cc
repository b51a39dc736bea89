#include "system/openai/engine_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "system/openai/prometheus_text.h"

namespace moecap::openai {
namespace {

using testing::ElementsAre;

TEST(EnginePage, VllmTellsItsPassesByTheirTokens) {
  const auto engine =
      EngineOnPage(ServerKind::kVllm,
                   "vllm:num_requests_running{engine=\"0\",model_name=\"m 1\"} 3.0\n"
                   "vllm:num_requests_running{engine=\"1\",model_name=\"m 1\"} 2.0\n"
                   "vllm:num_requests_waiting{engine=\"0\",model_name=\"m 1\"} 1.0\n"
                   "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m 1\"} 0.25\n"
                   "vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m 1\"} 0.75\n"
                   "vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\",engine=\"0\",num_gpu_blocks=\"100\"} 1.0\n"
                   "vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\",engine=\"1\",num_gpu_blocks=\"100\"} 1.0\n"
                   "vllm:iteration_tokens_total_bucket{engine=\"0\",le=\"1.0\",model_name=\"m 1\"} 4.0\n"
                   "vllm:iteration_tokens_total_bucket{engine=\"0\",le=\"8.0\",model_name=\"m 1\"} 9.0\n"
                   "vllm:iteration_tokens_total_bucket{engine=\"0\",le=\"+Inf\",model_name=\"m 1\"} 10.0\n"
                   "vllm:iteration_tokens_total_bucket{engine=\"1\",le=\"1.0\",model_name=\"m 1\"} 1.0\n"
                   "vllm:iteration_tokens_total_bucket{engine=\"1\",le=\"8.0\",model_name=\"m 1\"} 1.0\n"
                   "vllm:iteration_tokens_total_count{engine=\"0\",model_name=\"m 1\"} 10.0\n"
                   "vllm:iteration_tokens_total_count{engine=\"1\",model_name=\"m 1\"} 1.0\n"
                   "vllm:time_to_first_token_seconds_count{engine=\"0\"} 6.0\n"
                   "vllm:inter_token_latency_seconds_count{engine=\"0\"} 50.0\n"
                   "vllm:inter_token_latency_seconds_sum{engine=\"0\"} 0.5\n"
                   "vllm:generation_tokens_total{engine=\"0\"} 56.0\n");
  EXPECT_EQ(engine.model, "m 1");
  EXPECT_EQ(engine.running, 5);
  EXPECT_EQ(engine.waiting, 1);
  EXPECT_EQ(engine.kv_used_share, 0.5) << "the mean of the engines";
  EXPECT_EQ(engine.kv_capacity_tokens, 3200);
  EXPECT_EQ(engine.kv_used_tokens, 1600);
  EXPECT_EQ(engine.passes, 11);
  EXPECT_THAT(engine.pass_sizes, ElementsAre(load::PassBucket{1, 5}, load::PassBucket{8, 10}));
  EXPECT_EQ(engine.first_tokens, 6);
  EXPECT_EQ(engine.token_gaps, 50);
  EXPECT_EQ(engine.token_gap_s, 0.5);
  EXPECT_EQ(engine.counters.generated_tokens, 56);
  EXPECT_FALSE(engine.prefill_apart);
}

TEST(EnginePage, SglangCountsAsItGoes) {
  const auto engine = EngineOnPage(ServerKind::kSglang,
                                   "sglang:realtime_tokens_total{mode=\"prefill_compute\"} 90\n"
                                   "sglang:realtime_tokens_total{mode=\"prefill_cache\"} 10\n"
                                   "sglang:realtime_tokens_total{mode=\"decode\"} 40\n"
                                   "sglang:generation_tokens_total 7\n"
                                   "sglang:time_to_first_token_seconds_count 2\n"
                                   "sglang:cuda_graph_passes_total{mode=\"decode_none\"} 20\n"
                                   "sglang:cuda_graph_passes_total{mode=\"prefill_none\"} 2\n"
                                   "sglang:token_usage 0.5\nsglang:max_total_num_tokens 1000\n");
  EXPECT_EQ(engine.counters.generated_tokens, 42) << "decoded, and the first ones, of prompt passes";
  EXPECT_EQ(engine.counters.prompt_tokens, 100);
  EXPECT_EQ(engine.counters.cached_tokens, 10);
  EXPECT_EQ(engine.decode_tokens, 40);
  EXPECT_EQ(engine.passes, 22);
  EXPECT_EQ(engine.prefill_passes, 2);
  EXPECT_EQ(engine.kv_used_tokens, 500);
  EXPECT_TRUE(engine.prefill_apart);
}

TEST(EnginePage, LlamaServerTellsItsMeanBatch) {
  const auto engine = EngineOnPage(ServerKind::kLlamaServer,
                                   "llamacpp:n_decode_total 100\nllamacpp:n_busy_slots_per_decode 2.5\n"
                                   "llamacpp:requests_processing 3\nllamacpp:requests_deferred 1\n");
  EXPECT_EQ(engine.passes, 100);
  EXPECT_EQ(engine.decode_tokens, 250);
  EXPECT_EQ(engine.running, 3);
  EXPECT_EQ(engine.waiting, 1);
  EXPECT_TRUE(engine.is_six_digits);
}

TEST(EnginePage, RanksOfDataParallelsAreCounted) {
  EXPECT_EQ(EngineOnPage(ServerKind::kVllm,
                         "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 1\n"
                         "vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 2\n")
                .engines,
            2);
  EXPECT_EQ(EngineOnPage(ServerKind::kSglang,
                         "sglang:num_running_reqs{dp_rank=\"0\",tp_rank=\"0\"} 1\n"
                         "sglang:num_running_reqs{dp_rank=\"0\",tp_rank=\"1\"} 1\n"
                         "sglang:num_running_reqs{dp_rank=\"1\",tp_rank=\"0\"} 1\n")
                .engines,
            2);
  EXPECT_EQ(EngineOnPage(ServerKind::kSglang, "sglang:num_running_reqs{tp_rank=\"0\"} 1\n").engines, 1);
}

TEST(EnginePage, WhatIsNotThereIsNull) {
  const auto engine =
      EngineOnPage(ServerKind::kVllm, "vllm:num_requests_running NaN\nvllm:cache_config_info{block_size=\"x\"} 1\n");
  EXPECT_FALSE(engine.running.has_value());
  EXPECT_FALSE(engine.kv_capacity_tokens.has_value());
  EXPECT_TRUE(engine.pass_sizes.empty());
  EXPECT_EQ(LabelOf("a{xname=\"1\",name=\"2\"} 3\n", "a", "name"), "2") << "not the end of another label's name";
}

}  // namespace
}  // namespace moecap::openai
