// `experts` of a system in this process: which of the routed experts stay in memory. docs/offload.md describes the keys.
#pragma once

#include <cstdint>
#include <string>

#include "base/yaml.h"

namespace moecap::experiment {

enum class ExpertPolicy : uint8_t { kLru, kLfu, kActivation };
enum class ExpertPrefetch : uint8_t { kNone, kPreviousToken, kPreviousLayer };

// Experts beyond a budget are left on disk.
struct ExpertsConfig {
  double budget_bytes = 0;  // of experts in memory, all layers together; 0 = as `budget_share` says
  double budget_share = 0;  // of the bytes of all routed experts, in (0, 1]
  ExpertPolicy policy = ExpertPolicy::kLru;
  ExpertPrefetch prefetch = ExpertPrefetch::kNone;

  friend bool operator==(const ExpertsConfig&, const ExpertsConfig&) = default;
};

ExpertsConfig ReadExperts(const YamlNode& node, YamlErrors& errors);

// "least recently used", "previous layer": as the configuration's words, in a sentence.
std::string Name(ExpertPolicy policy);
std::string Name(ExpertPrefetch prefetch);

}  // namespace moecap::experiment
