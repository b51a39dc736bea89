// Reads what this host is and measures what it can do. The only part of hardware/ that touches the machine.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "hardware/host.h"
#include "hardware/machine.h"
#include "hardware/probe/nvml.h"

namespace moecap::hardware {

// The machine of this process, from /proc, /sys, uname and the affinity mask. Never fails: what the system does not tell stays
// empty or null. Linux only.
HostInfo DetectHost();

// The same from a copy of the files under `root` (tests), for a process that may run on `allowed_cpus`.
HostInfo DetectHostAt(const std::filesystem::path& root, const std::vector<int>& allowed_cpus);

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

// CacheDir()/ceilings-<16 hex digits of the fingerprint>.json
std::filesystem::path CeilingsCacheFile(const std::filesystem::path& cache_dir, std::string_view fingerprint);

}  // namespace moecap::hardware
