#include "hardware/probe/disk_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/fs.h"
#include "base/rng.h"
#include "base/units.h"
#include "base/wall_clock.h"
#include "hardware/probe/async_reads.h"
#include "hardware/probe/machine_parts.h"
#include "hardware/probe/scratch_file.h"
#include "hardware/probe/team.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kBlock = 1024 * 1024;
constexpr int kBlockThreads = 8;
constexpr int kPagesAtATime = 32;
constexpr int kMostPageThreads = 4;  // with asynchronous reads; one thread reaches about 200 thousand a second
constexpr double kLeastFileBytes = 64.0 * kBlock;
constexpr double kFreeShare = 0.1;
constexpr double kWriteShare = 1.0 / 8;  // of the file in one repetition
constexpr double kRepetitionS = 0.1;
constexpr int kMinRepetitions = 3;
constexpr int kMostBlocksPerRepetition = 1 << 14;
// More than any single disk of today carries (PCIe 5.0 x16); only where the disk's own link is not told.
constexpr double kPlausibleBytesPerS = 64e9;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using AlignedBlock = std::unique_ptr<uint64_t[], FreeMemory>;

AlignedBlock MakeBlock() { return AlignedBlock(static_cast<uint64_t*>(std::aligned_alloc(kPage, kBlock))); }

// Different words for different inputs: nothing that a disk could compress or share.
uint64_t Mix(uint64_t x) { return Rng(x).Next(); }

// What the file holds: every block has the same random words, but each page begins with a word of its own.
class Pattern {
 public:
  explicit Pattern(uint64_t seed) : seed_(seed) {}

  void Fill(uint64_t* block) const {
    for (size_t i = 0; i < kBlock / sizeof(uint64_t); ++i) block[i] = Mix(seed_ + i);
  }
  void Stamp(uint64_t* block, size_t bytes, uint64_t offset) const {
    for (size_t at = 0; at < bytes; at += kPage) block[at / sizeof(uint64_t)] = StampOf(offset + at);
  }
  // The stamp and one word of every page, another one in each.
  bool Holds(const uint64_t* data, size_t bytes, uint64_t offset) const {
    constexpr uint64_t kWords = kPage / sizeof(uint64_t);
    for (size_t at = 0; at < bytes; at += kPage) {
      const uint64_t page = (offset + at) / kPage;
      const uint64_t word = 1 + page % (kWords - 1);
      const uint64_t in_block = (offset + at) % kBlock / sizeof(uint64_t) + word;
      const uint64_t* const words = data + at / sizeof(uint64_t);
      if (words[0] != StampOf(offset + at) || words[word] != Mix(seed_ + in_block)) return false;
    }
    return true;
  }

 private:
  uint64_t StampOf(uint64_t offset) const { return Mix(~seed_ ^ offset); }

  uint64_t seed_;
};

struct Access {
  const char* name;
  size_t bytes;
  int threads;
  bool random;
  unsigned depth = 1;  // reads in flight of each thread; above 1 they are asynchronous
};

class DiskMeasurement {
 public:
  DiskMeasurement(ScratchFile file, double bytes, const DiskOptions& options, const HostInfo& host, const Clock& clock)
      : file_(std::move(file)),
        blocks_(static_cast<uint64_t>(bytes) / kBlock / kBlockThreads * kBlockThreads),
        options_(options),
        host_(host),
        clock_(clock),
        pattern_(static_cast<uint64_t>(clock.NowNs()) ^ (static_cast<uint64_t>(::getpid()) << 40)) {
    for (int thread = 0; thread < kPagesAtATime; ++thread) {
      memory_.push_back(MakeBlock());
      random_.emplace_back(static_cast<uint64_t>(thread));
    }
  }

  // Fills the file front to back until it is full or the time is over; what was not written is cut off.
  Result<Ceiling> Write() {
    for (int thread = 0; thread < kBlockThreads; ++thread) pattern_.Fill(memory_[Index(thread)].get());
    const uint64_t per_thread =
        std::max<uint64_t>(1, static_cast<uint64_t>(kWriteShare * static_cast<double>(blocks_)) / kBlockThreads);
    const uint64_t per_repetition = per_thread * kBlockThreads;
    std::vector<uint64_t> done(kBlockThreads, 0);
    std::atomic<int> finished = 0;  // the last one of a repetition makes the data safe
    const Team team(kBlockThreads, host_, clock_);
    const auto times = team.Time(
        options_.figure_s, 1,
        [&](int thread) {
          uint64_t* const block = memory_[Index(thread)].get();
          const uint64_t first = done[Index(thread)]++ * per_repetition;
          for (uint64_t i = 0; i < per_thread; ++i) {
            const uint64_t offset = (first + i * kBlockThreads + static_cast<uint64_t>(thread)) * kBlock;
            pattern_.Stamp(block, kBlock, offset);
            Check(::pwrite(file_.fd(), block, kBlock, static_cast<off_t>(offset)), kBlock);
          }
          if (++finished % kBlockThreads == 0) Check(::fdatasync(file_.fd()), 0);
        },
        static_cast<int>(blocks_ / per_repetition));
    if (error_ != 0) return IoError("writing");
    blocks_ = done.front() * per_repetition;
    return ToCeiling(times, static_cast<double>(per_repetition * kBlock), "1 MiB writes by 8 threads, direct, synced");
  }

