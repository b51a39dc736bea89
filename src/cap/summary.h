// The figures of one run: what every report shows and what --json prints. Pure values; computed by run/ from the recorded
// facts, rendered by report/. Null (nullopt) means not measured or not applicable, never 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cap/axis.h"
#include "cap/cap_scores.h"
#include "cap/robust_score.h"
#include "cost/ownership.h"
#include "metrics/utilization.h"
#include "stats/summary.h"

namespace moecap::cap {

// One system at one concurrency, over all measured repetitions.
struct CellSummary {
  int concurrency = 0;
  int64_t repeats = 0;
  int64_t requests = 0;  // attempted in all repetitions
  int64_t failed = 0;
  std::optional<stats::Distribution> ttft_s, tpot_s, itl_s, e2e_s;
  std::optional<stats::Distribution> input_tokens, output_tokens;  // per request
  std::optional<stats::Spread> output_tokens_per_s, requests_per_s;
  metrics::Utilization utilization;
  std::optional<double> kv_bytes_mean, kv_bytes_max;  // resident, over decode passes
  std::optional<double> accuracy, accuracy_stderr;    // 0..1, over the problems of one repetition
  int64_t answered = 0;                               // problems from which an answer could be extracted
  int64_t scored = 0;
  // The bill of the measured time, divided between input and output tokens by the node time of prefill and decode.
  std::optional<double> usd_per_million_input_tokens;
  std::optional<double> usd_per_million_output_tokens;
  std::optional<double> usd_per_million_output_tokens_all_in;  // the whole bill laid on the output tokens
  std::optional<double> usd_per_million_tokens_all_in;         // and on input and output tokens alike
  std::optional<double> usd_per_request;
  // Energy at the wall of the measured time (energy_wh), laid on the output tokens, on all tokens, on the requests that ended
  // well.
  std::optional<double> energy_wh;
  std::optional<double> joules_per_output_token;
  std::optional<double> joules_per_token;
  std::optional<double> joules_per_request;
  // True: from a meter at the wall, or from the chips' counters x the wall factor, which remains an estimate. False: nameplate.
  bool energy_is_measured = false;
  std::optional<double> chip_joules_per_output_token;   // what the counters saw and nothing else; null without counters
  std::optional<double> kg_co2_per_million_tokens;      // of input and output, with the building's share (PUE)
  std::vector<std::string> invalid;                     // validity gates that tripped; empty = valid
  std::optional<stats::Spread> goodput_requests_per_s;  // requests that kept RunSummary::service_level; null without one
};

struct SystemSummary {
  std::string name;         // "F16"
  std::string description;  // "llama.cpp v0.5.0, tiny-moe F16, 2 threads"
  std::string model_id;
  std::string weight_type;  // "F16", "Q4_0"
  int64_t total_params = 0;
  int64_t active_params = 0;
  double weight_bytes = 0;
  int moe_layers = 0;  // 0 = dense
  int experts = 0;
  int top_k = 0;
  // The compute ceiling that S-MFU of this system is a fraction of: its products run in this type.
  std::optional<double> peak_flops_per_s;
  std::string peak_flops_kernel;   // "AVX-512 VNNI, int8"
  std::vector<CellSummary> cells;  // ascending concurrency
  // Share of the routed tokens of each expert, [MoE layer][expert], each layer summing to 1; empty for a dense model.
  std::vector<std::vector<double>> expert_share;
};

struct HostSummary {
  std::string cpu_model;
  int cores = 0;
  double dram_bytes = 0;
  std::string device_id;  // of the catalogue, or "this-host"
  std::optional<double> peak_bandwidth_bytes_per_s;
  std::optional<double> peak_flops_per_s;  // fp32
  std::string peaks_source;                // "measured 2026-01-31T12:00:00Z" or "datasheet"
  std::string flops_kernel;                // "AVX-512 FMA, fp32"
  std::optional<double> power_w;
  std::string power_source;              // "nameplate x load (estimate)", "measured: RAPL"
  std::optional<double> purchase_usd;    // of the whole machine; the parts whose price is known
  std::vector<std::string> cost_inputs;  // every input of the cost figures, in words: price, life, energy, with source and date
  // Of the machine that the run is priced as. The figures of the cells rest on the typical value of what `pay` names.
  std::string pay;                   // "buy" or "rent"; empty when neither can be priced
  cost::Range own_usd_per_useful_h;  // all inputs at their cheap, typical and dear end
  cost::Range rent_usd_per_useful_h;
  std::optional<double> break_even_utilisation;  // above it owning is cheaper than renting; above 1: never
};

// What the systems of a run score on one axis, in the order of the systems.
struct AxisScores {
  AxisId axis = AxisId::kAccuracy;
  std::optional<AxisLimit> limit;                   // anchor of the robust score; null = none known
  std::vector<std::optional<double>> values;        // at the concurrency of the scores
  std::vector<std::optional<double>> robust_score;  // 0..100, independent of the other systems
};

struct RunSummary {
  std::string run_id;
  std::string started_at;  // UTC, ISO 8601
  std::string moecap_version;
  std::string engine;
  std::string dataset;
  int64_t problems = 0;
  std::string scoring_contract;    // "lm-eval gsm8k strict-match"
  bool complete = true;            // false: interrupted, figures cover what was measured
  std::vector<std::string> notes;  // what a reader must know to read the figures right, one sentence each
  HostSummary host;
  std::vector<SystemSummary> systems;
  // Scores at the concurrency `cap_concurrency`; one entry a system, same order.
  int cap_concurrency = 0;
  std::vector<CapScores> cap;
  std::vector<AccuracyDifference> accuracy_differences;  // of every pair of systems, at the same concurrency
  std::string cap_scenario;                              // cap/axis.h: "online"
  AxisId cap_cost_axis = AxisId::kUsdPerMillionOutputTokens;
  AxisId cap_performance_axis = AxisId::kTpot;
  std::vector<AxisScores> cap_axes;  // cost, accuracy, performance, then those that the user asked for
  int64_t cap_resamples = 0;         // behind CapScores::class_support; 0 = no noise known
  ServiceLevel service_level;        // of the goodput
};

}  // namespace moecap::cap
