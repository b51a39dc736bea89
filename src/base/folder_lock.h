// Says to other processes that this one is at work in a folder. The kernel lets go of the lock when the process ends, however
// it ends, so nothing stale remains.
#pragma once

#include <filesystem>
#include <utility>

#include "base/result.h"

namespace moecap {

class FolderLock {
 public:
  // Error: kBadInput when another process holds the lock or the folder cannot be opened. A file system without locks counts as
  // one where nobody else is at work.
  static Result<FolderLock> Acquire(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;  // -1 = moved away
};

// Whether a process holds the lock now; false for a folder that does not exist.
bool IsFolderLocked(const std::filesystem::path& folder);

}  // namespace moecap
