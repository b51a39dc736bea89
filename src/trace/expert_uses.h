// The order in which a trace's passes used the experts of each layer: what caches of experts are replayed with.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "trace/trace.h"

namespace moecap::trace {

struct ExpertUses {
  std::vector<std::vector<uint16_t>> uses;  // [layer]: each expert of a pass once, ascending within the pass
  int64_t passes = 0;
  double distinct = 0;   // of a layer in a pass, mean
  bool decoded = false;  // of decode passes alone; false: the trace tells none
};

// Reads the source to its end; of each layer at most `most_uses`. Where passes are not known every token is one. Error
// kBadInput: a trace of sums, which holds no order, or one without passes.
Result<ExpertUses> CollectUses(TraceSource& source, size_t most_uses = size_t{1} << 20);

}  // namespace moecap::trace
