// The types in which the engine can keep keys and values.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::llamacpp {

// Names of the types that a KV cache can be asked for in ("f16", "q8_0", ...).
std::vector<std::string> KvTypes();

// The ggml_type of that name; case does not matter. Error: kBadInput with the known ones.
Result<int> FindKvType(const std::string& name);

}  // namespace moecap::llamacpp
