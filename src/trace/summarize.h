// A trace as numbers: one profile a layer, and what caches of experts would hit.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "routing/activation_sheet.h"
#include "routing/expert_cache.h"
#include "routing/layer_trace.h"
#include "trace/moetrace.h"
#include "trace/trace.h"

namespace moecap::trace {

struct SummarizeOptions {
  bool cache = false;  // also replay caches
  // Expert uses per layer that caches replay: the first ones of the trace.
  size_t cache_accesses = size_t{1} << 20;
};

struct TraceSummary {
  TraceHeader header;
  int64_t passes = 0, prefill_passes = 0, decode_passes = 0, mixed_passes = 0;  // the rest is of unknown kind
  std::optional<int64_t> tokens;                                                // null when a pass does not say, or of a part
  std::vector<routing::LayerProfile> layers;                                    // as header.layer_numbers
  std::vector<routing::CacheCurve> caches;  // per layer; empty when not asked for, or when passes are not recorded
  bool cache_cut = false;                   // the caches saw only the trace's beginning
  std::string no_cache_reason;              // why `caches` is empty although asked for
  std::vector<std::string> warnings;        // of the source

  // Loads of the experts by kind of pass, beside those of all passes. Empty: no pass of that kind.
  struct Phase {
    std::vector<routing::LayerLoad> layers;  // as header.layer_numbers
    bool empty() const { return layers.empty(); }
  };
  Phase prefill, decode;
  // Total variation between the popularities in prefill and decode of a layer. Requires both phases.
  double PhaseDistance(size_t layer) const;
  PhysicalLoad physical;  // empty where places and experts are the same

  routing::ActivationSheet Sheet() const;
  // Why the sheet would mislead: the recording is a part of what the passes computed. Empty: it is whole, as far as is known.
  std::string NoSheetReason() const;
};

// Reads the source to its end; `copy`, if given, receives every pass (and is closed).
Result<TraceSummary> Summarize(TraceSource& source, const SummarizeOptions& options, MoetraceWriter* copy = nullptr);

// All layers together, each with a cache of the same capacity.
struct CacheTotals {
  int64_t accesses = 0;
  // [policy][capacity]
  std::array<std::vector<double>, routing::kCachePolicies.size()> hit_rate;
  std::array<std::vector<double>, routing::kCachePolicies.size()>
      link_bytes;  // misses x bytes of an expert; empty without bytes
};
// `expert_bytes`: of one expert, per layer; empty = not known. Requires as many as curves otherwise.
CacheTotals TotalCaches(std::span<const routing::CacheCurve> curves, std::span<const double> expert_bytes);

// Mean over the layers that have a row of that size; values that no such layer has are null.
std::vector<routing::CoverageRow> MeanCoverage(const TraceSummary& summary);

}  // namespace moecap::trace
