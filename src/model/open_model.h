// What a user calls a model -> ModelSpec: a .gguf file, a config.json, a folder with one, or an id of the catalogue.
#pragma once

#include <string>

#include "base/result.h"
#include "model/model_spec.h"

namespace moecap::model {

struct OpenOptions {
  // The caller replaces the weights' precision; a quantisation that is not understood is then a note.
  bool precision_is_given = false;
  // A family that no reader knows is counted by its tensors (ModelSpec::computes is false) instead of refused.
  bool weights_alone = false;
};

// A path that exists wins over an id. A folder may hold a config.json (or params.json) with safetensors, or .gguf files (one
// model). The byte count of a safetensors index beside the config is compared with ours; a difference of more than 1 % becomes
// a note. Error kBadInput says what was looked for and what to do.
Result<ModelSpec> OpenModel(const std::string& name, const OpenOptions& options = {});

}  // namespace moecap::model
