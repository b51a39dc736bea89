// The directory of a ZIP archive whose entries are stored, not compressed, as torch.save writes it.
// Format: PKWARE APPNOTE.TXT 6.3 (end record, ZIP64 end record, central directory).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::trace {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> data;  // into the archive's bytes
};

// Error kBadInput: not a ZIP, cut off, compressed or encrypted entries, entries outside the file. Nothing is unpacked, so an
// archive cannot grow.
Result<std::vector<ZipEntry>> ListStoredZip(std::span<const std::byte> bytes);

}  // namespace moecap::trace
