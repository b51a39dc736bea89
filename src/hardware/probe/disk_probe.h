// What a disk can do at most: direct I/O on a scratch file of our own.
#pragma once

#include <filesystem>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "hardware/host.h"

namespace moecap::hardware {

struct DiskOptions {
  double most_bytes = 1024.0 * 1024 * 1024;  // of the file; at most a tenth of the free space in any case
  double figure_s = 1;                       // for each of the four figures; writing may stop early and keep the file small
  std::filesystem::path sys_root = "/";      // where sys/ lies
};

// The disk that `folder` lies on, below partitions and a mapped volume that lies on one disk ("nvme0n1"); empty when there is
// none.
std::string DiskOf(const std::filesystem::path& folder, const std::filesystem::path& sys_root = "/");

// Writes one file in `folder` and reads it back, past the page cache. The file never has a name that outlives its opening: it
// is gone when the process ends, however it ends. Every block that is read is checked against what was written. A figure that
// cannot be had is null with a note: a file system without direct I/O or in memory, less free space than 10 x 64 MiB, a rate
// above what the disk's link can carry. Errors: kBadInput when `folder` is no folder that can be written; kFailed when a block
// came back wrong.
Result<DiskCeilings> MeasureDisk(const std::filesystem::path& folder, const DiskOptions& options, const HostInfo& host,
                                 const Clock& clock);

}  // namespace moecap::hardware
