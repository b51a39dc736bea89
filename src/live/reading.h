// What a server did in the last moment, as every view of `moecap watch` shows it. JSON form in docs/formats/live.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "live/experts.h"
#include "live/window.h"
#include "metrics/utilization.h"

namespace moecap::live {

// A figure with the band that sampled or estimated experts put on it; low = value = high where they do not matter.
struct Banded {
  double value = 0;
  double low = 0, high = 0;
};

// Requests of the watcher's own, sent for the experts in their answers.
struct Probes {
  int64_t sent = 0, answered = 0;
  int64_t tokens = 0;  // of their prompts and answers
};

// Sums over one window or more, of which every figure is a ratio. Null: not known in any of them.
struct Sums {
  double duration_s = 0;
  std::optional<double> generated_tokens, prompt_tokens, finished;
  std::optional<double> running_s, waiting_s, kv_used_share_s;  // integrals over time
  std::optional<double> passes, busy_s, sequences;
  std::optional<double> busy_of_s;  // time of the windows whose busy time is known
  // Over passes whose experts are known, and their busy time. `experts`: distinct ones, mean over the MoE layers, pass by pass.
  std::optional<Banded> bytes, experts;
  std::optional<double> bytes_busy_s, bytes_passes, flops;
  std::optional<double> energy_j, energy_tokens;

  Sums& operator+=(const Sums& other);
  // Leaves out what rests on the experts, for which a better source was found.
  void ForgetExperts();
};

// Null: not known; `missing` says why and what would switch it on.
struct Reading {
  double start_s = 0, duration_s = 0;  // on CLOCK_MONOTONIC; duration_s 0: nothing was seen, only events
  std::string url, server, model;      // of the server; "vLLM 0.30.0"; as the server names it
  std::vector<std::string> events;     // what changed, one sentence each: unreachable, restarted, another model
  std::optional<double> tokens_per_s, prompt_tokens_per_s, requests_per_s;  // generated; of prompts, cached ones too; finished
  std::optional<double> running, waiting, kv_used_share;
  std::optional<double> passes_per_s, busy_share, mean_batch;  // mean_batch: sequences of a pass
  Origin pass_origin = Origin::kNone, busy_origin = Origin::kNone;
  int experts = 0;                         // routed experts of a layer; 0: none, or not known
  std::optional<Banded> distinct_experts;  // of a pass, mean over passes and MoE layers
  ExpertSource expert_source = ExpertSource::kNone;
  int64_t sampled_answers = 0, sampled_tokens = 0;
  std::optional<Banded> s_mbu;  // of the time in passes; metrics/utilization.h, complete convention
  std::optional<double> s_mfu;
  std::optional<double> bandwidth_bytes_per_s;      // that the passes must have moved, of the time in them
  std::optional<double> power_w, joules_per_token;  // of the devices that have counters here; of generated tokens
  Probes probes;
  std::optional<double> seen_tokens;           // that the server computed since the watch began, of prompts too; null: none yet
  std::optional<double> probe_tokens_share;    // of these
  std::map<std::string, std::string> missing;  // figure -> why it is null
};

// The ratios of the sums; a figure whose ceiling is not in `peaks` is null.
void FillFigures(const Sums& sums, const metrics::Peaks& peaks, Reading& reading);

// What servers that work side by side do together, over windows of about the same time: rates, requests and power add up;
// shares of the time in passes are weighted by it, what is of a pass by passes, joules by tokens, the KV cache's use is the
// mean. Bands are as if all ends came together. Servers that do not answer are left out, which `events` says; a figure that one
// of the others does not know is null.
Reading Together(std::span<const Reading> readings);

// One line of --json.
Json ToJson(const Reading& reading);

// The figures of the readings, one a server, as a page for Prometheus (base/gauge_page.h). What is null is left out; of several
// servers each value has the label "url".
std::string PrometheusPage(std::span<const Reading> readings);

}  // namespace moecap::live
