#include "planner/curve.h"

#include <algorithm>

#include "base/units.h"
#include "planner/candidate.h"

namespace moecap::planner {

std::vector<LoadPoint> LoadCurve(const Question& question, const SearchResult& search, const Candidate& candidate,
                                 const Ingredients& ingredients) {
  const ServingPoint point{search.variants[candidate.variant].work,
                           *candidate.device,
                           candidate.deployment,
                           FabricOf(*candidate.device, ingredients.devices),
                           ingredients.multipliers.FactorsOf(candidate.system, *candidate.device, question.launch),
                           candidate.offload};
  std::vector<LoadPoint> curve;
  for (const double factor : {1.0 / 16, 1.0 / 8, 1.0 / 4, 1.0 / 2, 1.0, 2.0, 4.0}) {
    LoadPoint at;
    at.load = question.load;
    std::optional<double>& amount = at.load.clients ? at.load.clients : at.load.requests_per_s;
    *amount *= factor;
    if (at.load.clients && *amount < 1) continue;
    Candidate moved = candidate;
    moved.serving = Serve(point, at.load, candidate.room, candidate.running_limit);
    Judge(question, moved);
    at.serving = moved.serving;
    at.keeps = moved.Answers();
    const double tokens_per_s = at.serving.requests_per_s * (at.load.input_tokens + at.load.output_tokens);
    if (candidate.money.usd_per_h && tokens_per_s > 0)
      at.usd_per_million_tokens = *candidate.money.usd_per_h / (tokens_per_s * kSecondsPerHour) * 1e6;
    curve.push_back(std::move(at));
  }
  return curve;
}

std::optional<int64_t> DenseFrom(const ModelWork& work, double share) {
  constexpr int64_t kMost = 65536;
  const auto reads = [&](int64_t tokens) {
    double distinct = 0, experts = 0;
    for (const ExpertGroup& group : work.experts) {
      distinct += group.layers * DistinctExperts(work, group, static_cast<double>(tokens));
      experts += group.layers * group.experts;
    }
    return distinct >= share * experts;
  };
  if (work.experts.empty() || !reads(kMost)) return std::nullopt;
  int64_t low = 0, high = kMost;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (reads(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace moecap::planner
