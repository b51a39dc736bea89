// The result file of `vllm bench serve`, key for key and by vLLM's definitions (vllm/benchmarks/serve.py at 009e6d4a), so that
// scripts made for it read our measurements.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "metrics/latency.h"
#include "record/request_record.h"

namespace moecap::report {

// What the records do not say.
struct VllmBenchInputs {
  std::string date;  // local time of the start, "20260131-120000"
  std::string backend = "openai";
  std::string label;  // empty: null
  std::string model_id;
  std::optional<double> request_rate;  // per second; null: "inf"
  // Shape of the gaps as a Gamma distribution; infinite: constant gaps. Null: they are no Gamma distribution.
  std::optional<double> burstiness = 1;
  std::optional<int> max_concurrency;
  metrics::LatencyObjectives goodput;  // only the three limits are used; they hold for vLLM's figures
  std::vector<std::string> percentile_metrics = {"ttft", "tpot", "itl"};  // also e2el, client_queue_time,
                                                                          // e2el_including_client_queue
  std::vector<double> percentiles = {99};                                 // 0..100
  bool save_detailed = false;                                             // the lists of lengths, times, texts and errors too
};

// Null where nobody knows: tokenizer_id, statistics without a sample, rates over no time, the TTFT of an answer that came whole
// (which then cannot meet a limit for it). In the lists a failed request has 0 and an error text, as in vLLM. Error: kBadInput
// for an unknown metric or a percentile out of range.
Result<Json> VllmBenchJson(std::span<const record::RequestRecord> requests, const VllmBenchInputs& inputs);

// vLLM's name ("--backend") for the way in which requests were sent: `api` by our name ("completions"), `server` the name and
// version of what answered ("vLLM 0.11.0").
std::string VllmBackend(std::string_view api, std::string_view server);

// vLLM's name for the file: "{label or backend}-{rate}qps[-concurrency{N}]-{model}-{date}.json".
std::string VllmBenchFileName(const VllmBenchInputs& inputs);

}  // namespace moecap::report
