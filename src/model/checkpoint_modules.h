// Tensors of a checkpoint gathered to the modules that they store. Private to checkpoint.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint.h"

namespace moecap::model {

// A matrix or vector with its scales.
struct StoredModule {
  std::string name;  // without ".weight"
  std::string type;  // "bf16", "nvfp4", "int4"
  std::vector<int64_t> shape;
  int64_t params = 0;
  int64_t integer_entries = 0;  // of a lookup table, instead of params
  double bytes = 0;             // scales included
  bool matrix = false;          // two dimensions larger than 1 at least
};
std::vector<StoredModule> GatherModules(std::span<const SafetensorsTensor> tensors, const PackingHints& hints);

// Where a module belongs.
enum class Part { kText, kMtp, kTower };
struct ModulePlace {
  Part part = Part::kText;
  int layer = -1;  // -1: outside the layers
  TensorClass tensor_class = TensorClass::kOther;
  int expert = -1;        // its number; -1: none, or all stacked
  std::string canonical;  // name (module_names.h)
};
ModulePlace PlaceOf(std::string_view name, int text_layers);

}  // namespace moecap::model
