// How one way of serving behaves beside the load that was asked: the price of a token from idle to saturation, and from what
// batch on the model is no longer sparse.
#pragma once

#include <optional>
#include <vector>

#include "planner/search.h"

namespace moecap::planner {

struct LoadPoint {
  Load load;
  Serving serving;
  // The whole bill of an hour on all its tokens at this load: idle time is paid for, too.
  std::optional<double> usd_per_million_tokens;
  bool keeps = false;  // every target and limit
};

// The candidate at loads from a sixteenth of the question's to four times it.
std::vector<LoadPoint> LoadCurve(const Question& question, const SearchResult& search, const Candidate& candidate,
                                 const Ingredients& ingredients);

// The least number of independent tokens in a step that reads at least `share` of the experts, by the estimator or the sheet;
// null without experts, or when no batch up to 65536 does.
std::optional<int64_t> DenseFrom(const ModelWork& work, double share);

}  // namespace moecap::planner
