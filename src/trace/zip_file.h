// The entries of a ZIP archive: stored, as torch.save and numpy.savez write them, or deflated (numpy.savez_compressed).
// Format: PKWARE APPNOTE.TXT 6.3 (end record, ZIP64 end record, central directory).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::trace {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> data;                   // into the archive's bytes, or into `unpacked`
  std::shared_ptr<std::vector<std::byte>> unpacked;  // null for a stored entry
};

// Of all entries together.
inline constexpr uint64_t kMostUnpackedBytes = uint64_t{1} << 28;

// Error kBadInput: not a ZIP, cut off, compressed or encrypted entries, entries outside the file. Nothing is unpacked, so an
// archive cannot grow.
Result<std::vector<ZipEntry>> ListStoredZip(std::span<const std::byte> bytes);

// As above, but deflated entries are unpacked. Error kBadInput also when they are larger than kMostUnpackedBytes.
Result<std::vector<ZipEntry>> ListZip(std::span<const std::byte> bytes);

}  // namespace moecap::trace
