// The figures of one load test: what every report of it shows and what --json prints. Pure values, computed from recorded
// requests; rendered by report/. Null (nullopt) means not measured or not applicable, never 0.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "metrics/concurrency.h"
#include "metrics/latency.h"
#include "record/request_record.h"

namespace moecap::metrics {

// One check that the client did not distort what it measured, or that the server did what it was asked. docs/load.md says how
// each bound was chosen.
struct Gate {
  enum class State { kPassed, kTripped, kNotMeasured };
  std::string name;             // "pacing lag p99"
  std::optional<double> value;  // in `unit`; null when not measured
  double bound = 0;             // in `unit`
  bool at_least = false;        // the value must be at least the bound, else at most
  std::string unit;             // "s", "share", "x", "requests"
  State state = State::kNotMeasured;
  std::string explanation;  // when tripped: what it means and what to do; when not measured: why
};

struct ErrorGroup {
  record::RequestError kind = record::RequestError::kNone;
  int64_t count = 0;
  double first_s = 0, last_s = 0;     // send times of the first and last of them
  std::vector<std::string> messages;  // the first five different ones
};

// One level of load, once: so many clients, or such a rate.
struct LoadCell {
  std::string label;                               // "64 clients", "8 requests/s"
  std::optional<int> clients;                      // closed loop, or users
  std::optional<double> rate_per_s;                // open loop; null for a replayed trace
  int repeat = 0;                                  // from 0
  ServingFigures whole;                            // from the first intended send to the last token
  std::optional<SteadyState> steady;               // null for a run without duration
  std::optional<ServingFigures> in_steady;         // over the steady window; null without one
  ConcurrencyFigures concurrency;                  // over the whole run
  std::vector<ConcurrencyStep> concurrency_curve;  // thinned to at most 400 steps
  std::optional<LatencyFigure> receive_delay_s;    // from the kernel's receive stamp to ours; null where not offered
  std::vector<ErrorGroup> errors;                  // most frequent first; what the client gave up is not among them
  std::vector<std::pair<std::string, int64_t>> token_sources;  // how output tokens were counted, by name: requests
  int64_t retries = 0;
  int64_t held_back = 0;  // open loop: requests that waited because the limit of requests in flight was reached
  std::string ended_by;   // "all requests sent", "duration", "error rate", "interrupted"
  std::vector<Gate> gates;
  double client_cpu_s = 0;  // of the measuring threads
  int threads = 1;

  bool IsValid() const;  // no gate tripped
};

// The search for the highest load that meets the objectives (load/slo_search.h).
struct LoadSearch {
  std::string what;              // "requests/s" or "clients"
  double target_share = 0;       // of the offered requests
  double confidence = 0;         // of each verdict
  std::optional<double> passes;  // the bracket; null: even the lowest failed, or the highest passed
  std::optional<double> fails;
  struct Probe {
    double load = 0;
    int64_t offered = 0, met = 0;
    double share_low = 0, share_high = 1;  // Clopper-Pearson
    std::string verdict;                   // "passes", "fails", "undecided"
  };
  std::vector<Probe> probes;  // in the order they were made
  std::string verdict;        // one sentence
};

struct LoadTestSummary {
  std::string run_id;
  std::string started_at;  // UTC, ISO 8601
  std::string moecap_version;
  std::string name;
  std::string server;    // "vLLM 0.11.0"
  std::string url;       // without userinfo
  std::string api;       // "completions"
  std::string model;     // as the server knows it
  std::string workload;  // one line: "fixed: 512 tokens in, 128 out (ids), salted"
  std::string load;      // one line: "Poisson arrivals, seed 7"
  std::string client;    // one line: CPU, cores, threads
  bool complete = true;
  LatencyObjectives objectives;
  std::vector<LoadCell> cells;  // in the order they were measured
  std::optional<LoadSearch> search;
  std::vector<std::string> notes;  // what a reader must know, one sentence each
};

// Everything of a cell that follows from its records alone; the caller adds label, load, gates and what the client cost.
LoadCell DescribeLoadCell(std::span<const record::RequestRecord> requests, const LatencyObjectives& objectives);

}  // namespace moecap::metrics
