// Run folders as files: hashing, listing, copying and removing them. A folder appears or goes as a whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/export_record.h"

namespace moecap::store {

// XXH3-64 of the first `bytes` bytes, 16 hex digits. Error: kBadInput when the file cannot be read or is shorter.
Result<std::string> HashFile(const std::filesystem::path& path, uint64_t bytes);

// Every file below `dir` but an export record and what was never finished (IsUnfinished), sorted by name, with size and hash.
// Error: kBadInput for anything that is neither a regular file nor a folder.
Result<std::vector<ExportedFile>> ListFiles(const std::filesystem::path& dir);

// Makes the folder `to` with copies of `files` of the folder `from`, and with `extra` (name to content). It appears when all is
// on the disk, and not at all otherwise. Errors: kBadInput when `to` exists; kFailed when copying fails.
Status CopyFolder(const std::filesystem::path& from, const std::vector<ExportedFile>& files,
                  const std::map<std::string, std::string>& extra, const std::filesystem::path& to);

// The folder of a run, after checking that `path` names a folder right below `results_dir` and no symbolic link.
// Error: kBadInput.
Result<std::filesystem::path> FolderBelow(const std::filesystem::path& results_dir, const std::string& path);

// What IsUnfinished (base/paths.h) below `dir`, of folders only these themselves, sorted: of commands at work, or of ones that
// were killed.
std::vector<std::filesystem::path> LeftOvers(const std::filesystem::path& dir);

// Renames `folder` to a hidden name beside it, under which it counts as no run, and returns that. Error: kFailed.
Result<std::filesystem::path> HideFolder(const std::filesystem::path& folder);

}  // namespace moecap::store
