#include "app/graph_check.h"

#include <cmath>
#include <limits>

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
