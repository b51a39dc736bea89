// Variants of one model in other weight types, made by the engine's own quantiser and kept in a cache folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "system/llamacpp/engine_library.h"

namespace moecap::llamacpp {

// Names of the weight types that can be asked for ("F16", "Q8_0", "Q4_K_M", ...).
std::vector<std::string> QuantizableTypes();

// The file of `source` in `weights`, made on first use; a source that already has this type is not detected here. The cached
// name holds a fingerprint of the source, so a changed source is quantised again. Written to a temporary file, then renamed.
// Errors: kBadInput for an unknown type (names the nearest), kFailed when the engine refuses.
Result<std::filesystem::path> EnsureQuantized(const EngineLibrary& library, const std::filesystem::path& source,
                                              const std::string& weights, const std::filesystem::path& cache_dir);

}  // namespace moecap::llamacpp
