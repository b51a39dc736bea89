// A file's bytes in memory without copying them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace moecap {

// Read-only. The bytes stay where they are when the object moves. Another program must not shorten the file meanwhile.
class MappedFile {
 public:
  // Error kBadInput naming the path and the reason of the operating system. An empty file has no bytes.
  static Result<MappedFile> Open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace moecap
