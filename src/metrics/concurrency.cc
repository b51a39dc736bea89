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

double EndOf(const record::RequestRecord& request) {
  if (request.end_s) return *request.end_s;
  return request.token_s.empty() ? request.send_s : request.token_s.back();
}

std::string DriftInWords(const char* name, const DriftVerdict& verdict) {
  if (verdict.drift == Drift::kTooFewSamples) return fmt::format("{}: too few requests to tell", name);
  return fmt::format("{} {} ({:+.1f} % over the window)", name, DriftName(verdict.drift), 100 * verdict.relative_change);
}

}  // namespace

std::vector<ConcurrencyStep> ConcurrencyOverTime(std::span<const record::RequestRecord> requests) {
  std::vector<ConcurrencyStep> changes;
  for (const auto& request : requests) {
    changes.push_back({request.send_s, 1});
    changes.push_back({EndOf(request), -1});
  }
  std::ranges::sort(changes, {}, &ConcurrencyStep::at_s);
  std::vector<ConcurrencyStep> steps;
  int64_t in_flight = 0;
  for (const ConcurrencyStep& change : changes) {
    in_flight += change.requests;
    if (!steps.empty() && steps.back().at_s == change.at_s) {
      steps.back().requests = in_flight;
    } else {
      steps.push_back({change.at_s, in_flight});
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
  const auto n = static_cast<double>(values.size());
  double mean_time = 0, mean = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    mean_time += times_s[i] / n;
    mean += values[i] / n;
  }
  double times_squared = 0, product = 0, values_squared = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double dt = times_s[i] - mean_time;
    const double dv = values[i] - mean;
    times_squared += dt * dt;
    product += dt * dv;
    values_squared += dv * dv;
  }
  if (times_squared <= 0 || mean == 0) return verdict;
  const double slope = product / times_squared;
  const auto [earliest, latest] = std::ranges::minmax(times_s);
  verdict.relative_change = slope * (latest - earliest) / mean;
  const double residual = std::max(0.0, values_squared - slope * product);
  const double error = std::sqrt(residual / (n - 2) / times_squared);
  const boost::math::students_t distribution(n - 2);
  // A line without residual is as sure as it gets, unless it is flat.
  if (error > 0) verdict.p_value = 2 * cdf(complement(distribution, std::abs(slope) / error));
  if (error <= 0) verdict.p_value = slope == 0 ? 1 : 0;
  const bool drifts = verdict.p_value < kSignificant && std::abs(verdict.relative_change) > meaningful;
  verdict.drift = !drifts ? Drift::kSteady : slope > 0 ? Drift::kRising : Drift::kFalling;
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
