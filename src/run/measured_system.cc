#include "run/measured_system.h"

#include <algorithm>
#include <map>
#include <set>

#include "run/request_figures.h"
#include "stats/summary.h"

namespace moecap::run {
namespace {

using cap::CellSummary;
using cap::SystemSummary;

std::vector<const record::RequestRecord*> RequestsOf(const SystemSummary& system, int concurrency,
                                                     std::span<const record::RequestRecord> requests) {
  std::vector<const record::RequestRecord*> found;
  for (const auto& request : requests) {
    if (request.cell.system == system.name && request.cell.concurrency == concurrency && request.cell.repeat >= 0)
      found.push_back(&request);
  }
  return found;
}

std::vector<cap::ProblemSample> ProblemsOf(std::span<const record::RequestRecord* const> requests) {
  std::vector<cap::ProblemSample> problems;
  std::map<std::string, size_t> index;
  for (const auto* request : requests) {
    const auto [entry, is_new] = index.try_emplace(request->id, problems.size());
    if (is_new) problems.push_back({request->id, request->score, {}, {}, {}});
    cap::ProblemSample& problem = problems[entry->second];
    if (const auto ttft = TtftOf(*request)) problem.ttft_s.push_back(*ttft);
    if (const auto tpot = TpotOf(*request)) problem.tpot_s.push_back(*tpot);
    if (const auto e2e = E2eOf(*request)) problem.e2e_s.push_back(*e2e);
  }
  return problems;
}

using Latency = std::optional<double> (*)(const record::RequestRecord& request);

std::optional<double> MeanOf(std::span<const record::RequestRecord* const> requests, int repeat, Latency latency) {
  std::vector<double> values;
  for (const auto* request : requests) {
    if (request->cell.repeat != repeat) continue;
    if (const auto value = latency(*request)) values.push_back(*value);
  }
  const auto mean = stats::MeanAndError(values);
  return mean ? std::optional(mean->mean) : std::nullopt;
}

std::vector<cap::RepeatSample> RepeatsOf(std::span<const record::RequestRecord* const> requests,
                                         const cap::ServiceLevel& level) {
  std::vector<cap::RepeatSample> repeats;
  for (const auto& [repeat, totals] : TotalsByRepeat(requests, level)) {
    cap::RepeatSample sample{totals.Seconds(), totals.output_tokens, totals.requests};
    if (!level.empty()) sample.good_requests = totals.good_requests;
    sample.ttft_s = MeanOf(requests, repeat, TtftOf);
    sample.tpot_s = MeanOf(requests, repeat, TpotOf);
    sample.e2e_s = MeanOf(requests, repeat, E2eOf);
    repeats.push_back(sample);
  }
  return repeats;
}

}  // namespace

int ChooseConcurrency(std::span<const cap::RunSummary* const> runs, const cap::CapView& view) {
  if (view.concurrency) return *view.concurrency;
  std::map<int, size_t> systems_at;
  size_t systems = 0;
  for (const auto* run : runs) {
    for (const SystemSummary& system : run->systems) {
      systems += system.cells.empty() ? 0 : 1;
      for (const CellSummary& cell : system.cells) ++systems_at[cell.concurrency];
    }
  }
  if (systems_at.empty()) return 0;
  std::set<int> common, any;
  for (const auto& [concurrency, count] : systems_at) {
    any.insert(concurrency);
    if (count == systems) common.insert(concurrency);
  }
  const std::set<int>& choices = common.empty() ? any : common;
  return view.rule == cap::ConcurrencyRule::kHighest ? *choices.rbegin() : *choices.begin();
}

const CellSummary* FindCell(const SystemSummary& system, int concurrency) {
  const auto found = std::find_if(system.cells.begin(), system.cells.end(),
                                  [&](const CellSummary& cell) { return cell.concurrency == concurrency; });
  return found != system.cells.end() ? &*found : nullptr;
}

bool IsValid(const CellSummary& cell) { return cell.invalid.empty() && cell.utilization.invalid.empty(); }

cap::MeasuredSystem MeasureSystem(const cap::RunSummary& run, const SystemSummary& system, const CellSummary* cell,
                                  std::span<const record::RequestRecord> requests) {
  cap::MeasuredSystem measured;
  measured.label = system.name;
  measured.run_id = run.run_id;
  if (cell == nullptr || !IsValid(*cell)) return measured;
  for (const cap::Axis& axis : cap::Axes())
    measured.figures[static_cast<size_t>(axis.id)] = axis.value(run.host, system, *cell);
  const auto own = RequestsOf(system, cell->concurrency, requests);
  measured.problems = ProblemsOf(own);
  measured.repeats = RepeatsOf(own, run.service_level);
  return measured;
}

}  // namespace moecap::run
