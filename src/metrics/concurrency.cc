#include "metrics/concurrency.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "base/check.h"

namespace moecap::metrics {
namespace {

constexpr size_t kSlices = 100;
constexpr size_t kLeastSamples = 20;
constexpr double kSignificant = 0.01;

// 1 for the smallest; equal values share the mean of their ranks.
std::vector<double> RanksOf(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t end = first;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (size_t i = first; i < end; ++i) ranks[order[i]] = static_cast<double>(first + 1 + end) / 2;
    first = end;
  }
  return ranks;
}

// Two-sided probability of a rank correlation with time (Spearman 1904) at least this strong without any trend, by its t
// approximation. Ranks, so that one pause of a second among requests of milliseconds is one large value and no slope.
double TrendPValue(std::span<const double> in_time) {
  const std::vector<double> ranks = RanksOf(in_time);
  const auto n = static_cast<double>(ranks.size());
  const double mean = (n + 1) / 2;
  double product = 0, time_squares = 0, rank_squares = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const double dt = static_cast<double>(i + 1) - mean, dr = ranks[i] - mean;
    product += dt * dr;
    time_squares += dt * dt;
    rank_squares += dr * dr;
  }
  if (rank_squares <= 0) return 1;
  const double rho = product / std::sqrt(time_squares * rank_squares);
  if (std::abs(rho) >= 1) return 0;
  const double t = std::abs(rho) * std::sqrt((n - 2) / (1 - rho * rho));
  return 2 * cdf(complement(boost::math::students_t(n - 2), t));
}

// Mean concurrency of kSlices equal parts of the time that `steps` span.
std::vector<double> MeansOfSlices(std::span<const ConcurrencyStep> steps) {
  const double begin_s = steps.front().at_s;
  const double slice_s = (steps.back().at_s - begin_s) / kSlices;
  std::vector<double> means(kSlices);
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const double from = (steps[i].at_s - begin_s) / slice_s;
    const double to = (steps[i + 1].at_s - begin_s) / slice_s;
    for (auto slice = static_cast<size_t>(from); slice < kSlices && static_cast<double>(slice) < to; ++slice) {
      const auto low = static_cast<double>(slice);
      means[slice] += (std::min(to, low + 1) - std::max(from, low)) * static_cast<double>(steps[i].requests);
    }
  }
  return means;
}

std::string DriftInWords(const char* name, const DriftVerdict& verdict) {
  if (verdict.drift == Drift::kTooFewSamples) return fmt::format("{}: too few requests to tell", name);
  if (verdict.drift == Drift::kSteady) return fmt::format("{} steady", name);
  return fmt::format("{} {} (last third {:+.1f} % against the first)", name, DriftName(verdict.drift),
                     100 * verdict.relative_change);
}

}  // namespace

Window InFlight(const record::RequestRecord& request) {
  const double last_s = request.token_s.empty() ? request.send_s : request.token_s.back();
  return {request.send_s, request.end_s.value_or(last_s)};
}

std::vector<ConcurrencyStep> ConcurrencyOverTime(std::span<const record::RequestRecord> requests) {
  std::vector<Window> in_flight;
  for (const record::RequestRecord& request : requests) in_flight.push_back(InFlight(request));
  return ConcurrencyOverTime(in_flight);
}

std::vector<ConcurrencyStep> ConcurrencyOverTime(std::span<const Window> in_flight) {
  std::vector<ConcurrencyStep> changes;
  for (const Window& own : in_flight) {
    changes.push_back({own.from_s, 1});
    changes.push_back({own.to_s, -1});
  }
  std::ranges::sort(changes, {}, &ConcurrencyStep::at_s);
  std::vector<ConcurrencyStep> steps;
  int64_t requests = 0;
  for (const ConcurrencyStep& change : changes) {
    requests += change.requests;
    if (!steps.empty() && steps.back().at_s == change.at_s) {
      steps.back().requests = requests;
    } else {
      steps.push_back({change.at_s, requests});
    }
  }
  return steps;
}

