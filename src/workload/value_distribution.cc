#include "workload/value_distribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace moecap::workload {
namespace {

double Exponential(Rng& rng) { return -std::log1p(-rng.Uniform()); }

double Normal(Rng& rng) {
  return std::sqrt(2 * Exponential(rng)) * std::cos(2 * std::numbers::pi * rng.Uniform());  // Box and Muller
}

struct LogParameters {
  double mu, sigma;
};
LogParameters OfLogarithm(const ValueDistribution& d) {
  const double sigma = std::sqrt(std::log1p(d.stddev * d.stddev / (d.mean * d.mean)));
  return {std::log(d.mean) - sigma * sigma / 2, sigma};
}

double NormalCdf(double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; }

// P(value <= x) before the range cuts.
double UncutCdf(const ValueDistribution& d, double x) {
  switch (d.shape) {
    case DistributionShape::kFixed:
      return x >= d.mean ? 1 : 0;
    case DistributionShape::kUniform:
      return d.max > d.min ? std::clamp((x - d.min) / (d.max - d.min), 0.0, 1.0) : (x >= d.min ? 1 : 0);
    case DistributionShape::kNormal:
      return NormalCdf((x - d.mean) / d.stddev);
    case DistributionShape::kLognormal: {
      const LogParameters log = OfLogarithm(d);
      return x > 0 ? NormalCdf((std::log(x) - log.mu) / log.sigma) : 0;
    }
    case DistributionShape::kExponential:
      return x > 0 ? -std::expm1(-x / d.mean) : 0;
  }
  return 0;
}

double UncutDraw(const ValueDistribution& d, Rng& rng) {
  switch (d.shape) {
    case DistributionShape::kFixed:
      return d.mean;
    case DistributionShape::kUniform:
      return d.min + (d.max - d.min) * rng.Uniform();
    case DistributionShape::kNormal:
      return d.mean + d.stddev * Normal(rng);
    case DistributionShape::kLognormal: {
      const LogParameters log = OfLogarithm(d);
      return std::exp(log.mu + log.sigma * Normal(rng));
    }
    case DistributionShape::kExponential:
      return d.mean * Exponential(rng);
  }
  return 0;
}

bool HasMean(DistributionShape shape) { return shape != DistributionShape::kUniform; }
bool HasStddev(DistributionShape shape) {
  return shape == DistributionShape::kNormal || shape == DistributionShape::kLognormal;
}
bool IsPositiveOnly(DistributionShape shape) {
  return shape == DistributionShape::kLognormal || shape == DistributionShape::kExponential;
}

}  // namespace

Status CheckDistribution(const ValueDistribution& d) {
  if (!std::isfinite(d.mean) || !std::isfinite(d.stddev) || !std::isfinite(d.min) || !std::isfinite(d.max))
    return BadInput("mean, stddev, min and max must be finite numbers");
  if (d.min > d.max) return BadInput(fmt::format("min {:g} is above max {:g}", d.min, d.max));
  if (HasStddev(d.shape) && !(d.stddev > 0)) return BadInput(fmt::format("stddev is {:g}; it must be above 0", d.stddev));
  if (IsPositiveOnly(d.shape) && !(d.mean > 0)) return BadInput(fmt::format("mean is {:g}; it must be above 0", d.mean));
  if (HasMean(d.shape) && (d.mean < d.min || d.mean > d.max))
    return BadInput(fmt::format("mean {:g} is outside {:g}..{:g} (min..max)", d.mean, d.min, d.max));
  if (d.shape == DistributionShape::kFixed || d.shape == DistributionShape::kUniform) return {};
  const double inside = UncutCdf(d, d.max) - UncutCdf(d, d.min);
  if (!(inside >= 0.01)) {
    return BadInput(fmt::format(
        "min..max = {:g}..{:g} holds less than 1 % of the distribution; widen the range or lower stddev", d.min, d.max));
  }
  return {};
}

double DrawReal(const ValueDistribution& d, Rng& rng) {
  if (d.shape == DistributionShape::kFixed) return d.mean;
  for (;;) {
    const double value = UncutDraw(d, rng);
    if (value >= d.min && value <= d.max) return value;
  }
}

int64_t DrawInteger(const ValueDistribution& d, Rng& rng) {
  if (d.shape == DistributionShape::kFixed) return std::llround(d.mean);
  const int64_t min = std::llround(d.min), max = std::llround(d.max);
  // Rounding a draw from min..max would give the ends half their share.
  if (d.shape == DistributionShape::kUniform)
    return min + static_cast<int64_t>(rng.Below(static_cast<uint64_t>(max - min) + 1));
  for (;;) {
    const int64_t value = std::llround(std::clamp(UncutDraw(d, rng), d.min - 1, d.max + 1));
    if (value >= min && value <= max) return value;
  }
}

double CumulativeProbability(const ValueDistribution& d, double x) {
  if (d.shape == DistributionShape::kFixed) return UncutCdf(d, x);
  if (x < d.min) return 0;
  if (x >= d.max) return 1;
  const double below = UncutCdf(d, d.min);
  return (UncutCdf(d, x) - below) / (UncutCdf(d, d.max) - below);
}

std::string Describe(const ValueDistribution& d) {
  switch (d.shape) {
    case DistributionShape::kFixed:
      return fmt::format("{:.15g}", d.mean);
    case DistributionShape::kUniform:
      return fmt::format("uniform {:.15g}..{:.15g}", d.min, d.max);
    case DistributionShape::kNormal:
    case DistributionShape::kLognormal:
      return fmt::format("{}, mean {:.15g}, stddev {:.15g}, {:.15g}..{:.15g}",
                         d.shape == DistributionShape::kNormal ? "normal" : "lognormal", d.mean, d.stddev, d.min, d.max);
    case DistributionShape::kExponential:
      return fmt::format("exponential, mean {:.15g}, {:.15g}..{:.15g}", d.mean, d.min, d.max);
  }
  return "";
}

}  // namespace moecap::workload
