// The multipliers and bands that the benchmark of the planner found, written as a catalogue.
#pragma once

#include <string>

#include "base/result.h"
#include "planner/multipliers.h"
#include "planner_errors.h"
#include "published_rows.h"

namespace moecap::bench {

// The bands that a plan shows, from residuals of rows that the fit behind each had not seen.
struct Bands {
  Band calibrated, sibling, wide, ttft;
};

// A copy of the built-in catalogue with the values of `fitted` that rest on rows, the bands and what a default launch takes;
// `rows` were fitted. Error: a number that there is none of, as of a band of fewer than nine deployments.
Status WriteMultipliers(const std::string& path, const planner::Multipliers& fitted, const Bands& bands,
                        const DefaultLaunch& launch, size_t rows);

}  // namespace moecap::bench
