#include "app/launch_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::app {
namespace {

// Two GPUs share tensors and experts, nothing is kept between requests, and what plans set is left at what a benchmark needs.
TEST(LaunchLines, OfABenchmarkSpreadTheModelOverItsGpus) {
  const LaunchOptions two{.gpus = 2, .batch = 4, .context = 512, .folder = "/f", .offload_folder = "/o", .cpus = 8};
  const auto of = [&](const char* system) { return *LaunchLineOf(system, two); };
  EXPECT_EQ(of("vllm").command,
            "VLLM_NO_USAGE_STATS=1 VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --host 127.0.0.1 --port 8000 "
            "--tensor-parallel-size 2 --enable-expert-parallel --max-num-seqs 4 --max-model-len 512 "
            "--enable-prompt-tokens-details --enable-logging-iteration-details");
  EXPECT_EQ(of("sglang").command,
            "python -m sglang.launch_server --model-path MODEL --host 127.0.0.1 --port 8000 --max-running-requests 4 "
            "--context-length 512 --stream-interval 1 --enable-metrics --enable-cache-report --tp 2 --ep-size 2");
  EXPECT_THAT(of("ktransformers").command,
              testing::EndsWith(" --tp 2 --ep-size 2 --kt-method BF16 --kt-weight-path WEIGHTS --kt-cpuinfer 8 "
                                "--kt-num-gpu-experts 0 --kt-max-deferred-experts-per-token 0"));
  const LaunchLine trtllm = of("trtllm");
  EXPECT_EQ(trtllm.command,
            "trtllm-serve MODEL --host 127.0.0.1 --port 8000 --tp_size 2 --ep_size 2 --max_batch_size 4 --max_seq_len 512 "
            "--config /f/trtllm.yaml");
  EXPECT_EQ(trtllm.file_text,
            "enable_iter_perf_stats: true\nreturn_perf_metrics: true\nperf_metrics_max_requests: 10000\nstream_interval: 1\n"
            "kv_cache_config: {enable_block_reuse: false}\n");
  EXPECT_EQ(of("moe-infinity").command,
            "python -m moe_infinity.entrypoints.openai.api_server --model MODEL --offload-dir /o --device-memory-ratio 0.75 "
            "--port 8000");
}

TEST(LaunchLines, OfOneGpuNeedNoLayout) {
  EXPECT_THAT(LaunchLineOf("vllm", {})->command, testing::HasSubstr("--port 8000 --max-num-seqs 64"));
  EXPECT_THAT(LaunchLineOf("sglang", {})->command, testing::EndsWith("--enable-cache-report"));
  EXPECT_THAT(LaunchLineOf("trtllm", {})->command, testing::HasSubstr(" --tp_size 1 --ep_size 1 "));
}

}  // namespace
}  // namespace moecap::app
