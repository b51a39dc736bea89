#include "app/graph_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/units.h"
#include "metrics/pass_cost.h"

namespace moecap::app {

bool GraphCheck::Passes() const {
  return std::abs(BytesDifference()) <= kBytesTolerance && std::abs(FlopsDifference()) <= kFlopsTolerance;
}

model::ModelSpec AsTheEngineRuns(model::ModelSpec model) {
  for (model::LayerSpec& layer : model.layers) {
    for (model::KvCacheSpec& cache : layer.attention.caches) {
      if (cache.absorbed_flops_per_entry > 0) cache.flops_per_entry = cache.absorbed_flops_per_entry;
    }
  }
  return model;
}

double LeastMemoryBytes(const model::ModelSpec& model, const llamacpp::GraphRunOptions& options) {
  if (options.batches.empty() || options.contexts.empty()) return model.WeightBytes();
  const double slots = *std::max_element(options.batches.begin(), options.batches.end());
  const double context = *std::max_element(options.contexts.begin(), options.contexts.end());
  const double batch = std::max(slots, context);
  double entry_bytes = 0, heads = 0;
  for (const model::LayerSpec& layer : model.layers) {
    for (const model::KvCacheSpec& cache : layer.attention.caches) entry_bytes += 2.0 * static_cast<double>(cache.elements);
    heads = std::max<double>(heads, layer.attention.query_heads);
  }
  const double cache = slots * (context + 1) * entry_bytes;
  const double logits = batch * static_cast<double>(model.vocab) * 4;
  const double scores = batch * (context + 1) * 4 * (options.flash_attention ? 1 : 1 + heads);
  return model.WeightBytes() + 3 * (cache + logits + scores);
}

Status CheckMemory(const model::ModelSpec& model, const llamacpp::GraphRunOptions& options, double available_bytes) {
  const double needed = LeastMemoryBytes(model, options);
  if (needed <= available_bytes) return {};
  llamacpp::GraphRunOptions smaller = options;
  int fits = 0;
  for (int step = 1 << 30; step > 0; step /= 2) {
    if (fits > std::numeric_limits<int>::max() - step) continue;
    smaller.contexts = {fits + step};
    if (LeastMemoryBytes(model, smaller) <= available_bytes) fits += step;
  }
  const std::string hint = fits > 0 ? fmt::format("--contexts of at most {} would fit, more with smaller --batches", fits)
                                    : std::string("use a smaller model or smaller --batches");
  return BadInput(fmt::format("these passes take at least {}, and {} are free; {}", FormatBytes(needed),
                              FormatBytes(available_bytes), hint));
}

GraphCheck CheckPass(const model::ModelSpec& model, const llamacpp::GraphPass& pass) {
  GraphCheck check;
  // Without the distinct experts there is no formula value, and no comparison passes.
  check.formula_bytes =
      metrics::PassBytes(model, pass.record, metrics::Convention::kComplete).value_or(std::numeric_limits<double>::quiet_NaN());
  check.graph_bytes = pass.graph.Bytes();
  check.formula_flops = metrics::PassFlops(model, pass.record, metrics::Convention::kComplete);
  check.graph_flops = pass.graph.Flops();
  return check;
}

}  // namespace moecap::app
