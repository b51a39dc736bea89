// What a safetensors checkpoint holds, from its tensors' names, types and shapes: the truth about parameters and bytes, of any
// family. Scales count as bytes of the module they belong to, packed integers as the weights they hold.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "model/model_spec.h"
#include "model/safetensors.h"

namespace moecap::model {

// What shapes alone do not tell about packed integers: bits of one and weights a scale, as the config says.
struct PackingHints {
  int64_t bits = 4;
  int64_t group = 64;
};
PackingHints PackingHintsOf(const Json& config);

struct CheckpointInventory {
  std::vector<WeightSet> layers;  // by the number in their names; those from `text_layers` on are multi-token prediction
  WeightSet ends;                 // embedding, final norm, head
  WeightSet mtp;
  int64_t mtp_copy_params = 0;  // embedding and head stored with it
  double mtp_copy_bytes = 0;
  std::vector<TowerSpec> towers;
  std::vector<TensorGroup> expert_tensors;
  std::vector<int> experts;                                               // routed, by layer
  std::array<std::map<std::string, int64_t>, kTensorClassCount> by_type;  // parameters of the text model
  int64_t integer_entries = 0;                                            // of lookup tables, no parameters
  double bytes = 0;                                                       // of everything
  int64_t vocab = 0, hidden = 0;                                          // of the embedding; 0 = there is none
};

// `text_layers` 0: not known, every layer is the text model's.
CheckpointInventory TakeInventory(std::span<const SafetensorsTensor> tensors, int text_layers, const PackingHints& hints);

// Replaces parameters and bytes of a spec that came from a config. What the config said differently becomes a note: layers,
// parameters by class, bits per weight by class.
void ApplyInventory(const CheckpointInventory& inventory, ModelSpec& spec);

// A spec of weights alone, for a family that no reader knows: ModelSpec::computes is false. Experts per token are taken from
// the config where it has one of the usual fields.
ModelSpec SpecFromInventory(const CheckpointInventory& inventory, const Json& config, std::string id);

}  // namespace moecap::model
