// The configuration of one load test, read from YAML. docs/load.md describes every key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "load/slo_search.h"
#include "metrics/latency.h"
#include "run/config.h"
#include "workload/arrivals.h"
#include "workload/workload_config.h"

namespace moecap::loadtest {

// What decides when a request is sent.
enum class LoadKind {
  kClients,  // closed loop: so many requests in flight
  kRate,     // open loop: so many requests a second
  kUsers,    // conversations: so many users who think between turns
  kReplay    // open loop: the times of the workload's trace
};
std::string_view Name(LoadKind kind);  // "clients", "rates_per_s", "users", "replay": the keys of the configuration

// Of one request, beside the server's timeout_s and connect_timeout_s; null = no limit.
struct Deadlines {
  std::optional<double> headers_s;      // from the request sent to the response's headers
  std::optional<double> first_token_s;  // from the request sent to the first token
  std::optional<double> idle_s;         // between two tokens
};

struct LoadTestConfig {
  std::string name = "load";
  run::ServerConfig server;
  workload::WorkloadConfig workload;

  LoadKind kind = LoadKind::kClients;
  std::vector<double> levels = {1};   // each is measured; whole numbers unless rates; one entry without meaning for kReplay
  workload::ArrivalProcess arrivals;  // of kRate; its rate and seed are set for each measurement
  double start_over_s = 0;            // clients or users start one after another during this time
  int64_t most_in_flight = 0;         // 0 = no limit
  double cancel_share = 0;            // of the requests, given up by their user ...
  double cancel_after_s = 1;          // ... so long after they were sent

  int64_t warmup_requests = 16;      // sent before each measurement, not recorded; other prompts than the measured ones
  std::optional<double> duration_s;  // nothing is sent later; null = until the requests run out
  std::optional<double> drain_s;     // for what is in flight then; null = until it has ended
  double most_error_share = 0.5;     // above it a measurement is given up
  Deadlines deadlines;
  metrics::LatencyObjectives objectives;
  std::optional<load::SloSearchOptions> search;  // instead of `levels`; needs objectives
  int repeats = 1;
  int threads = 1;
  uint64_t seed = 1;         // of arrivals and cancellations; the workload has its own
  bool flush_cache = false;  // empty the server's prefix cache before each measurement
  std::filesystem::path results_dir = "results";
};

// Paths in `text` are relative to `base_dir`, except results_dir. Errors: kBadInput with `file`, line, key and the remedy.
Result<LoadTestConfig> ParseLoadTestConfig(std::string_view text, const std::string& file,
                                           const std::filesystem::path& base_dir);
Result<LoadTestConfig> ReadLoadTestConfig(const std::filesystem::path& file);
// What a reader of files cannot see: values that do not go together. ParseLoadTestConfig calls it. Error: kBadInput.
Status CheckConfig(const LoadTestConfig& config);

// The effective configuration for the manifest, and back.
Json ToJson(const LoadTestConfig& config);
Result<LoadTestConfig> ConfigFromJson(const Json& json);

}  // namespace moecap::loadtest
