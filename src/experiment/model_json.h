// A ModelSpec in the manifest, so that a stored run can be computed again without the model's file.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"

namespace moecap::experiment {

Json ToJson(const model::ModelSpec& spec);
// Error: kBadInput naming the missing key.
Result<model::ModelSpec> ModelSpecFromJson(const Json& json);

}  // namespace moecap::experiment
