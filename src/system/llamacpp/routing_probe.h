// Reads the ids of the chosen experts from the engine's graph while it is evaluated.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

struct ggml_tensor;

namespace moecap::llamacpp {

// Give `Callback` and a probe as cb_eval and cb_eval_user_data of a context. Asks for the product with the experts' down
// projections and reads its ids operand ([top-k, tokens], strided), as that leaves the engine's fused kernels whole.
class RoutingProbe {
 public:
  static bool Callback(ggml_tensor* tensor, bool ask, void* probe);

  // Counts of the passes since the last call, [MoE layer in ascending order][expert].
  std::vector<std::vector<int32_t>> TakeCounts();

 private:
  void Read(const ggml_tensor* tensor);

  std::map<int, std::vector<int32_t>> counts_by_layer_;
  std::vector<char> buffer_;
};

}  // namespace moecap::llamacpp
