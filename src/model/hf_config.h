// Hugging Face config.json -> ModelSpec. The model_type selects which fields mean what (hf_family.h); every number comes from
// the fields. Shapes follow the modelling code of each family; sources in docs/metrics.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"

namespace moecap::model {

// Bytes follow torch_dtype and quantization_config (what stays unquantised is read from it). Multimodal configs: the text
// model. Error kBadInput: an unknown model_type (the message lists near ones), a missing field (by name), an impossible value,
// or a quantisation method that is not known. Mistral's params.json is accepted too.
Result<ModelSpec> SpecFromConfig(const Json& config, std::string id);

// Parses the text first.
Result<ModelSpec> SpecFromConfigText(std::string_view text, std::string id);

// Every model_type that SpecFromConfig understands, sorted.
std::vector<std::string> KnownModelTypes();

}  // namespace moecap::model
