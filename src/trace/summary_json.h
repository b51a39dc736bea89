// TraceSummary as JSON, described in docs/trace.md.
#pragma once

#include <span>
#include <string>

#include "trace/summarize.h"

namespace moecap::trace {

// `expert_bytes`: of one routed expert per traced layer; empty = not known, then no bytes across a link are given.
std::string ToJsonText(const TraceSummary& summary, std::span<const double> expert_bytes);

}  // namespace moecap::trace
