// Arrival processes: when requests are to be sent, as absolute times that are fixed before anything is sent. Nothing is added
// up while a run is going on, so nothing drifts; and nothing is rescaled to end on time, so a Poisson process stays one.
//
// Every process is the same construction: gaps of mean 1, drawn from the shape, on the scale of expected requests, mapped to
// time by the inverse of the cumulative rate (time rescaling; Daley and Vere-Jones, An Introduction to the Theory of Point
// Processes, 7.4). So each shape goes with a constant rate, with ramps and with steps.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"

namespace moecap::workload {

enum class GapShape {
  kConstant,     // equal gaps; the first request goes out at 0
  kExponential,  // a Poisson process
  kGamma,        // shape < 1: bursty, > 1: more regular than Poisson (vLLM's "burstiness")
  kWeibull       // shape < 1: a heavy tail of gaps
};

// The rate goes linearly from one end of the segment to the other. Equal ends make a step; 0 to 0 a pause.
struct RateSegment {
  double duration_s = 0;  // > 0
  double from_per_s = 0;  // requests a second, >= 0
  double to_per_s = 0;
};

struct ArrivalProcess {
  GapShape gaps = GapShape::kExponential;
  double shape = 1;               // of gamma and Weibull, > 0; 1 is a Poisson process in both
  std::vector<RateSegment> ramp;  // may be empty
  double rate_per_s = 1;          // after the ramp, > 0
  int burst = 1;                  // requests that are sent together at each arrival; the rate counts requests
  uint64_t seed = 0;
};

// The send times of `requests` requests in seconds, ascending, the same on every machine. Errors: kBadInput for values outside
// the ranges above.
Result<std::vector<double>> ScheduleArrivals(const ArrivalProcess& process, int64_t requests);

// Expected requests until `time_s`: the integral of the rate.
double ExpectedRequests(const ArrivalProcess& process, double time_s);

// The shape of the gaps as a Gamma distribution, vLLM's "burstiness": 1 for Poisson, infinite for constant gaps. Null when they
// are none: Weibull gaps, requests that come several at a time.
std::optional<double> Burstiness(const ArrivalProcess& process);

}  // namespace moecap::workload
