// Distributions over the requests of several measurements of one kind.
#pragma once

#include <span>
#include <vector>

#include "metrics/latency.h"
#include "record/request_record.h"

namespace moecap::metrics {

// As DescribeServing's latencies over the whole run of all parts put behind each other, which are read where they lie: a long
// load has no room for a second copy.
std::vector<LatencyFigure> PooledLatencies(std::span<const std::span<const record::RequestRecord>> parts);

}  // namespace moecap::metrics
