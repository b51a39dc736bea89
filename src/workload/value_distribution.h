// How long prompts and answers are, how many turns a user takes, how long he thinks: a number, or a distribution to draw from.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/rng.h"

namespace moecap::workload {

enum class DistributionShape {
  kFixed,       // always `mean`
  kUniform,     // min .. max, both included
  kNormal,      // mean, stddev
  kLognormal,   // mean and stddev of the value itself, not of its logarithm
  kExponential  // mean
};

// A draw outside min..max is repeated, so that the shape within is kept and no value piles up at an end (the mean of the draws
// then differs from `mean` as far as the range cuts).
struct ValueDistribution {
  DistributionShape shape = DistributionShape::kFixed;
  double mean = 0;    // not of kUniform
  double stddev = 0;  // > 0; of kNormal and kLognormal
  double min = 0;
  double max = 0;

  friend bool operator==(const ValueDistribution&, const ValueDistribution&) = default;
};

inline ValueDistribution FixedValue(double value) { return {DistributionShape::kFixed, value, 0, value, value}; }

// Errors: kBadInput for values that are not finite, min above max, a mean outside min..max, a stddev that is not above 0, and a
// range that holds less than 1 % of the distribution.
Status CheckDistribution(const ValueDistribution& distribution);

// Both require a distribution that CheckDistribution accepts. DrawInteger rounds to the nearest whole number before it looks at
// min and max, which must be whole.
double DrawReal(const ValueDistribution& distribution, Rng& rng);
int64_t DrawInteger(const ValueDistribution& distribution, Rng& rng);

// P(value <= x) of DrawReal.
double CumulativeProbability(const ValueDistribution& distribution, double x);

// "512", "uniform 256..1024", "lognormal, mean 512, stddev 128, 1..4096".
std::string Describe(const ValueDistribution& distribution);

}  // namespace moecap::workload
