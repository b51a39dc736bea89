#include "workload/arrivals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/rng.h"

namespace moecap::workload {
namespace {

double Exponential(Rng& rng) { return -std::log1p(-rng.Uniform()); }

double Normal(Rng& rng) {
  return std::sqrt(2 * Exponential(rng)) * std::cos(2 * std::numbers::pi * rng.Uniform());  // Box and Muller
}

// Marsaglia and Tsang 2000; shapes below 1 by their boost.
double Gamma(double shape, Rng& rng) {
  if (shape < 1) return Gamma(shape + 1, rng) * std::pow(1 - rng.Uniform(), 1 / shape);
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = Normal(rng);
    const double v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log1p(-rng.Uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

// A gap with mean 1.
double Gap(const ArrivalProcess& process, Rng& rng) {
  switch (process.gaps) {
    case GapShape::kConstant:
      return 1;
    case GapShape::kExponential:
      return Exponential(rng);
    case GapShape::kGamma:
      return Gamma(process.shape, rng) / process.shape;
    case GapShape::kWeibull:
      return std::pow(Exponential(rng), 1 / process.shape) / std::tgamma(1 + 1 / process.shape);
  }
  return 1;
}

double Expected(const RateSegment& segment, double time_s) {
  return time_s * (segment.from_per_s + (segment.to_per_s - segment.from_per_s) * time_s / segment.duration_s / 2);
}

// The time within the segment at which `expected` requests are due; 0 <= expected <= those of the whole segment, > 0 in all.
double TimeOf(const RateSegment& segment, double expected) {
  const double slope = (segment.to_per_s - segment.from_per_s) / segment.duration_s;
  const double root = std::sqrt(std::max(0.0, segment.from_per_s * segment.from_per_s + 2 * slope * expected));
  // The form of the quadratic's solution that neither cancels nor divides by a slope of 0.
  const double divisor = segment.from_per_s + root;
  return divisor > 0 ? std::min(segment.duration_s, 2 * expected / divisor) : 0;
}

// Maps a growing count of expected requests to time.
class Timeline {
 public:
  explicit Timeline(const ArrivalProcess& process) : process_(process) {}

  double TimeOf(double expected) {
    while (segment_ < process_.ramp.size()) {
      const RateSegment& segment = process_.ramp[segment_];
      const double whole = Expected(segment, segment.duration_s);
      if (expected - done_ <= whole && whole > 0) return start_s_ + workload::TimeOf(segment, expected - done_);
      done_ += whole;
      start_s_ += segment.duration_s;
      ++segment_;
    }
    return start_s_ + (expected - done_) / process_.rate_per_s;
  }

 private:
  const ArrivalProcess& process_;
  size_t segment_ = 0;
  double done_ = 0;
  double start_s_ = 0;
};

Status Check(const ArrivalProcess& process, int64_t requests) {
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  const auto rate = [](double value) { return std::isfinite(value) && value >= 0; };
  if (requests < 0) return BadInput(fmt::format("{} requests cannot be scheduled", requests));
  if (!positive(process.rate_per_s))
    return BadInput(fmt::format("an arrival rate of {:g} requests/s is not possible; it must be above 0", process.rate_per_s));
  if (!positive(process.shape)) return BadInput(fmt::format("the shape {:g} of the gaps must be above 0", process.shape));
  if (process.burst < 1) return BadInput(fmt::format("a burst of {} requests is not possible; use 1 or more", process.burst));
  for (const RateSegment& segment : process.ramp) {
    if (!positive(segment.duration_s) || !rate(segment.from_per_s) || !rate(segment.to_per_s)) {
      return BadInput(
          fmt::format("the ramp from {:g} to {:g} requests/s in {:g} s is not possible: rates are at least 0, the "
                      "duration is above 0",
                      segment.from_per_s, segment.to_per_s, segment.duration_s));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<double>> ScheduleArrivals(const ArrivalProcess& process, int64_t requests) {
  RETURN_IF_ERROR(Check(process, requests));
  Rng rng(process.seed);
  Timeline timeline(process);
  std::vector<double> times;
  times.reserve(static_cast<size_t>(requests));
  double expected = process.gaps == GapShape::kConstant ? -static_cast<double>(process.burst) : 0;
  while (std::ssize(times) < requests) {
    expected += Gap(process, rng) * process.burst;
    const double time_s = timeline.TimeOf(expected);
    for (int i = 0; i < process.burst && std::ssize(times) < requests; ++i) times.push_back(time_s);
  }
  return times;
}

double ExpectedRequests(const ArrivalProcess& process, double time_s) {
  double expected = 0;
  for (const RateSegment& segment : process.ramp) {
    expected += Expected(segment, std::min(time_s, segment.duration_s));
    time_s -= segment.duration_s;
    if (time_s <= 0) return expected;
  }
  return expected + time_s * process.rate_per_s;
}

std::optional<double> Burstiness(const ArrivalProcess& process) {
  if (process.burst != 1) return std::nullopt;
  switch (process.gaps) {
    case GapShape::kConstant:
      return std::numeric_limits<double>::infinity();
    case GapShape::kExponential:
      return 1;
    case GapShape::kGamma:
      return process.shape;
    case GapShape::kWeibull:
      return process.shape == 1 ? std::optional(1.0) : std::nullopt;
  }
  CHECK(false);
}

}  // namespace moecap::workload
