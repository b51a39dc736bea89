#include "system/openai/server_counters.h"

#include <gtest/gtest.h>

namespace moecap::openai {
namespace {

TEST(ServerCounters, AreReadByTheNamesOfEachKind) {
  const auto vllm = CountersOnPage(ServerKind::kVllm,
                                   "# TYPE vllm:prompt_tokens_total counter\n"
                                   "vllm:prompt_tokens_total{engine=\"0\",model_name=\"m\"} 100.0\n"
                                   "vllm:prompt_tokens_total{engine=\"1\",model_name=\"m\"} 20.0\n"
                                   "vllm:prompt_tokens_cached_total{engine=\"0\"} 16.0\n"
                                   "vllm:generation_tokens_total{engine=\"0\"} 7.5e1\n"
                                   "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\"} 3.0\n"
                                   "vllm:request_success_total{engine=\"0\",finished_reason=\"length\"} 4.0\n"
                                   "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\"} 2.0\n"
                                   "process_start_time_seconds 1.7e+09\n");
  EXPECT_EQ(vllm.prompt_tokens, 120) << "over all engines";
  EXPECT_EQ(vllm.cached_tokens, 16);
  EXPECT_EQ(vllm.generated_tokens, 75);
  EXPECT_EQ(vllm.finished, 7);
  EXPECT_EQ(vllm.aborted, 2);
  EXPECT_EQ(vllm.process_start_s, 1.7e9);

  const auto sglang = CountersOnPage(ServerKind::kSglang,
                                     "sglang:prompt_tokens_total{m=\"}\"} 5\nsglang:generation_tokens_total 6\n"
                                     "sglang:cached_tokens_total{cache_source=\"device\"} 1\nsglang:num_requests_total 3\n"
                                     "sglang:num_aborted_requests_total 1\n");
  EXPECT_EQ(sglang.prompt_tokens, 5);
  EXPECT_EQ(sglang.finished, 2);
  EXPECT_FALSE(sglang.process_start_s.has_value());

  const auto llama = CountersOnPage(
      ServerKind::kLlamaServer,
      "llamacpp:prompt_tokens_total 10\nllamacpp:prompt_tokens_cached_total 4\nllamacpp:tokens_predicted_total 8\n");
  EXPECT_EQ(llama.prompt_tokens, 14) << "computed and found";
  EXPECT_EQ(llama.generated_tokens, 8);
  EXPECT_FALSE(llama.finished.has_value());

  const auto tgi = CountersOnPage(ServerKind::kTgi,
                                  "tgi_request_success{method=\"a\"} 2\ntgi_request_input_length_sum 9\n"
                                  "tgi_request_generated_tokens_sum 4\n");
  EXPECT_EQ(tgi.prompt_tokens, 9);
  EXPECT_EQ(tgi.generated_tokens, 4);
  EXPECT_EQ(tgi.finished, 2);
}

TEST(ServerCounters, WhatIsNotThereIsNull) {
  const auto none =
      CountersOnPage(ServerKind::kVllm, "vllm:prompt_tokens_total_created 1\nvllm:prompt_tokens_total{a=\"b\"} NaN\n");
  EXPECT_EQ(none, load::ServerCounters());
  EXPECT_EQ(CountersOnPage(ServerKind::kVllm, "vllm:prefix_cache_hits_total 9\n").cached_tokens, 9) << "of older releases";
  EXPECT_EQ(CountersOnPage(ServerKind::kSglang, "sglang:cached_tokens_total NaN\nsglang:cached_tokens_total{ 5"),
            load::ServerCounters());
  EXPECT_EQ(CountersOnPage(ServerKind::kUnknown, "vllm:prompt_tokens_total 5\n"), load::ServerCounters());
}

}  // namespace
}  // namespace moecap::openai
