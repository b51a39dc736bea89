// The line that starts one replica of a plan's best way: its layout, its types of weights and KV cache, the place of its
// experts, as flags of the system; what no flag can say stands in comments behind it (docs/planner.md, "The line that starts
// it").
#pragma once

#include <string>

#include "planner/plan.h"

namespace moecap::app {

// The model's checkpoint, where the plan does not say it: of what was planned with `--precision`, `--kv` or from files.
struct PlannedCheckpoint {
  std::string path;         // GGUF file or folder; "" = the plan's model is a repository's name
  std::string weight_type;  // stored there: "bf16"; "" = that of the plan's first variant
  std::string kv_type;      // that it asks for: "F16"; "" = that of the plan's first variant
};

// Empty = nothing is known to start it: no best way, or a system that plans do not name.
std::string LaunchOf(const planner::Plan& plan, const PlannedCheckpoint& checkpoint = {});

}  // namespace moecap::app
