#include "metrics/load_summary.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace moecap::metrics {
namespace {

using record::RequestError;
using record::RequestRecord;

constexpr size_t kCurveSlices = 199;  // two steps each, and the end: at most 400 - 1
constexpr size_t kMostMessages = 5;
constexpr size_t kMostQuirks = 20;

RequestError ErrorOf(const RequestRecord& request) { return request.ok() ? RequestError::kZeroTokens : request.error_kind; }

std::vector<ErrorGroup> GroupErrors(std::span<const RequestRecord> requests) {
  std::vector<ErrorGroup> groups;
  for (const RequestRecord& request : requests) {
    if (!request.failed()) continue;
    const RequestError kind = ErrorOf(request);
    auto group = std::ranges::find(groups, kind, &ErrorGroup::kind);
    if (group == groups.end()) {
      ErrorGroup added;
      added.kind = kind;
      added.first_s = added.last_s = request.send_s;
      groups.push_back(std::move(added));
      group = std::prev(groups.end());
    }
    ++group->count;
    group->first_s = std::min(group->first_s, request.send_s);
    group->last_s = std::max(group->last_s, request.send_s);
    const bool known = request.error.empty() || std::ranges::find(group->messages, request.error) != group->messages.end();
    if (!known && group->messages.size() < kMostMessages) group->messages.push_back(request.error);
  }
  std::ranges::stable_sort(groups, std::ranges::greater(), &ErrorGroup::count);
  return groups;
}

std::vector<TokenSourceCount> CountTokenSources(std::span<const RequestRecord> requests) {
  std::map<record::TokensSource, int64_t> counts;
  for (const RequestRecord& request : requests) {
    if (request.ok() && !request.token_s.empty()) ++counts[request.tokens_source];
  }
  std::vector<TokenSourceCount> sources;
  for (const auto& [source, count] : counts) sources.push_back({source, count});
  return sources;
}

std::vector<TimingGapCount> CountTimingGaps(std::span<const RequestRecord> requests) {
  std::map<record::TimingGap, int64_t> counts;
  for (const RequestRecord& request : requests) {
    if (request.ok() && !request.token_s.empty() && request.timing_gap != record::TimingGap::kNone)
      ++counts[request.timing_gap];
  }
  std::vector<TimingGapCount> gaps;
  for (const auto& [gap, count] : counts) gaps.push_back({gap, count});
  return gaps;
}

std::vector<QuirkCount> CountQuirks(std::span<const RequestRecord> requests) {
  std::map<std::string_view, int64_t> counts;
  for (const RequestRecord& request : requests) {
    for (const std::string& quirk : request.quirks) ++counts[quirk];
  }
  std::vector<QuirkCount> quirks;
  for (const auto& [quirk, count] : counts) quirks.push_back({std::string(quirk), count});
  std::ranges::stable_sort(quirks, std::ranges::greater(), &QuirkCount::requests);
  if (quirks.size() > kMostQuirks) quirks.resize(kMostQuirks);
  return quirks;
}

// What the steps do between two instants.
struct Slice {
  double from_s = 0, to_s = 0;
  double area = 0;  // requests x seconds
  int64_t lowest = 0, highest = 0;
  int64_t first = 0, last = 0;
  bool empty = true;

  void Add(double seconds, int64_t requests) {
    if (empty) lowest = highest = first = requests;
    empty = false;
    lowest = std::min(lowest, requests);
    highest = std::max(highest, requests);
    last = requests;
    area += seconds * static_cast<double>(requests);
  }
};

std::vector<Slice> CutIntoSlices(std::span<const ConcurrencyStep> steps) {
  const double begin_s = steps.front().at_s;
  const double slice_s = (steps.back().at_s - begin_s) / kCurveSlices;
  std::vector<Slice> slices(kCurveSlices);
  size_t next = 0;  // the step that holds at the beginning of the slice
  for (size_t i = 0; i < kCurveSlices; ++i) {
    Slice& slice = slices[i];
    slice.from_s = begin_s + slice_s * static_cast<double>(i);
    slice.to_s = i + 1 == kCurveSlices ? steps.back().at_s : begin_s + slice_s * static_cast<double>(i + 1);
    for (size_t step = next; step + 1 < steps.size() && steps[step].at_s < slice.to_s; ++step) {
      const double seconds = std::min(steps[step + 1].at_s, slice.to_s) - std::max(steps[step].at_s, slice.from_s);
      if (seconds > 0) slice.Add(seconds, steps[step].requests);
      if (steps[step + 1].at_s <= slice.to_s) next = step + 1;
    }
  }
  return slices;
}

// At most 2 x kCurveSlices + 1 steps with the same peak and the same mean: within a slice, the curve is at its highest and then
// at its lowest (or the other way round, where it rises), so long that the area stays what it was.
std::vector<ConcurrencyStep> Thin(std::vector<ConcurrencyStep> steps) {
  if (steps.size() <= 2 * kCurveSlices + 1) return steps;
  std::vector<ConcurrencyStep> thin;
  const auto append = [&thin](double at_s, int64_t requests) {
    if (thin.empty() || thin.back().requests != requests) thin.push_back({at_s, requests});
  };
  for (const Slice& slice : CutIntoSlices(steps)) {
    if (slice.empty) continue;
    const double seconds = slice.to_s - slice.from_s;
    const auto range = static_cast<double>(slice.highest - slice.lowest);
    if (range == 0) {
      append(slice.from_s, slice.lowest);
      continue;
    }
    const double high_s = (slice.area - static_cast<double>(slice.lowest) * seconds) / range;
    const bool rising = slice.last > slice.first;
    append(slice.from_s, rising ? slice.lowest : slice.highest);
    append(slice.from_s + (rising ? seconds - high_s : high_s), rising ? slice.highest : slice.lowest);
  }
  thin.push_back(steps.back());
  return thin;
}

}  // namespace

LoadFigures DescribeLoad(std::span<const RequestRecord> requests, const LatencyObjectives& objectives) {
  LoadFigures load;
  load.errors = GroupErrors(requests);
  load.token_sources = CountTokenSources(requests);
  load.timing_gaps = CountTimingGaps(requests);
  load.quirks = CountQuirks(requests);
  for (const RequestRecord& request : requests) load.retries += request.retries;
  const std::optional<Window> run = WholeRun(requests);
  if (!run) return load;
  load.whole = DescribeServing(requests, *run, objectives);
  std::vector<ConcurrencyStep> steps = ConcurrencyOverTime(requests);
  load.concurrency = DescribeConcurrency(steps, *run);
  load.concurrency_curve = Thin(std::move(steps));
  load.steady = FindSteadyState(requests);
  if (load.steady) load.in_steady = DescribeServing(requests, load.steady->window, objectives);
  return load;
}

}  // namespace moecap::metrics
