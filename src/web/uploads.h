// Runs that a browser or a script brings, file by file, and that are then imported as `moecap runs import` does it.
//
//   PUT  /api/imports/NAME/FILE...   one file of what will be imported together; NAME is the client's choice
//   POST /api/imports/NAME           imports them: a run's folder or export, or result files of another tool
//
// What was brought lies in a hidden folder until then and goes with it, whatever comes of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "analysis/transfer.h"
#include "base/result.h"
#include "web/http.h"

namespace moecap::web {

inline constexpr uint64_t kMostFileBytes = 64 << 20;
inline constexpr uint64_t kMostImportBytes = 512 << 20;  // of all files of one NAME
inline constexpr size_t kMostImportFiles = 4096;
inline constexpr size_t kMostOpenImports = 16;

// Whether a part of such a path is one: 1 to 128 letters, digits and "._+-", not beginning with a dot.
bool IsFileName(const std::string& part);

// Those that were begun and never ended.
void ForgetUploads(const std::filesystem::path& results_dir);

// `path`: NAME and the parts of the file's.
Response StoreUpload(const std::filesystem::path& results_dir, const std::vector<std::string>& path, const std::string& body);
Response FinishUpload(const std::filesystem::path& results_dir, const std::string& name,
                      const analysis::FigureMaker& make_figures);
Response ImportPage();

}  // namespace moecap::web
