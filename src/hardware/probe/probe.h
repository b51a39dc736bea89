// Reads what this host is and measures what it can do. The only part of hardware/ that touches the machine.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "hardware/host.h"
#include "hardware/machine.h"
#include "hardware/probe/disk_probe.h"
#include "hardware/probe/gpu_probe.h"
#include "hardware/probe/nvml.h"

namespace moecap::hardware {

// The machine of this process, from /proc, /sys, uname and the affinity mask. Never fails: what the system does not tell stays
// empty or null. Linux only.
HostInfo DetectHost();

// The same from a copy of the files under `root` (tests), for a process that may run on `allowed_cpus`.
HostInfo DetectHostAt(const std::filesystem::path& root, const std::vector<int>& allowed_cpus);

struct CacheLevel {
  int level = 0;
  double bytes = 0;  // of all distinct instances together; data and unified caches
};

// The caches that `allowed_cpus` reach, ascending; empty when the system does not tell.
std::vector<CacheLevel> ReadCacheLevels(const std::filesystem::path& root, const std::vector<int>& allowed_cpus);

// The host with everything built into it. Catalogue ids are not filled in (MatchCatalogue). Never fails: what cannot be read is
// null, with a note where the user can help.
MachineInfo DetectMachine();

// The same from a copy of the files under `root`, with the GPUs of `gpus` (null = none).
MachineInfo DetectMachineAt(const std::filesystem::path& root, const std::vector<int>& allowed_cpus, GpuManager* gpus);

struct CeilingOptions {
  int threads = 0;             // 0 = HostInfo::UsableThreads()
  double buffer_bytes = 0;     // 0 = 8 x the last-level cache, at least 256 MiB, at most half of the available memory
  double repetition_s = 0.02;  // of the compute kernels; long beside the tens of microseconds that waking the threads takes
  double budget_s = 2.5;       // for the repetitions together; filling the buffer comes on top (below 1 s)
};

// Measures the ceilings with all threads at once, each pinned to its own CPU. Every kernel checks its arithmetic answer; one
// that errs is left out and named in the notes. Takes options.budget_s and a little more; other load on the machine lowers the
// result, so run it alone. Errors: kFailed when the buffer cannot be had, no kernel for the bandwidth or fp32 computes right,
// or the clock does not advance.
Result<Ceilings> MeasureCeilings(const HostInfo& host, const CeilingOptions& options, const Clock& clock);

// Read and copy bandwidth with `threads` threads on the first CPUs of the affinity mask; options.budget_s holds for the two
// together. Errors: as MeasureCeilings.
Result<ThreadBandwidth> MeasureBandwidth(const HostInfo& host, int threads, const CeilingOptions& options, const Clock& clock);

// Reads inside each level of `levels` (from ReadCacheLevels, ascending) above the first, `budget_s` for each. A level that is
// not well above the one below for the usable threads is left out. Errors: as MeasureCeilings.
Result<std::vector<CacheBandwidth>> MeasureCaches(const HostInfo& host, std::span<const CacheLevel> levels, double budget_s,
                                                  const Clock& clock);

struct CachedCeilings {
  Ceilings ceilings;
  bool measured_now = false;  // false: read from the cache file
};

inline constexpr double kCeilingsMaxAgeS = 7 * 24 * 3600.0;

// The cached measurement of this host when there is a sound one, younger than `max_age_s`; else measures and stores it. A file
// that is damaged, old, of another host or with another thread count is measured again. One that other load disturbed
// (Ceilings::Noisy) is repeated too, and the higher figures are kept. A cache that cannot be written is no error.
Result<CachedCeilings> LoadOrMeasureCeilings(const HostInfo& host, const CeilingOptions& options, const Clock& clock,
                                             const std::filesystem::path& cache_dir, double max_age_s = kCeilingsMaxAgeS);

struct ProbeOptions {
  CeilingOptions ceilings;
  std::vector<int> thread_counts;  // of the bandwidth curve; empty = 1, 2, 4 ... and all usable threads
  double point_s = 0.6;            // for each point of the curve and each cache level
  bool measure_disk = true;
  std::filesystem::path disk_folder;  // empty = the cache folder
  DiskOptions disk;
  bool measure_gpus = true;
  GpuOptions gpu;
  std::function<void(std::string_view what)> on_step = [](std::string_view) {};  // before each part
};

// The ceilings with everything else that can be measured: the bandwidth by threads, the caches, a disk, NVIDIA GPUs. Cached in
// the same file; `max_age_s` holds for the probe too, and a cached probe of another disk or other thread counts is made again.
// What cannot be measured is null with a note. Errors: those of MeasureCeilings and, for a disk folder that was named, of
// MeasureDisk.
Result<CachedCeilings> LoadOrProbe(const HostInfo& host, const ProbeOptions& options, const Clock& clock,
                                   const std::filesystem::path& cache_dir, double max_age_s = kCeilingsMaxAgeS);

// What the last whole probe of this host measured of its GPUs, none of them older than `max_age_s`; measures nothing.
std::vector<GpuCeilings> ProbedGpus(const HostInfo& host, const std::filesystem::path& cache_dir,
                                    double max_age_s = kCeilingsMaxAgeS);

// CacheDir()/ceilings-<16 hex digits of the fingerprint>.json
std::filesystem::path CeilingsCacheFile(const std::filesystem::path& cache_dir, std::string_view fingerprint);

}  // namespace moecap::hardware
