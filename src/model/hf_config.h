// Hugging Face config.json -> ModelSpec. The model_type, or the architecture where there is none, selects which fields mean
// what (hf_family.h); every number comes from the fields. Shapes follow the modelling code of each family; docs/models.md lists
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"
#include "model/quantization.h"

namespace moecap::model {

struct HfOptions {
  // Names of the checkpoint's tensors: believed against quantization_config where both speak of a module. Null: not known.
  const StoredModules* stored = nullptr;
  // The caller says how the weights are served: a quantization_config that cannot be read becomes a note.
  bool precision_is_given = false;
};

// Bytes follow torch_dtype and quantization_config (what stays unquantised is read from it). Multimodal configs: the text
// model; the towers beside it are estimated from their own configs. Error kBadInput: an unknown model_type (the message lists
// near ones), a missing field (by name), an impossible value, or a quantisation method that is not known. Mistral's params.json
// is accepted too.
Result<ModelSpec> SpecFromConfig(const Json& config, std::string id, const HfOptions& options = {});

// Parses the text first, as Python writes it (Infinity and NaN are null).
Result<ModelSpec> SpecFromConfigText(std::string_view text, std::string id, const HfOptions& options = {});

// The text model's object of a multimodal config; the config itself otherwise.
const Json& TextPart(const Json& config);
// Whether SpecFromConfig knows the family of the text model.
bool KnowsFamily(const Json& config);

// The layers that a checkpoint of this config numbers before those of multi-token prediction; 0 = not said.
int64_t StoredLayers(const Json& config);

// Every model_type that SpecFromConfig understands, sorted.
std::vector<std::string> KnownModelTypes();

}  // namespace moecap::model
