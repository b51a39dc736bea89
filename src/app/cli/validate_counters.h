// moecap validate --counters: the formulas against what a GPU's counters saw, from stored files; needs no engine.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace CLI {
class App;
}

namespace moecap::app {

struct CounterFlags {
  std::filesystem::path counters;   // a folder of such files; empty = the flag was not given
  std::filesystem::path latencies;  // of the same passes; empty = none
  std::filesystem::path shapes = "tools/gpu/shapes";
  std::filesystem::path svg;  // a folder; empty = no pictures
  std::string device = "h200-sxm";
};

void AddCounterFlags(CLI::App& app, CounterFlags& flags);

// Prints each pass by conventions and terms, and how well terms fitted on the other shapes predict each shape; writes
// SHAPE-s-mbu.svg of each. Errors: kBadInput, kFailed where a file cannot be written.
Status ValidateCounters(const CounterFlags& flags);

}  // namespace moecap::app
