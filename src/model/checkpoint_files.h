// The safetensors files of a folder: their headers, and what their index lists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/quantization.h"
#include "model/safetensors.h"

namespace moecap::model {

struct CheckpointFiles {
  std::vector<SafetensorsTensor> tensors;  // of every header that could be read
  StoredModules names;                     // of those and of the index
  std::optional<int64_t> total_bytes;      // as the index says, else of the headers
  size_t shards = 0, missing = 0;          // files that the checkpoint has, and those whose header is not here
  std::vector<std::string> notes;

  // The headers of every file are here.
  bool complete() const { return shards > 0 && missing == 0 && !tensors.empty(); }
};

// Reads only headers; a file whose data is cut off still tells its tensors. What cannot be read becomes a note. A folder
// without safetensors gives an empty value.
CheckpointFiles ReadCheckpointFiles(const std::filesystem::path& folder);

}  // namespace moecap::model
