#include "system/llamacpp/routing_probe.h"

#include <ggml-backend.h>
#include <ggml.h>

#include <cstring>

#include "base/check.h"
#include "system/llamacpp/graph_names.h"

namespace moecap::llamacpp {
namespace {

// The layer of a routed-expert down projection's result, "ffn_moe_down-<layer>"; -1 for every other node.
int ExpertLayer(const ggml_tensor* tensor) {
  return tensor->op == GGML_OP_MUL_MAT_ID ? LayerInName(ggml_get_name(tensor), "ffn_moe_down-") : -1;
}

}  // namespace

bool RoutingProbe::Callback(ggml_tensor* tensor, bool ask, void* probe) {
  if (ExpertLayer(tensor) < 0) return !ask;
  if (!ask) static_cast<RoutingProbe*>(probe)->Read(tensor);
  return true;
}

void RoutingProbe::Read(const ggml_tensor* tensor) {
  const ggml_tensor* weights = tensor->src[0];
  const ggml_tensor* ids = tensor->src[2];
  CHECK(ids != nullptr && ids->type == GGML_TYPE_I32);
  std::vector<int32_t>& counts = counts_by_layer_[ExpertLayer(tensor)];
  counts.resize(static_cast<size_t>(weights->ne[2]));
  buffer_.resize(ggml_nbytes(ids));
  ggml_backend_tensor_get(ids, buffer_.data(), 0, buffer_.size());
  for (int64_t row = 0; row < ids->ne[1]; ++row) {
    for (int64_t k = 0; k < ids->ne[0]; ++k) {
      int32_t expert = 0;
      std::memcpy(&expert, buffer_.data() + static_cast<size_t>(row) * ids->nb[1] + static_cast<size_t>(k) * ids->nb[0],
                  sizeof expert);
      CHECK(expert >= 0 && static_cast<size_t>(expert) < counts.size());
      ++counts[static_cast<size_t>(expert)];
    }
  }
}

std::vector<std::vector<int32_t>> RoutingProbe::TakeCounts() {
  std::vector<std::vector<int32_t>> result;
  result.reserve(counts_by_layer_.size());
  for (auto& [layer, counts] : counts_by_layer_) {
    result.push_back(counts);
    counts.assign(counts.size(), 0);
  }
  return result;
}

}  // namespace moecap::llamacpp
