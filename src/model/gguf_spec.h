// GGUF header -> ModelSpec.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "model/gguf.h"
#include "model/model_spec.h"

namespace moecap::model {

// Parameters, bytes and KV widths come from the tensor table (class by tensor name); metadata gives only what the table cannot:
// top-k, head counts, windows, MTP layers. Error kBadInput names the key or tensor that is missing or not understood; nothing
// is guessed. The id is general.name if present.
Result<ModelSpec> SpecFromGguf(const GgufFile& file);

// ReadGgufHeader and SpecFromGguf; the id is the file's name.
Result<ModelSpec> ReadGgufSpec(const std::filesystem::path& path);

}  // namespace moecap::model
