// The terminal and SVG forms of `moecap trace`.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "trace/summarize.h"
#include "trace/upstream.h"

namespace moecap::app {

// Lines of at most `width` cells. `expert_bytes`: of one expert per layer, empty = not known.
std::string RenderTrace(const trace::TraceSummary& summary, std::span<const double> expert_bytes, size_t width, bool unicode);
// One line a cell.
struct LabelledTrace {
  std::string label;
  trace::TraceSummary summary;
};
std::string RenderCells(std::span<const LabelledTrace> traces, size_t width, bool unicode);
std::string RenderUpstream(const trace::UpstreamReport& report, size_t width, bool unicode);

// Popularity against the uniform share, layer by expert.
std::string DrawPopularity(const trace::TraceSummary& summary);
// Distinct experts against tokens, mean over layers, measured and estimated. Empty when the experts per token are not known.
std::string DrawCoverage(const trace::TraceSummary& summary);

}  // namespace moecap::app
