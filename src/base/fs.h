// Files and folders. A file appears whole or not at all: writers go through a temporary file and a rename.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap {

// The whole file. Error: kBadInput naming the path and the reason of the operating system.
Result<std::string> ReadFile(const std::filesystem::path& path);

// Lines without their '\n'; a last line without '\n' counts, an empty last line does not.
Result<std::vector<std::string>> ReadLines(const std::filesystem::path& path);

// Whether something is there that is neither file nor folder, "/dev/null" or a pipe, or `path` names an open file
// ("/dev/stdout"). It is written into: another name beside it cannot take its place.
bool IsSpecialFile(const std::filesystem::path& path);

// Writes `content` to a temporary file beside `path`, syncs it and renames it over `path`; into a special file as it is.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view content);

// Where `name` leads, link by link; the end need not be there.
std::filesystem::path ThroughLinks(const std::filesystem::path& name);

// Writes a file of any size piece by piece into a temporary file beside it, which Commit syncs and renames. Without Commit
// nothing appears.
class AtomicFileWriter {
 public:
  // A symbolic link is written through: what it points to is replaced, and need not be there. A special file gets each piece at
  // once. Error: kBadInput when the file cannot be made or the volume has fewer than `bytes` free.
  static Result<AtomicFileWriter> Create(const std::filesystem::path& path, uint64_t bytes);
  // As Create, but a symbolic link is replaced itself, and room is not looked for.
  static Result<AtomicFileWriter> Beside(const std::filesystem::path& path);
  AtomicFileWriter(AtomicFileWriter&& other) noexcept;
  AtomicFileWriter& operator=(AtomicFileWriter&&) = delete;
  ~AtomicFileWriter();

  Status Append(std::string_view piece);
  Status Commit();

 private:
  AtomicFileWriter(std::filesystem::path path, std::filesystem::path temporary, int fd);

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty for a special file
  int fd_;                           // -1 = moved away or committed
};

// Creates `path` and its parents, and proves that a file can be written there. Error: kBadInput with a remedy.
Status MakeWritableDir(const std::filesystem::path& path);

// Creates the folder `name` below `parent` (made if missing), or name-2, name-3, ... where that is taken, and returns it. Safe
// against other processes. Error: kBadInput with the reason.
Result<std::filesystem::path> MakeNumberedDir(const std::filesystem::path& parent, const std::string& name);

// $XDG_CACHE_HOME/moecap or ~/.cache/moecap (or the system's temporary folder when neither is set).
std::filesystem::path CacheDir();

// Lets this process open as many files and sockets as the system allows it to.
void RaiseOpenFileLimit();

// The folder of the running executable.
std::filesystem::path ExecutableDir();

// A file or folder that comes with the program, e.g. "examples/quickstart.yaml": below share/moecap of the prefix where it is
// installed, or in the source tree that holds its build folder. Empty when it is in neither.
std::filesystem::path ShippedPath(std::string_view relative);

}  // namespace moecap
