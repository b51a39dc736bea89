#include "synth/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace moecap::synth {
namespace {

constexpr int kTokens = 8192;
constexpr double kWidestSpread = 4;

std::vector<double> Lognormal(const std::vector<double>& normals, double spread) {
  std::vector<double> deviations;
  deviations.reserve(normals.size());
  for (const double z : normals) deviations.push_back(std::exp(spread * z));
  const double mean = std::accumulate(deviations.begin(), deviations.end(), 0.0) / static_cast<double>(deviations.size());
  for (double& deviation : deviations) deviation /= mean;
  return deviations;
}

}  // namespace

double Gaussian(Rng& rng) {
  const double radius = std::sqrt(-2 * std::log(1 - rng.Uniform()));
  return radius * std::cos(2 * std::numbers::pi * rng.Uniform());
}

double SimulatedCv(const std::vector<double>& deviations, int top_k, int tokens, uint64_t seed) {
  Rng rng(seed);
  const size_t experts = deviations.size();
  std::vector<std::pair<double, size_t>> logits(experts);
  std::vector<double> counts(experts);
  for (int token = 0; token < tokens; ++token) {
    for (size_t e = 0; e < experts; ++e) logits[e] = {Gaussian(rng) * deviations[e], e};
    std::nth_element(logits.begin(), logits.begin() + top_k - 1, logits.end(), std::greater<>());
    for (int k = 0; k < top_k; ++k) counts[logits[static_cast<size_t>(k)].second] += 1;
  }
  const double mean = static_cast<double>(tokens) * top_k / static_cast<double>(experts);
  double squares = 0;
  for (const double count : counts) squares += (count - mean) * (count - mean);
  return std::sqrt(squares / static_cast<double>(experts)) / mean;
}

Result<std::vector<double>> RowDeviations(int experts, int top_k, double cv, uint64_t seed) {
  if (!(cv >= 0)) return BadInput(fmt::format("--skew {}: the coefficient of variation must be 0 or more", cv));
  if (cv == 0) return std::vector<double>(static_cast<size_t>(experts), 1.0);
  // Evenly spaced quantiles in random order: every seed has the same popularities.
  Rng rng(seed);
  std::vector<double> normals;
  for (int e = 0; e < experts; ++e) normals.push_back(2.0 * (e + 0.5) / experts - 1);
  for (double& value : normals)
    value = std::log((1 + value) / (1 - value)) / 1.702;  // the logistic is near the normal quantile
  rng.Shuffle(normals);
  const auto reached = [&](double spread) { return SimulatedCv(Lognormal(normals, spread), top_k, kTokens, seed); };
  const double most = reached(kWidestSpread);
  if (cv > most) {
    return BadInput(
        fmt::format("--skew {}: with {} experts, {} per token, at most {:.2f} can be made", cv, experts, top_k, most));
  }
  double low = 0;
  double high = kWidestSpread;
  for (int step = 0; step < 14; ++step) {
    const double middle = (low + high) / 2;
    (reached(middle) < cv ? low : high) = middle;
  }
  return Lognormal(normals, (low + high) / 2);
}

}  // namespace moecap::synth
