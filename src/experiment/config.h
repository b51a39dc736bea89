// The configuration of one experiment, read from YAML: systems, what is asked of them, at which levels, how often.
// docs/config.md describes every key. The stored experiment keeps the text itself, so there is one reader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accuracy/contract.h"
#include "base/result.h"
#include "cap/scenario.h"
#include "cost/machine.h"
#include "experiment/experts_config.h"
#include "experiment/launch_config.h"
#include "experiment/server_config.h"
#include "experiment/speculation_config.h"
#include "load/slo_search.h"
#include "metrics/latency.h"
#include "record/level.h"
#include "workload/arrivals.h"
#include "workload/workload_config.h"

namespace moecap::experiment {

// What a system runs on, as it is priced. Without a machine, a system in this process runs on this host; of a server nothing is
// known but the inputs given.
struct MachineConfig {
  bool here = false;  // `machine: here`: of a server that runs on this machine's processor
  std::optional<cost::MachineSpec> machine;
  std::map<std::string, double> given;  // replace what machine and price book say; keys of cost::CostInputKeys()
  std::optional<cost::Pay> pay;         // null = as the machine says; without one, rent where a rate is given, else buy
};

inline constexpr int kAllLayers = -1;

// What the embedded engine computes on: the processor alone, GPUs or an error, GPUs where one works.
enum class Device : uint8_t { kCpu, kGpu, kAuto };

// Either an embedded engine (`model`) or a server, which this program may start itself.
struct SystemConfig {
  std::string name;
  std::filesystem::path model;         // GGUF; empty with `server`
  std::optional<std::string> weights;  // in capitals; quantise to this type on first use; null = the file as it is
  std::optional<std::string> kv;       // type of the engine's KV cache, "q8_0"; null = f16
  bool float32_attention = false;      // of the engine: keys, values and scores in float32, without flash attention
  int threads = 0;                     // of the engine; 0 = every CPU that this process may use and others leave free
  std::optional<ServerConfig> server;
  std::optional<LaunchConfig> launch;  // only with `server`
  std::string
      served;  // what the server runs: a file, a folder or an id of the catalogue; empty = as it tells itself, if at all
  std::filesystem::path activation_sheet;  // of what the server runs, for experts that it does not tell; empty = none
  Device device = Device::kCpu;
  std::optional<int> gpu_layers;  // layers on the GPU; null = all; only with a GPU
  // Of so many first layers the routed experts stay in host memory and are computed by the processor; kAllLayers = of all.
  // 0 = none; only with a GPU.
  int cpu_experts = 0;
  std::optional<ExpertsConfig> experts;          // beyond a budget on disk; null = all in memory
  std::optional<SpeculationConfig> speculation;  // null = one token a pass
  std::string meant_as;                          // the class of the paper that it stands for, "PA", "PC" or "CA"; empty = none
  MachineConfig machine;
};

// Whose rules read and judge the answers: a filter of a task of a contract (accuracy/contract.h). Never null.
struct Scoring {
  const accuracy::Task* task = nullptr;
  const accuracy::Filter* filter = nullptr;

  friend bool operator==(const Scoring&, const Scoring&) = default;
};
// "CONTRACT/TASK/FILTER"; of `task`, which may be empty, also "CONTRACT/FILTER", "CONTRACT" (its first filter) and "FILTER" (of
// the first contract that has one); "gsm8k-strict-match" and "gsm8k-flexible-extract" are lm-eval's. Error: kBadInput with what
// there is.
Result<Scoring> FindScoring(std::string_view name, std::string_view task);
// Of the first contract that knows the task; null = none does.
std::optional<Scoring> UsualScoring(std::string_view task);
// What FindScoring takes: "gsm8k-strict-match", "mlperf/math500/boxed-prm800k".
std::string ScoringName(const Scoring& scoring);

inline constexpr uint64_t kUsualSeed = 1;  // of a named data set

// Questions with right answers.
struct ProblemSet {
  std::string dataset = "jsonl";          // a name of workload::FindDataset
  std::string task = "gsm8k";             // of the data set: what its answers are scored as
  bool is_named = false;                  // the configuration names the data set, not only a file
  std::filesystem::path path;             // a file or a folder; empty = where data sets usually are; only with a name
  std::string split;                      // of the data set
  std::vector<std::string> subset;        // groups to keep; empty = all
  std::string prompt = "gsm8k-zeroshot";  // a template of the catalogue, or a file that ends in .yaml
  std::filesystem::path shots_path;       // of worked examples; empty = of the data set itself
  int64_t problems = 0;                   // 0 = all
  std::optional<uint64_t> seed;           // null = the first problems of the file; never null with a name
  // The embedded engine gets chats, by the model's own template; a server by its api.
  bool chat = false;
  std::string system_prompt;  // of chats whose prompt has none; empty = none is sent
  // Answers begin with reasoning: no stop strings are sent, and what follows one is cut off behind the reasoning.
  bool reasoning = false;
  bool run_code = false;  // answers that are programs may be run, in a sandbox; else `scoring` is never one that runs them
  int64_t pass_at = 1;    // of programs: the score of a problem is pass@k of its repetitions, k = this <= Config::repeats
  std::optional<Scoring> scoring = UsualScoring("gsm8k");  // null = answers are kept and not scored

