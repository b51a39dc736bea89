// Result files of other tools as stored runs: a folder with the files themselves and a manifest, whose figures are always read
// from the files. `report`, `compare` and the index show them beside our own runs, each figure under its tool's definition.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "cap/summary.h"
#include "experiment/results.h"

namespace moecap::analysis {

inline constexpr const char* kImportedFolder = "imported";

// Whether the folder holds such a run.
bool IsImported(const std::filesystem::path& dir);

// Makes RESULTS_DIR/RUN_ID of `files`, which are files or output folders of one tool; the id follows from the tool and their
// contents, so that the same files give the same run. Returns its folder; one that is there is left as it is. Errors: kBadInput
// for a file that is no result file, or for files of several tools.
Result<std::filesystem::path> StoreResultFiles(const std::vector<std::filesystem::path>& files,
                                               const std::filesystem::path& results_dir);

// The figures of a stored run, of whichever kind. Errors: those of reading its files.
Result<cap::ExperimentSummary> SummarizeStored(const experiment::Results& results);

}  // namespace moecap::analysis
