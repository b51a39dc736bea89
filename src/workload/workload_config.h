// The mapping `workload` of a load test: what is asked of the server. Every key is explained in docs/workloads.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/json.h"
#include "base/result.h"
#include "base/yaml.h"
#include "workload/value_distribution.h"

namespace moecap::workload {

inline constexpr int64_t kMostRequests = 10'000'000;
inline constexpr int64_t kMostLength = 10'000'000;  // tokens of one prompt or answer

// With which requests a server may share the cached prefix of one: PlannedPrompt::cache_salt.
enum class SaltScope {
  kUnique,  // only with those it is planned to share with: its prefix group, its conversation, its trace
  kRun,     // with every request of the run, and with no other run
  kNone     // with whatever the server has seen before
};

struct DatasetSource {
  std::filesystem::path path;
  bool shuffle = false;  // by the seed; otherwise in the file's order
};

struct TraceSource {
  std::filesystem::path path;
  double time_scale = 1;                    // > 0, times the recorded times: 0.5 replays twice as fast
  double from_s = 0;                        // >= 0, in recorded time: earlier requests are left out
  int64_t block_tokens = 512;               // tokens of one id of prefix_blocks
  std::optional<int64_t> max_input_tokens;  // longer prompts are cut
};

struct SharedPrefix {
  int64_t tokens = 0;  // >= 1, part of input_tokens
  int64_t groups = 1;  // different prefixes
  double share = 1;    // of the requests (of the conversations) that begin with one of them, 0..1
};

struct Conversations {
  ValueDistribution turns;    // user messages of one conversation, >= 1
  ValueDistribution think_s;  // >= 0, from an answer's end to the next message
};

struct WorkloadConfig {
  ValueDistribution input_tokens = FixedValue(512);  // of generated prompts, shared prefix included
  bool input_is_given = false;                       // by the configuration; else a short context may shorten it
  // Of the answers; null = what the data set or trace says.
  std::optional<ValueDistribution> output_tokens;
  std::optional<bool> exact_output;          // null = yes where a length is known
  std::optional<int64_t> max_output_tokens;  // of data sets and traces
  bool text = false;                         // words instead of token ids
  int64_t vocabulary_from = 1000;            // ids are drawn from [from, to)
  int64_t vocabulary_to = 30000;
  bool vocabulary_is_given = false;      // by the configuration; else one that the systems know may replace it
  std::optional<DatasetSource> dataset;  // at most one of these two
  std::optional<TraceSource> trace;
  std::optional<SharedPrefix> shared_prefix;   // of generated prompts
  std::optional<Conversations> conversations;  // of generated prompts and of data sets with conversations; text only
  SaltScope salt = SaltScope::kUnique;
  uint64_t seed = 1;
  std::optional<int64_t> requests;  // null = all of the data set or trace, else kDefaultRequests
};

inline constexpr int64_t kDefaultRequests = 1000;  // enough for a p99 with bounds (stats/quantile_bounds.h)
inline constexpr int64_t kDefaultOutputTokens = 128;
inline constexpr int64_t kDefaultMaxOutputTokens = 256;

// Paths are relative to `base_dir`. Complains about unknown keys, values outside their range and keys that do not go together;
// reads no other file.
WorkloadConfig ReadWorkload(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors);

// With the keys of the file, defaults spelled out; and back.
Json ToJson(const WorkloadConfig& config);
Result<WorkloadConfig> WorkloadFromJson(const Json& json);

}  // namespace moecap::workload
