// What a server counts of itself. One thread writes a set; any thread may read it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace moecap::mock {

// A count that one thread changes and others read: no locked instruction is needed.
class Count {
 public:
  void Add(int64_t value) { Set(Get() + value); }
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  int64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Upper bounds of the buckets of latency histograms, in seconds; a last bucket takes the rest.
inline constexpr std::array kBucketBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                             0.25,  0.5,    1.0,   2.5,  5.0,   10.0, 30.0};

// The same of the tokens of a pass, as vLLM has them.
inline constexpr std::array<int64_t, 13> kPassBounds = {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};

struct Histogram {
  std::array<Count, kBucketBounds.size() + 1> buckets;
  Count sum_ns;

  void Observe(int64_t ns);
};

struct Counters {
  Count running, waiting, kv_used_ppm, kv_used_tokens, kv_capacity_tokens, passes;  // of the engine, as last seen
  Count requests, prompt_tokens, cached_tokens, generation_tokens;
  Count finished_length, finished_stop, finished_abort;
  Count prompt_ns, generation_ns, busy_sequences;  // of passes: time by kind, sum of the decoding sequences
  Count prefill_passes, decode_rows, pass_tokens;  // passes with prompt tokens, tokens of decoding sequences, all tokens
  std::array<Count, kPassBounds.size() + 1> pass_sizes;
  Histogram ttft, inter_token, e2e;

  void ObservePass(int64_t tokens);
};

// Sums over several sets.
struct Totals {
  int64_t running = 0, waiting = 0, kv_used_tokens = 0, kv_capacity_tokens = 0, passes = 0;
  double kv_used_share = 0;
  int64_t requests = 0, prompt_tokens = 0, cached_tokens = 0, generation_tokens = 0;
  int64_t finished_length = 0, finished_stop = 0, finished_abort = 0;
  double prompt_s = 0, generation_s = 0;
  int64_t busy_sequences = 0, prefill_passes = 0, decode_rows = 0, pass_tokens = 0;
  std::array<int64_t, kPassBounds.size() + 1> pass_sizes{};  // not cumulative
  struct Buckets {
    std::array<int64_t, kBucketBounds.size() + 1> counts{};  // not cumulative
    double sum_s = 0;
  };
  Buckets ttft, inter_token, e2e;

  void Add(const Counters& counters);
};

// TensorRT-LLM's /metrics: each pass once, to whoever asks first; the oldest are dropped.
struct PassSummary {
  int64_t iter = 0;
  double latency_ms = 0;
  int64_t active_requests = 0, context_requests = 0, generation_requests = 0, context_tokens = 0;
};
class PassQueue {
 public:
  void Push(const PassSummary& pass);
  std::vector<PassSummary> TakeAll();

 private:
  std::mutex mutex_;
  std::deque<PassSummary> passes_;
};

}  // namespace moecap::mock
