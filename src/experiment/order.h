// In which order the measurements of an experiment are made.
//
// Order: repetition by repetition; within one, the levels in random order, and at each level the systems in random order, so
// that a slow minute meets all of them. Where launched servers take turns (MeasuresInTurn), the systems in random order within
// a repetition, and each system's levels in random order. The order depends on the configuration's seed alone. Within a level
// and a repetition all systems get the same prompts at the same times.
#pragma once

#include <cstddef>
#include <vector>

#include "experiment/config.h"
#include "record/level.h"

namespace moecap::experiment {

struct Planned {
  size_t system = 0;  // index in the configuration
  record::Level level;
  int repeat = 0;
};
// Every measurement of a configuration without a search, in the order in which they are made.
std::vector<Planned> OrderOf(const Config& config);

}  // namespace moecap::experiment