  Result<Ceiling> Read(const Access& access) {
    if (access.depth > 1 && !OpenQueues(access)) return Failed("the kernel refuses asynchronous reads");
    const Team team(access.threads, host_, clock_);
    const double first_s =
        team.Time(0, 1, [&](int thread) { ReadSome(access, thread, static_cast<int>(access.depth)); }).front();
    const int each = std::clamp(static_cast<int>(access.depth * kRepetitionS / std::max(first_s, 1e-6)),
                                static_cast<int>(access.depth), kMostBlocksPerRepetition);
    const auto times = team.Time(options_.figure_s, kMinRepetitions, [&](int thread) { ReadSome(access, thread, each); });
    if (error_ != 0) return IoError("reading");
    if (wrong_)
      return Failed(fmt::format("{}: a block came back different from what was written: do not trust this disk", access.name));
    return ToCeiling(times, static_cast<double>(access.bytes) * each * access.threads, access.name);
  }

  double FileBytes() const { return static_cast<double>(blocks_ * kBlock); }

 private:
  static size_t Index(int thread) { return static_cast<size_t>(thread); }

  bool OpenQueues(const Access& access) {
    queues_.clear();
    for (int thread = 0; thread < access.threads; ++thread) {
      auto queue = AsyncReads::Create(access.depth);
      if (!queue) return false;
      queues_.push_back(*std::move(queue));
    }
    return true;
  }

  uint64_t NextOffset(const Access& access, int thread) {
    const uint64_t pieces = blocks_ * kBlock / access.bytes;
    return (access.random ? random_[Index(thread)].Below(pieces) : next_++ % pieces) * access.bytes;
  }

  void ReadSome(const Access& access, int thread, int count) {
    uint64_t* const block = memory_[Index(thread)].get();
    if (access.depth > 1) {
      const int error = queues_[Index(thread)].Run(
          file_.fd(), reinterpret_cast<char*>(block), access.bytes, count, [&] { return NextOffset(access, thread); },
          [&](const char* data, uint64_t offset) {
            if (!pattern_.Holds(reinterpret_cast<const uint64_t*>(data), access.bytes, offset)) wrong_ = true;
          });
      if (error != 0) error_ = error;
      return;
    }
    for (int i = 0; i < count; ++i) {
      const uint64_t offset = NextOffset(access, thread);
      Check(::pread(file_.fd(), block, access.bytes, static_cast<off_t>(offset)), access.bytes);
      if (!pattern_.Holds(block, access.bytes, offset)) wrong_ = true;
    }
  }

  void Check(ssize_t result, size_t wanted) {
    if (result == static_cast<ssize_t>(wanted)) return;
    error_ = result < 0 ? errno : ENOSPC;
  }

  Error IoError(const char* what) const { return Failed(fmt::format("{} the scratch file: {}", what, std::strerror(error_))); }

  ScratchFile file_;
  uint64_t blocks_;
  const DiskOptions& options_;
  const HostInfo& host_;
  const Clock& clock_;
  Pattern pattern_;
  std::vector<AlignedBlock> memory_;
  std::vector<Rng> random_;
  std::vector<AsyncReads> queues_;
  std::atomic<uint64_t> next_ = 0;  // the threads share one front: sequential on the disk
  std::atomic<int> error_ = 0;
  std::atomic<bool> wrong_ = false;
};

// Null with a note when the file system itself makes the measurement pointless.
std::optional<double> FileBytes(const ScratchFile& file, const fs::path& folder, double most_bytes, DiskCeilings& disk) {
  struct statfs system {};
  if (::fstatfs(file.fd(), &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC)) {
    disk.notes.push_back(fmt::format("{} lies in memory (tmpfs): name a folder on a disk with --ssd", folder.string()));
    return std::nullopt;
  }
  if (!file.direct()) {
    disk.notes.push_back(
        fmt::format("the file system of {} refuses direct I/O, so that the page cache would be measured: name a "
                    "folder on another one with --ssd",
                    folder.string()));
    return std::nullopt;
  }
  struct statvfs space {};
  if (::fstatvfs(file.fd(), &space) != 0) return std::nullopt;
  const double free_bytes = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  const double bytes = std::min(most_bytes, kFreeShare * free_bytes);
  if (bytes < kLeastFileBytes) {
    disk.notes.push_back(fmt::format("{} has {} free: the measurement takes a tenth of it, and needs {} at least",
                                     folder.string(), FormatBytes(free_bytes), FormatBytes(kLeastFileBytes)));
    return std::nullopt;
  }
  return bytes;
}

