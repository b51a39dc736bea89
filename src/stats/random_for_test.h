// Noise for simulation tests, the same on every machine.
#pragma once

#include <cmath>
#include <numbers>

#include "base/rng.h"

namespace moecap::stats {

// Instrumented builds are 10 to 50 times slower: fewer runs there, and wider limits.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kSimulationShare = 20;
#else
inline constexpr int kSimulationShare = 1;
#endif

// How far a simulated share may lie from its limit by chance: 3.5 standard errors.
inline double SimulationSlack(double share, int runs) { return 3.5 * std::sqrt(share * (1 - share) / runs); }

inline double Exponential(Rng& rng) { return -std::log(1 - rng.Uniform()); }

// Box and Muller.
inline double Normal(Rng& rng) { return std::sqrt(2 * Exponential(rng)) * std::cos(2 * std::numbers::pi * rng.Uniform()); }

// Three degrees of freedom: no finite kurtosis.
inline double StudentT3(Rng& rng) {
  double squares = 0;
  for (int i = 0; i < 3; ++i) squares += std::pow(Normal(rng), 2);
  return Normal(rng) / std::sqrt(squares / 3);
}

// Normal, but one value in ten has five times the spread.
inline double Contaminated(Rng& rng) { return Normal(rng) * (rng.Uniform() < 0.1 ? 5 : 1); }

// Normal, and one in twenty is slow by about five standard deviations: a repetition that something disturbed.
inline double SometimesSlow(Rng& rng) { return Normal(rng) + (rng.Uniform() < 0.05 ? 5 * Exponential(rng) : 0); }

}  // namespace moecap::stats
