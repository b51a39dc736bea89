// The flags that name a model and the precision in which it is served, shared by several verbs.
#pragma once

#include <string>

#include "base/result.h"
#include "model/model_spec.h"

namespace CLI {
class App;
}

namespace moecap::app {

struct ModelFlags {
  std::string name;       // id, config.json, folder or .gguf
  std::string precision;  // what --precision or --weights gave; empty = as stored
  std::string kv;         // empty = as the model says
};

// The positional argument, --precision and --kv. `flags` must outlive the parsing.
void AddModelArgument(CLI::App& app, ModelFlags& flags);

// Error: kBadInput naming the flag and the accepted values.
// `weights_alone`: a family that is not known is counted by its tensors instead of refused.
Result<model::ModelSpec> OpenModel(const ModelFlags& flags, bool weights_alone = false);

}  // namespace moecap::app
