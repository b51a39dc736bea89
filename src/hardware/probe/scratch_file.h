// A file for measuring a disk. Internal to hardware/probe.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace moecap::hardware {

// Open for direct reads and writes where the file system allows it, and without a name: the kernel frees it when the process
// ends, however it ends.
class ScratchFile {
 public:
  // Errors: kBadInput when `folder` is not there, no folder, or may not be written.
  static Result<ScratchFile> Create(const std::filesystem::path& folder);
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&&) = delete;
  ~ScratchFile();

  int fd() const { return fd_; }
  bool direct() const { return direct_; }

  // Takes the space from the volume, where the file system can. Error: kFailed when it is full.
  Status Reserve(double bytes) const;

 private:
  ScratchFile(int fd, bool direct) : fd_(fd), direct_(direct) {}

  int fd_;  // -1 = moved away
  bool direct_;
};

}  // namespace moecap::hardware
