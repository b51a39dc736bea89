// How many requests were in flight, over time; and the part of a run in which that and the latencies were steady.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "metrics/latency.h"

namespace moecap::metrics {

// From `at_s` until the next step, `requests` were in flight.
struct ConcurrencyStep {
  double at_s = 0;
  int64_t requests = 0;
};

// When a request was in flight. One without an end (cancelled, failed) ends with its last token, or where it was sent.
Window InFlight(const record::RequestRecord& request);

// A sweep over sends and ends.
std::vector<ConcurrencyStep> ConcurrencyOverTime(std::span<const Window> in_flight);
std::vector<ConcurrencyStep> ConcurrencyOverTime(std::span<const record::RequestRecord> requests);

struct ConcurrencyFigures {
  int64_t peak = 0;
  double mean = 0;  // over time within the window
};
ConcurrencyFigures DescribeConcurrency(std::span<const ConcurrencyStep> steps, const Window& window);

// Between ramp-up and drain: in hundredths of the run, from the first to the last whose mean concurrency reaches `share` of the
// median hundredth's. The median, not the highest: arrivals of an open loop fluctuate by their nature, and one burst should not
// make the rest of the run look unsteady. Null for a run without duration.
std::optional<Window> BusyWindow(std::span<const ConcurrencyStep> steps, double share = 0.9);

enum class Drift { kSteady, kRising, kFalling, kTooFewSamples };
std::string_view DriftName(Drift drift);  // "steady", "rising", "falling", "too few samples"

// Whether `values` drift over `times_s`: the medians of the last and of the first third differ by more than `meaningful` of the
// first's, and the rank correlation with time (Spearman) differs from 0 at 99 %. Single pauses move neither. At least 20
// samples, of positive median, else kTooFewSamples.
struct DriftVerdict {
  Drift drift = Drift::kTooFewSamples;
  double relative_change = 0;  // median of the last third / median of the first third - 1; above -1
  double p_value = 1;          // two-sided, of a rank correlation at least this strong without any drift
};
DriftVerdict JudgeDrift(std::span<const double> times_s, std::span<const double> values, double meaningful = 0.05);

struct SteadyState {
  Window window;  // the busy window
  double share_of_run = 0;
  DriftVerdict ttft, tpot;  // of the requests sent inside it, over their send time
  std::string verdict;      // one sentence
  bool steady = false;      // neither TTFT nor TPOT drifts
};
std::optional<SteadyState> FindSteadyState(std::span<const record::RequestRecord> requests);

}  // namespace moecap::metrics
