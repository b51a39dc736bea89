// Seeded draws whose result is the same on every machine (the standard library's distributions are not).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/rng.h"

namespace moecap::mock {

// Mixes `value` into `hash`.
constexpr uint64_t Mix(uint64_t hash, uint64_t value) {
  return MixBits(hash ^ (value + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2)));
}

// Standard normal, by Box and Muller.
double DrawNormal(Rng& rng);
// Gamma of the given shape and scale 1, by Marsaglia and Tsang (2000). Requires shape > 0.
double DrawGamma(Rng& rng, double shape);

// A constant (sigma 0) or a lognormal variable of the given mean; sigma is the deviation of its logarithm.
struct Spread {
  double mean = 0;
  double sigma = 0;

  double Draw(Rng& rng) const;
};

// "MEAN" or "MEAN:SIGMA". Error kBadInput names `flag`: not a number, negative.
Result<Spread> ParseSpread(std::string_view text, std::string_view flag);

}  // namespace moecap::mock