  std::string Name() const { return is_named ? dataset : path.string(); }
};
// "not scored" without one.
std::string ScoringName(const std::optional<Scoring>& scoring);

// Of one request, beside the server's timeout_s and connect_timeout_s; null = no limit.
struct Deadlines {
  std::optional<double> headers_s;      // from the request sent to the response's headers
  std::optional<double> first_token_s;  // from the request sent to the first token
  std::optional<double> idle_s;         // between two tokens
};

// When requests are sent.
struct LoadConfig {
  record::LoadKind kind = record::LoadKind::kClients;
  std::vector<double> levels = {1};   // each is measured, ascending; one entry without meaning for kReplay
  workload::ArrivalProcess arrivals;  // of kRate; its rate and seed are set for each measurement
  double start_over_s = 0;            // clients or users start one after another during this time
  int64_t most_in_flight = 0;         // of an open loop; 0 = no limit
  double cancel_share = 0;            // of the requests, given up by their user ...
  double cancel_after_s = 1;          // ... so long after they were sent
};

// By how much figures must differ to matter, and by which machine systems are priced.
struct JudgeConfig {
  double ratio_margin = 0.05;     // of costs, times and rates
  double accuracy_margin = 0.01;  // 0.01 = one point
  bool price_by_memory = false;   // by the cheapest one that holds what a system needs (analysis/price_by_memory.h)
};

struct Config {
  std::string name = "run";
  std::vector<SystemConfig> systems;
  // What is asked: one of the two.
  std::optional<ProblemSet> problems;
  workload::WorkloadConfig workload;

  LoadConfig load;
  std::optional<load::SloSearchOptions> search;  // instead of load.levels; needs objectives
  metrics::LatencyObjectives objectives;
  int repeats = 1;
  uint64_t seed = 1;  // of the order of measurements, of arrivals and cancellations; the workload has its own

  // Sent before each measurement and not recorded, other prompts than the measured ones; null = as many as clients, and at
  // least 4 for an engine in this process; for a server waves of at least 16 (warm_up.h).
  std::optional<int64_t> warmup_requests;
  bool warmup_bursts = false;        // MeasurementPlan::bursts()
  std::optional<double> duration_s;  // nothing is sent later; null = until the requests run out
  std::optional<double> drain_s;     // for what is in flight then; null = until it has ended
  double most_error_share = 0.5;     // above it a measurement is given up
  Deadlines deadlines;
  int client_threads = 1;    // that drive a server
  bool flush_cache = false;  // empty a server's prefix cache before each measurement
  // Launched servers all run from the beginning to the end. False: one at a time, and nothing else of this machine beside it.
  bool launch_together = false;
  int64_t max_output_tokens = 256;   // of problems; not given, their prompt's
  bool max_output_is_given = false;  // so that it replaces what a prompt says of single tasks
  int context_tokens = 512;          // of the embedded engine, per request: prompt and output
  int batch_tokens = 512;            // of the embedded engine, prompt tokens in one pass at most

  std::optional<std::filesystem::path> price_book;  // laid over the built-in price book
  cap::ViewChoice view;
  JudgeConfig judge;
  std::filesystem::path results_dir = "results";

  std::string text;                // the YAML it was read from, ...
  std::filesystem::path base_dir;  // ... and the folder that paths in it are relative to, absolute
};

// Whether systems are measured in turn, one system's levels after another, because a launched server has the machine to itself.
bool MeasuresInTurn(const Config& config);

// Paths in `text` are relative to `base_dir`, except results_dir, which is relative to the working directory. Errors: kBadInput
// with `file`, line, key and the nearest valid key, the accepted values or the remedy.
Result<Config> ParseConfig(std::string_view text, const std::string& file, const std::filesystem::path& base_dir);
Result<Config> ReadConfig(const std::filesystem::path& file);

// "closed loop", "open loop, Poisson arrivals, seed 7, 60 s": the load in words.
std::string DescribeLoad(const Config& config);

}  // namespace moecap::experiment
