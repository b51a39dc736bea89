#include "mock/counters.h"

#include <algorithm>

namespace moecap::mock {
namespace {

constexpr size_t kMostPasses = 1000;

void AddBuckets(const Histogram& histogram, Totals::Buckets& buckets) {
  for (size_t i = 0; i < buckets.counts.size(); ++i) buckets.counts[i] += histogram.buckets[i].Get();
  buckets.sum_s += static_cast<double>(histogram.sum_ns.Get()) * 1e-9;
}

}  // namespace

void Histogram::Observe(int64_t ns) {
  const double seconds = static_cast<double>(ns) * 1e-9;
  const auto bound = std::lower_bound(kBucketBounds.begin(), kBucketBounds.end(), seconds);
  buckets[static_cast<size_t>(bound - kBucketBounds.begin())].Add(1);
  sum_ns.Add(ns);
}

void Counters::ObservePass(int64_t tokens) {
  const auto bound = std::lower_bound(kPassBounds.begin(), kPassBounds.end(), tokens);
  pass_sizes[static_cast<size_t>(bound - kPassBounds.begin())].Add(1);
  pass_tokens.Add(tokens);
}

void Totals::Add(const Counters& counters) {
  running += counters.running.Get();
  waiting += counters.waiting.Get();
  // Replicas have equal memories; the fullest one is what an operator watches.
  kv_used_share = std::max(kv_used_share, static_cast<double>(counters.kv_used_ppm.Get()) * 1e-6);
  kv_used_tokens += counters.kv_used_tokens.Get();
  kv_capacity_tokens += counters.kv_capacity_tokens.Get();
  passes += counters.passes.Get();
  requests += counters.requests.Get();
  prompt_tokens += counters.prompt_tokens.Get();
  cached_tokens += counters.cached_tokens.Get();
  generation_tokens += counters.generation_tokens.Get();
  finished_length += counters.finished_length.Get();
  finished_stop += counters.finished_stop.Get();
  finished_abort += counters.finished_abort.Get();
  prompt_s += static_cast<double>(counters.prompt_ns.Get()) * 1e-9;
  generation_s += static_cast<double>(counters.generation_ns.Get()) * 1e-9;
  busy_sequences += counters.busy_sequences.Get();
  prefill_passes += counters.prefill_passes.Get();
  decode_rows += counters.decode_rows.Get();
  pass_tokens += counters.pass_tokens.Get();
  for (size_t i = 0; i < pass_sizes.size(); ++i) pass_sizes[i] += counters.pass_sizes[i].Get();
  AddBuckets(counters.ttft, ttft);
  AddBuckets(counters.inter_token, inter_token);
  AddBuckets(counters.e2e, e2e);
}

void PassQueue::Push(const PassSummary& pass) {
  const std::lock_guard lock(mutex_);
  if (passes_.size() == kMostPasses) passes_.pop_front();
  passes_.push_back(pass);
}

std::vector<PassSummary> PassQueue::TakeAll() {
  const std::lock_guard lock(mutex_);
  std::vector<PassSummary> all(passes_.begin(), passes_.end());
  passes_.clear();
  return all;
}

}  // namespace moecap::mock
