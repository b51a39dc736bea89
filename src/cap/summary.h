// The figures of one experiment: what every report shows and what --json prints. Pure values, computed by experiment/ from the
// recorded facts and judged by analysis/; rendered by report/. Null (nullopt) means not measured or not applicable, never 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cap/figures.h"
#include "cost/ownership.h"
#include "metrics/gate.h"
#include "metrics/load_summary.h"
#include "metrics/utilization.h"
#include "record/level.h"

namespace moecap::cap {

// One system at one level, once.
struct MeasurementSummary {
  std::string name;  // of its folder: "F16-clients-8-0"
  int repeat = 0;    // from 0
  // False: it was interrupted. It is listed and enters no figure of the cell.
  bool complete = true;
  std::string started_at;  // UTC, ISO 8601; empty in runs of version 0.1
  std::string ended_by;    // "all requests sent", "duration", "error share", "interrupt"
  FigureValues figures;
  std::vector<metrics::Gate> gates;
  metrics::LoadFigures load;  // distributions, steady part, requests in flight, errors

  bool IsValid() const { return !metrics::AnyTripped(gates); }
};

// The answers to one problem, over the repetitions in which they were scored.
struct ProblemScore {
  std::string id;
  double score = 0;  // 0..1, mean over the repetitions, or pass@k of them; a failed request counts 0
  int64_t repeats = 0;
  int64_t answered = 0;     // repetitions in which a result could be read
  int64_t score_parts = 1;  // as of record::RequestRecord
  std::string part;         // likewise
};

// One system at one level: a cell of figures over all its whole measurements. A cell in which a gate tripped keeps its figures
// and takes no part in verdicts.
struct CellSummary {
  record::Level level;
  std::string label;     // "8 clients"
  int64_t repeats = 0;   // whole measurements, whose records the figures pool
  FigureValues figures;  // percentiles over the requests of all of them; rates: sums over sums
  FigureSet estimates;   // figures that rest on an estimate; `notes` says on which
  bool energy_is_metered = false;
  std::vector<MeasurementSummary> measurements;   // by repetition, stumps included
  std::vector<metrics::Gate> gates;               // of the cell; of its measurements the worst one of each name
  std::vector<metrics::LatencyFigure> latencies;  // pooled, with bounds
  metrics::Utilization utilization;               // over the passes whose experts are known
  std::vector<ProblemScore> items;                // in the order of the data set; empty without right answers
  std::vector<std::string> notes;

  bool IsValid() const { return repeats > 0 && !metrics::AnyTripped(gates); }
};

// What a system runs on, as it is priced and as its ceilings are known.
struct MachineSummary {
  std::string name;  // "this host: AMD EPYC 9755", "8 x h100-sxm"; empty = not told
  bool is_this_host = false;
  std::optional<double> peak_bandwidth_bytes_per_s;
  std::optional<double> peak_flops_per_s;  // of the type in which this system's products run
  std::string peak_flops_kernel;           // "AVX-512 VNNI, int8"
  std::string peaks_source;                // "measured 2026-01-31T12:00:00Z" or "datasheet"
  std::optional<double> usd_per_h;         // per useful hour, by `pay`
  std::optional<double> purchase_usd;      // of the parts whose price is known
  std::optional<double> power_w;
  std::string power_source;              // "nameplate x load (estimate)", "measured: RAPL"
  std::vector<std::string> cost_inputs;  // every input of the cost figures, in words, with source and date
  std::string pay;                       // "buy" or "rent"; empty when neither can be priced
  cost::Range own_usd_per_useful_h;      // all inputs at their cheap, typical and dear end
  cost::Range rent_usd_per_useful_h;
  std::optional<double> break_even_utilisation;  // above it owning is cheaper than renting; above 1: never
};

// The search for the highest level that meets the objectives (load/slo_search.h).
struct SearchSummary {
  std::string what;              // "requests/s", "clients"
  double target_share = 0;       // of the offered requests
  double confidence = 0;         // of each verdict
  std::optional<double> passes;  // the bracket; null: even the lowest failed, or the highest passed
  std::optional<double> fails;
  struct Probe {
    double level = 0;
    int64_t offered = 0, met = 0;
    double share_low = 0, share_high = 1;  // interval of the share that met
    std::string verdict;                   // "passes", "fails", "undecided"
  };
  std::vector<Probe> probes;  // in the order they were made
  std::string verdict;        // one sentence
};

struct SystemSummary {
  std::string name;         // "F16"
  std::string engine;       // "llama.cpp v0.5.0 (CPU)", "vLLM 0.30.0"
  std::string description;  // one line
  bool in_process = true;   // false: a server, and this host is its client
  bool on_gpu = false;      // in this process, on GPUs: `memory_bytes` is theirs
  std::string url, api;     // of a server
  std::string model_id;
  std::string weight_type;  // "F16", "Q4_0"; empty = not told
  // Null: a server did not tell what it runs.
  std::optional<int64_t> total_params, active_params;
  std::optional<double> weight_bytes;
  std::optional<int> moe_layers, experts, top_k;  // 0 layers = dense
  std::string meant_as;  // the class of the paper that the configuration says it stands for, "PA"; empty = none
  MachineSummary machine;
  std::vector<CellSummary> cells;  // ascending level
  std::optional<SearchSummary> search;
  // Share of the routed tokens of each expert, [MoE layer][expert], each layer summing to 1; empty when not known.
  std::vector<std::vector<double>> expert_share;
};

// The machine that measured: the host of systems in this process, the client of servers.
struct HostSummary {
  std::string cpu_model;
  int usable_threads = 0;
  std::optional<double> dram_bytes;
  std::string client;  // one line: processor, threads that drove the load
};

struct ExperimentSummary {
  std::string run_id;
  std::string started_at;  // UTC, ISO 8601
  std::string moecap_version;
  std::string name;
  std::string command;           // that made it, as it can be given to a shell; empty = not known
  bool complete = true;          // false: interrupted; the figures cover what was measured
  std::string workload;          // one line: "tinymath/test.jsonl, 64 problems"
  std::string dataset;           // path; empty without right answers
  int64_t problems = 0;          // of one repetition; 0 without
  std::string scoring_contract;  // "gsm8k-strict-match"; empty without
  std::string load;              // one line: "closed loop", "open loop, Poisson arrivals, seed 7"
  std::string order;             // one line: "interleaved at random, seed 7"
  metrics::LatencyObjectives objectives;
  HostSummary host;
  std::vector<SystemSummary> systems;  // in the order of the configuration
  std::vector<std::string> notes;      // what a reader must know to read the figures right, one sentence each
};

// The cell of `system` at `level`; null when it was not measured.
const CellSummary* FindCell(const SystemSummary& system, const record::Level& level);

}  // namespace moecap::cap
