// From a workload's description to the requests themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "workload/request_set.h"
#include "workload/workload_config.h"

namespace moecap::workload {

// How many tokens a server makes of a prompt's text, special tokens included.
using CountTokens = std::function<Result<int64_t>(const std::string& text)>;

struct RequestOptions {
  // Tells this run's cache salts from those of other runs: unique to the run. Never part of a prompt. Any text (CleanSalt).
  std::string run_salt = "run";
  // With it, generated texts get exactly their planned length, as far as their words allow (docs/workloads.md). May be empty.
  CountTokens count_tokens;
};

// A salt that servers take (vLLM refuses '/', '@', NUL and more than 128 bytes): of letters, digits, '.', '_' and '-', short
// enough for a scope behind it. A text that is none already gets a hash of itself, so that different texts stay different.
inline constexpr size_t kMostRunSaltBytes = 80;
std::string CleanSalt(const std::string& text);

// Requires a configuration as ReadWorkload accepts it. The prompts depend on the configuration and the files it names alone, on
// every machine; the first requests of a longer set are those of a shorter one. Errors: kBadInput for files that are missing or
// wrong, for more than 8 GB of prompts; what count_tokens returns.
Result<RequestSet> MakeRequests(const WorkloadConfig& config, const RequestOptions& options = {});

// `count` single requests of the same shape and different content, to be sent at once before the measurement: no times, no
// turns. Errors as above.
Result<RequestSet> MakeWarmup(const WorkloadConfig& config, int64_t count, const RequestOptions& options = {});

}  // namespace moecap::workload
