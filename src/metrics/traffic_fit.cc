#include "metrics/traffic_fit.h"

#include <algorithm>
#include <cmath>

namespace moecap::metrics {
namespace {

constexpr double kSmallTerm = 1e-3;  // of a pass's bytes

}  // namespace

CountedTraffic MakeCountedTraffic(const PassTraffic& traffic, double formula_bytes, double counted_bytes) {
  return {{traffic.kv_padding, traffic.kv_outside_windows, traffic.expert_rereads, traffic.quantised_rereads,
           traffic.activations_written + traffic.activations_read, traffic.attention_partials, traffic.row_overread,
           traffic.logits},
          formula_bytes,
          counted_bytes};
}

TrafficScales FitTraffic(std::span<const CountedTraffic> passes) {
  TrafficScales scales;
  // Normal equations of the relative errors.
  std::array<std::array<double, kTrafficTerms>, kTrafficTerms> products{};
  std::array<double, kTrafficTerms> right{};
  for (const CountedTraffic& pass : passes) {
    const double missing = 1 - pass.formula_bytes / pass.counted_bytes;
    for (size_t i = 0; i < kTrafficTerms; ++i) {
      const double share = pass.terms[i] / pass.counted_bytes;
      scales.fitted[i] = scales.fitted[i] || share > kSmallTerm;
      right[i] += share * missing;
      for (size_t j = 0; j < kTrafficTerms; ++j) products[i][j] += share * pass.terms[j] / pass.counted_bytes;
    }
  }
  scales.scale.fill(1);
  // Coordinate descent: each scale is the best for the others until none moves.
  constexpr int kMostSweeps = 100'000;
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    double moved = 0;
    for (size_t i = 0; i < kTrafficTerms; ++i) {
      if (!scales.fitted[i]) continue;
      double rest = right[i] + kSmallTerm * kSmallTerm;
      for (size_t j = 0; j < kTrafficTerms; ++j) rest -= j == i ? 0 : products[i][j] * scales.scale[j];
      const double best = std::max(0.0, rest / (products[i][i] + kSmallTerm * kSmallTerm));
      moved = std::max(moved, std::abs(best - scales.scale[i]));
      scales.scale[i] = best;
    }
    if (moved < 1e-10) break;
  }
  return scales;
}

double ErrorOf(const TrafficScales& scales, const CountedTraffic& pass) {
  double bytes = pass.formula_bytes;
  for (size_t i = 0; i < kTrafficTerms; ++i) bytes += scales.scale[i] * pass.terms[i];
  return bytes / pass.counted_bytes - 1;
}

}  // namespace moecap::metrics
