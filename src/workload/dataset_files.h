// Where the files of a data set are on this machine.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "workload/dataset_catalogue.h"

namespace moecap::workload {

struct FoundFile {
  std::filesystem::path path;
  std::string captured;  // what the first '*' of the entry's path stood for; the file's stem without one
};

// The files of one split.
struct FoundSplit {
  std::vector<FoundFile> files;  // in the order of their paths
  DatasetFile entry;             // of the catalogue; of a file that is not named so, its path without rows and hash
};

// The split's files in `given`: a file, a folder with the published files (or with a folder of the data set's name in it), or a
// folder in the layout of the hub's cache. Without `given`: below $MOECAP_DATASETS, in the hub's cache ($HF_HUB_CACHE,
// $HF_HOME/hub, ~/.cache/huggingface/hub), below moecap's own cache, and beside the program. Error: kBadInput that says where
// was looked and how to get them; for a file that is named as another split is, which one it is.
Result<FoundSplit> FindSplit(const DatasetInfo& info, const std::string& split, const std::filesystem::path& given);

// In hex: of one file its SHA-256, of several that of the lines "HASH  NAME\n" in the order of the files.
Result<std::string> Sha256Of(const FoundSplit& found);

}  // namespace moecap::workload
