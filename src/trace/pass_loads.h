// Tokens of each expert in every pass of a trace: what the ranks of an expert-parallel server would have had to compute.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "trace/trace.h"

namespace moecap::trace {

struct PassLoads {
  std::vector<std::vector<uint32_t>> passes;  // [pass][layer x experts + expert], in the order of the trace
  bool passes_known = true;                   // false: the tokens of a request stand for a pass
  bool cut = false;                           // the trace goes on beyond `most_counts`
};

// Passes of `kind` (null: all), idle ones left out, until they hold `most_counts` figures (256 MiB). Error kBadInput: a trace
// of sums, no such pass, or an expert with more than 2^32 tokens in a pass.
Result<PassLoads> CollectLoads(TraceSource& source, std::optional<record::PassKind> kind, size_t most_counts = size_t{1} << 26);

}  // namespace moecap::trace
