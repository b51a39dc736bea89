// config.json -> the tensors and hyper-parameters of a GGUF file of that shape, as the embedded engine loads it. Pure.
// Facts (tensor names, dimensions, keys): llama-arch.cpp and models/*.cpp of the pinned engine release.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap::synth {

// What a tensor is filled with. Only kMatrix of two or more dimensions follows the requested type; the rest is F32.
enum class Fill { kZeros, kOnes, kMatrix, kRouter };

struct BlueprintTensor {
  std::string name;
  std::vector<int64_t> dims;  // fastest first
  Fill fill = Fill::kZeros;
  double std_dev = 0;   // of kMatrix elements
  bool expert = false;  // routed experts: the only tensors that MXFP4 and NVFP4 files store in that type
};

using BlueprintValue = std::variant<uint32_t, float, bool>;

struct Blueprint {
  std::string architecture;  // GGUF's general.architecture
  std::vector<std::pair<std::string, BlueprintValue>> keys;
  std::vector<BlueprintTensor> tensors;  // in file order
  int64_t vocab = 0;
  int experts = 0;
  int top_k = 0;
  std::vector<std::string> notes;  // what differs from the published model, one sentence each
};

// `config` cut to its first `layers` layers (0 = all): num_hidden_layers and per-layer lists. Leading dense layers give way
// until one MoE layer is left. Error kBadInput when `layers` exceeds the model's.
Result<Json> Shortened(const Json& config, int layers, std::vector<std::string>& notes);

// Error kBadInput names the model_type or field that no architecture of the engine can express, and what can be.
Result<Blueprint> MakeBlueprint(const Json& config);

// model_types that MakeBlueprint understands, sorted.
std::vector<std::string> KnownFamilies();

}  // namespace moecap::synth
