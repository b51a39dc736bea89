#include "hardware/probe/scratch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

// Errors of a folder that no other way of opening helps against.
bool IsFinal(int code) { return code == EACCES || code == EROFS || code == ENOTDIR || code == ENOSPC || code == EDQUOT; }

int OpenWithoutName(const fs::path& folder, int flags) {
  return ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);
}

// For file systems without O_TMPFILE: the name lives for an instant.
int OpenAndUnlink(const fs::path& folder, int flags) {
  std::string name = (folder / ".moecap-probe-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC | flags);
  if (fd >= 0) ::unlink(name.c_str());
  return fd;
}

}  // namespace

Result<ScratchFile> ScratchFile::Create(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    return BadInput(fmt::format("{} is no folder; name one on the disk to be measured", folder.string()));
  for (const int direct : {O_DIRECT, 0}) {
    int fd = OpenWithoutName(folder, direct);
    if (fd < 0 && !IsFinal(errno)) fd = OpenAndUnlink(folder, direct);
    if (fd >= 0) return ScratchFile(fd, direct != 0);
    if (IsFinal(errno)) break;
  }
  return BadInput(fmt::format("cannot make a scratch file in {}: {}", folder.string(), std::strerror(errno)));
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), direct_(other.direct_) {}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status ScratchFile::Reserve(double bytes) const {
  if (::fallocate(fd_, 0, 0, static_cast<off_t>(bytes)) == 0) return {};
  if (errno != ENOSPC && errno != EDQUOT) return {};  // this file system gives space out on writing only
  return Failed(fmt::format("the scratch file of {:.0f} MiB does not fit: {}", bytes / 1048576, std::strerror(errno)));
}

}  // namespace moecap::hardware
