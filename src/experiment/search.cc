#include "experiment/search.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "metrics/latency.h"

namespace moecap::experiment {
namespace {

// In the order in which users wanted them.
load::SloOutcomes OutcomesOf(std::vector<record::RequestRecord> requests, const metrics::LatencyObjectives& objectives) {
  std::ranges::stable_sort(requests, {}, &record::RequestRecord::intended_send_s);
  load::SloOutcomes outcomes;
  for (const record::RequestRecord& request : requests)
    outcomes.push_back(
        {metrics::MeetsObjectives(request, objectives).value_or(false), metrics::ShareOfObjectives(request, objectives)});
  return outcomes;
}

}  // namespace

Result<load::SloSearchResult> Search(const Results& results, const std::string& system,
                                     const std::function<Status(double level, int repeat)>& measure) {
  const Config& config = results.manifest().config;
  std::map<double, int> probes;
  return load::SearchHighestLoad(*config.search, [&](double level) -> Result<load::SloOutcomes> {
    const int repeat = probes[level]++;
    RETURN_IF_ERROR(measure(level, repeat));
    const Measurement* measurement = results.Find(system, {config.load.kind, level}, repeat);
    CHECK(measurement != nullptr);
    ASSIGN_OR_RETURN(Facts facts, results.ReadFacts(*measurement));
    return OutcomesOf(std::move(facts.records.requests), config.objectives);
  });
}

}  // namespace moecap::experiment
