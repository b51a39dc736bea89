// Distinct experts of 1, 2, 3, ... consecutive tokens of one sequence: what a pass reads that checks drafted tokens, or that
// computes a piece of a prompt.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "trace/trace.h"

namespace moecap::trace {

struct ConsecutiveExperts {
  std::vector<std::vector<double>> distinct;    // [tokens - 1][layer]: mean over all windows of so many tokens
  std::vector<int64_t> windows;                 // [tokens - 1]: counted in the first traced layer, overlapping
  std::vector<std::vector<double>> popularity;  // [layer][expert]: share of the assignments, of all tokens of the trace
  bool decoded = false;                         // windows of decoded tokens alone; false: the trace tells no decode passes

  // Mean over the layers.
  double Mean(int tokens) const;
};

// Reads the source to its end. Windows end at `most_tokens`, or before where no sequence is as long. A trace of counts counts
// where its passes are of one token each: then neighbouring passes are neighbouring tokens, and a pass of more begins another
// sequence. Requires most_tokens 1 .. 256. Errors kBadInput: sums that hold no order, tokens whose sequences are not known, or
// no two neighbours at all.
Result<ConsecutiveExperts> CountConsecutive(TraceSource& source, int most_tokens);

}  // namespace moecap::trace
