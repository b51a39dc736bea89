#include "mock/sampling.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <numbers>

namespace moecap::mock {
namespace {

bool ReadNumber(std::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value) && value >= 0;
}

}  // namespace

double DrawNormal(Rng& rng) {
  const double radius = std::sqrt(-2 * std::log(1 - rng.Uniform()));
  return radius * std::cos(2 * std::numbers::pi * rng.Uniform());
}

double DrawGamma(Rng& rng, double shape) {
  CHECK(shape > 0);
  // Below 1 the method does not hold; Gamma(a) = Gamma(a + 1) U^(1/a).
  if (shape < 1) return DrawGamma(rng, shape + 1) * std::pow(1 - rng.Uniform(), 1 / shape);
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = DrawNormal(rng);
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(1 - rng.Uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double Spread::Draw(Rng& rng) const {
  if (sigma == 0 || mean == 0) return mean;
  return mean * std::exp(sigma * DrawNormal(rng) - sigma * sigma / 2);
}

Result<Spread> ParseSpread(std::string_view text, std::string_view flag) {
  Spread spread;
  const size_t colon = text.find(':');
  const bool mean = ReadNumber(text.substr(0, colon), spread.mean);
  const bool sigma = colon == std::string_view::npos || ReadNumber(text.substr(colon + 1), spread.sigma);
  if (!mean || !sigma || spread.sigma > 10) {
    return BadInput(fmt::format("{} is \"{}\"; give MEAN or MEAN:SIGMA, a lognormal spread with 0 <= SIGMA <= 10", flag, text));
  }
  return spread;
}

}  // namespace moecap::mock
