// The configuration of one experiment, read from YAML. docs/config.md describes every key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cost/machine.h"
#include "run/cap_config.h"

namespace moecap::run {

// A server reached over HTTP. The names of interfaces and kinds are those of system/openai/dialect.h.
struct ServerConfig {
  std::vector<std::string> urls;  // at least one; further ones serve the same
  std::string api = "completions";
  std::string kind;   // empty = found out by asking the server
  std::string model;  // as the server knows it; empty = the only one it lists
  // Where the key is; the key itself is never in a configuration.
  std::string api_key_env;
  std::filesystem::path api_key_file;
  std::filesystem::path ca;  // PEM; empty = the system's certificates
  bool insecure = false;     // accept any certificate
  std::map<std::string, std::string> headers;
  std::vector<std::string> source_addresses;
  bool stream = true;
  double timeout_s = 600;         // for one request
  double connect_timeout_s = 10;  // for one connection
};

// What the embedded engine computes on: the processor alone, GPUs or an error, GPUs where one works.
enum class Device { kCpu, kGpu, kAuto };
std::string_view DeviceName(Device device);

// Either an embedded engine (`model`) or a server.
struct SystemConfig {
  std::string name;
  std::filesystem::path model;         // GGUF; empty with `server`
  std::optional<std::string> weights;  // quantise to this type on first use; null = the file as it is
  int threads = 0;                     // 0 = every CPU that this process may use and others leave free
  std::optional<ServerConfig> server;
  Device device = Device::kCpu;
  std::optional<int> gpu_layers;  // layers on the GPU; null = all; only with a GPU
};

// How answers are read and compared; the names of lm-evaluation-harness' filters of task gsm8k.
enum class Scoring { kGsm8kStrictMatch, kGsm8kFlexibleExtract };
std::string_view ScoringName(Scoring scoring);

struct RunConfig {
  std::string name = "run";
  std::vector<SystemConfig> systems;
  std::filesystem::path dataset;
  int64_t problems = 0;
  std::optional<uint64_t> dataset_seed;  // null = the first problems of the file
  Scoring scoring = Scoring::kGsm8kStrictMatch;
  std::vector<int> concurrency = {1};
  int repeats = 1;
  int warmup_requests = 4;  // before each measured repetition, not recorded
  int64_t max_output_tokens = 256;
  int context_tokens = 512;  // per request: prompt and output
  int batch_tokens = 512;    // prompt tokens in one pass at most
  std::filesystem::path results_dir = "results";
  // Replace what the price catalogue says of this host; keys of cost::CostInputKeys().
  std::map<std::string, double> cost;
  // What the run is priced as; null = this host.
  std::optional<cost::MachineSpec> machine;
  std::optional<std::filesystem::path> price_book;  // laid over the built-in price book
  std::optional<cost::Pay> pay;  // null = as the machine says; without one, rent where a rate is given, else buy
  CapConfig cap;
};

// Paths in `text` are relative to `base_dir`, except results_dir, which is relative to the working directory. Errors: kBadInput
// with `file`, line, key and the nearest valid key or the accepted values.
Result<RunConfig> ParseRunConfig(std::string_view text, const std::string& file, const std::filesystem::path& base_dir);
Result<RunConfig> ReadRunConfig(const std::filesystem::path& file);

// The effective configuration for the manifest, and back (resume and report read it).
Json ToJson(const RunConfig& config);
Result<RunConfig> RunConfigFromJson(const Json& json);

}  // namespace moecap::run
