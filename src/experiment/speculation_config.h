// `speculation` of a system in this process: tokens that are drafted and verified in one pass. docs/engine.md describes it.
#pragma once

#include "base/yaml.h"

namespace moecap::experiment {

// Drafts of n-grams: what followed the sequence's last tokens where they stood before.
struct SpeculationConfig {
  int length = 0;      // tokens drafted for a pass at most, >= 1
  int lookup_max = 3;  // of the last tokens that are looked for, at most ...
  int lookup_min = 1;  // ... and at least
};

SpeculationConfig ReadSpeculation(const YamlNode& node, YamlErrors& errors);

}  // namespace moecap::experiment