ConcurrencyFigures DescribeConcurrency(std::span<const ConcurrencyStep> steps, const Window& window) {
  ConcurrencyFigures figures;
  double area = 0;
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const double seconds = std::min(steps[i + 1].at_s, window.to_s) - std::max(steps[i].at_s, window.from_s);
    if (seconds <= 0) continue;
    figures.peak = std::max(figures.peak, steps[i].requests);
    area += seconds * static_cast<double>(steps[i].requests);
  }
  if (window.Seconds() > 0) figures.mean = area / window.Seconds();
  return figures;
}

std::optional<Window> BusyWindow(std::span<const ConcurrencyStep> steps, double share) {
  if (steps.size() < 2 || steps.back().at_s <= steps.front().at_s) return std::nullopt;
  const std::vector<double> means = MeansOfSlices(steps);
  std::vector<double> sorted = means;
  std::ranges::sort(sorted);
  const double threshold = share * stats::Quantile(sorted, 0.5);
  const auto reaches = [&](double mean) { return mean >= threshold; };
  const auto first = std::ranges::find_if(means, reaches) - means.begin();
  const auto last = means.rend() - std::find_if(means.rbegin(), means.rend(), reaches);
  const double begin_s = steps.front().at_s;
  const double slice_s = (steps.back().at_s - begin_s) / kSlices;
  return Window{begin_s + slice_s * static_cast<double>(first), begin_s + slice_s * static_cast<double>(last)};
}

std::string_view DriftName(Drift drift) {
  switch (drift) {
    case Drift::kSteady:
      return "steady";
    case Drift::kRising:
      return "rising";
    case Drift::kFalling:
      return "falling";
    case Drift::kTooFewSamples:
      return "too few samples";
  }
  return "";
}

DriftVerdict JudgeDrift(std::span<const double> times_s, std::span<const double> values, double meaningful) {
  CHECK(times_s.size() == values.size());
  DriftVerdict verdict;
  if (values.size() < kLeastSamples) return verdict;
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](size_t i) { return times_s[i]; });
  std::vector<double> in_time;
  for (const size_t i : order) in_time.push_back(values[i]);
  const size_t third = in_time.size() / 3;
  const double before = stats::Median(std::span(in_time).first(third)), after = stats::Median(std::span(in_time).last(third));
  if (!(before > 0)) return verdict;
  verdict.relative_change = after / before - 1;
  verdict.p_value = TrendPValue(in_time);
  const bool drifts = verdict.p_value < kSignificant && std::abs(verdict.relative_change) > meaningful;
  verdict.drift = !drifts ? Drift::kSteady : after > before ? Drift::kRising : Drift::kFalling;
  return verdict;
}

std::optional<SteadyState> FindSteadyState(std::span<const record::RequestRecord> requests) {
  const auto window = BusyWindow(ConcurrencyOverTime(requests));
  const auto run = WholeRun(requests);
  if (!window || !run) return std::nullopt;
  SteadyState state;
  state.window = *window;
  if (run->Seconds() > 0) state.share_of_run = std::min(1.0, window->Seconds() / run->Seconds());
  std::vector<double> ttft_times, ttft, tpot_times, tpot;
  for (const auto& request : requests) {
    if (request.send_s < window->from_s || request.send_s > window->to_s) continue;
    const RequestLatency latency = LatencyOf(request);
    if (latency.ttft_s) {
      ttft_times.push_back(request.send_s);
      ttft.push_back(*latency.ttft_s);
    }
    if (latency.tpot_s) {
      tpot_times.push_back(request.send_s);
      tpot.push_back(*latency.tpot_s);
    }
  }
  state.ttft = JudgeDrift(ttft_times, ttft);
  state.tpot = JudgeDrift(tpot_times, tpot);
  state.steady = state.ttft.drift == Drift::kSteady && state.tpot.drift == Drift::kSteady;
  state.verdict = fmt::format("{:.0f} % of the run lies between ramp-up and drain; there {}; {}", 100 * state.share_of_run,
                              DriftInWords("TTFT", state.ttft), DriftInWords("TPOT", state.tpot));
  return state;
}

}  // namespace moecap::metrics
