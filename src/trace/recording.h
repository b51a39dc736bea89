// One recording in several files: those of the ranks of a server become one, those of requests or of spans of time follow one
// another.
//
// Ranks that hold the same layers and counted the same in every pass that both have are copies (tensor parallelism) and count
// once; others are added up (data or expert parallelism, pipeline stages). Ranks that are not there are named.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "trace/import.h"
#include "trace/trace.h"

namespace moecap::trace {

// The files of a recording that `path` names: itself, or those in a folder: rank<r>.safetensors, *.pt, *.moetrace, *.npy, ...
// of one kind. Error kBadInput: a folder without any, or with several kinds.
Result<std::vector<std::filesystem::path>> RecordingFiles(const std::filesystem::path& path);

// All `paths`, each a file or a folder, as one recording. `kind`: null = told by each file. Errors as of OpenTrace; also when
// files are of different kinds or models, or two files of one rank differ in the same pass.
Result<std::unique_ptr<TraceSource>> OpenRecording(const std::vector<std::filesystem::path>& paths,
                                                   std::optional<ImportKind> kind, const ImportOptions& options);

}  // namespace moecap::trace