void DropImplausible(std::optional<Ceiling>& figure, double limit, DiskCeilings& disk) {
  if (!figure || figure->best <= limit) return;
  disk.notes.push_back(
      fmt::format("{}: {} is more than the disk's link carries ({}); a cache answered, and the figure was dropped",
                  figure->kernel, FormatSi(figure->best, "B/s"), FormatSi(limit, "B/s")));
  figure.reset();
}

// Returns what the disk's link carries at most.
double DescribeDisk(const fs::path& folder, const DiskOptions& options, DiskCeilings& disk) {
  disk.disk = DiskOf(folder, options.sys_root);
  double limit = kPlausibleBytesPerS;
  for (const Disk& known : ReadDisks(options.sys_root)) {
    if (known.name != disk.disk) continue;
    disk.model = known.model;
    limit = PcieBytesPerS(known.pcie.max_generation, known.pcie.max_lanes).value_or(limit);
    if (known.transport == "virtio")
      disk.notes.emplace_back("a virtual disk: the host may hold parts of it in its memory, or limit its rate");
    if (known.rotational == true) disk.notes.emplace_back("a rotating disk");
  }
  return limit;
}

}  // namespace

std::string DiskOf(const fs::path& folder, const fs::path& root) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return "";
  std::error_code error;
  fs::path device = fs::canonical(root / fmt::format("sys/dev/block/{}:{}", major(status.st_dev), minor(status.st_dev)), error);
  if (error) return "";
  if (fs::exists(device / "partition", error)) device = device.parent_path();
  std::vector<fs::path> below;
  for (fs::directory_iterator entry(device / "slaves", error), end; !error && entry != end; entry.increment(error)) {
    below.push_back(entry->path());
  }
  if (below.size() == 1) {
    device = fs::canonical(below.front(), error);
    if (!error && fs::exists(device / "partition", error)) device = device.parent_path();
  }
  return device.filename().string();
}

Result<DiskCeilings> MeasureDisk(const fs::path& folder, const DiskOptions& options, const HostInfo& host, const Clock& clock) {
  constexpr Access kSequential = {"1 MiB reads in order by 8 threads, direct", kBlock, kBlockThreads, false};
  constexpr Access kRandomBlocks = {"1 MiB random reads by 8 threads, direct", kBlock, kBlockThreads, true};
  constexpr Access kRandomPages = {"4 KiB random reads by 32 threads, direct", kPage, kPagesAtATime, true};
  const int page_threads = std::min(host.UsableThreads(), kMostPageThreads);
  const Access queued_pages = {"4 KiB random reads, 32 in flight, direct", kPage, page_threads, true,
                               static_cast<unsigned>(kPagesAtATime / page_threads)};
  ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::Create(folder));
  DiskCeilings disk;
  disk.measured_at = WallTimeIso8601();
  const double limit = DescribeDisk(folder, options, disk);
  const auto bytes = FileBytes(file, folder, options.most_bytes, disk);
  if (!bytes) return disk;
  if (const auto full = file.Reserve(*bytes); !full) {
    disk.notes.push_back(full.error().message);
    return disk;
  }
  DiskMeasurement measurement(std::move(file), *bytes, options, host, clock);
  ASSIGN_OR_RETURN(disk.sequential_write_bytes_per_s, measurement.Write());
  disk.file_bytes = measurement.FileBytes();
  ASSIGN_OR_RETURN(disk.sequential_read_bytes_per_s, measurement.Read(kSequential));
  ASSIGN_OR_RETURN(disk.random_1mib_read_bytes_per_s, measurement.Read(kRandomBlocks));
  auto pages = measurement.Read(queued_pages);
  if (!pages) pages = measurement.Read(kRandomPages);
  if (!pages) return pages.error();
  disk.random_4kib_read_bytes_per_s = *std::move(pages);
  for (auto* figure : {&disk.sequential_write_bytes_per_s, &disk.sequential_read_bytes_per_s,
                       &disk.random_1mib_read_bytes_per_s, &disk.random_4kib_read_bytes_per_s}) {
    DropImplausible(*figure, limit, disk);
  }
  return disk;
}

}  // namespace moecap::hardware
