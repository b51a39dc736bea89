#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/hash.h"
#include "base/wall_clock.h"
#include "hardware/probe/probe.h"
#include "hardware/probe/scratch_file.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

// Seconds since 1970 of "2026-01-31T12:00:00Z"; null for another form.
std::optional<double> ParseWallTime(const std::string& text) {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2uT%2u:%2u:%2uZ", &year, &month, &day, &hour, &minute, &second) != 6)
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month}, std::chrono::day{day}};
  if (!date.ok()) return std::nullopt;
  const auto days = static_cast<double>(std::chrono::sys_days{date}.time_since_epoch().count());
  return days * 86400 + hour * 3600 + minute * 60 + second;
}

// Null when there is none of this host to be used, for whatever reason: measuring again is the remedy of all of them.
std::optional<Ceilings> LoadStored(const fs::path& file, const std::string& fingerprint) {
  const auto text = ReadFile(file);
  if (!text) return std::nullopt;
  const auto json = ParseJson(*text);
  if (!json) return std::nullopt;
  const auto ceilings = CeilingsFromJson(*json);
  return ceilings && ceilings->fingerprint == fingerprint ? std::optional(*ceilings) : std::nullopt;
}

bool IsYoung(const std::string& wall_time, double max_age_s) {
  const auto measured = ParseWallTime(wall_time);
  const auto now = ParseWallTime(WallTimeIso8601());
  if (!measured || !now) return false;
  const double age_s = *now - *measured;
  return age_s >= 0 && age_s < max_age_s;
}

bool IsUsable(const Ceilings& ceilings, int threads, double max_age_s) {
  return ceilings.threads == threads && ceilings.read_bytes_per_s && ceilings.fp32_flops_per_s &&
         IsYoung(ceilings.measured_at, max_age_s);
}

// A cache that cannot be written costs the next measurement, no more.
void Store(const Ceilings& ceilings, const fs::path& file) {
  if (MakeWritableDir(file.parent_path()).ok()) (void)WriteFileAtomically(file, DumpJsonPretty(ToJson(ceilings))).ok();
}

// Notes of an earlier probe stay in the file: each is said once.
void AddNote(Ceilings& ceilings, const std::string& note) {
  if (std::find(ceilings.notes.begin(), ceilings.notes.end(), note) == ceilings.notes.end()) ceilings.notes.push_back(note);
}

std::vector<int> ThreadCounts(const HostInfo& host, const ProbeOptions& options) {
  if (!options.thread_counts.empty()) return options.thread_counts;
  std::vector<int> counts;
  for (int threads = 1; threads < host.UsableThreads(); threads *= 2) counts.push_back(threads);
  counts.push_back(host.UsableThreads());
  return counts;
}

bool HoldsProbe(const Ceilings& ceilings, const std::vector<int>& thread_counts, const ProbeOptions& options,
                const fs::path& folder, double max_age_s) {
  if (!IsYoung(ceilings.probed_at, max_age_s)) return false;
  const bool same_points =
      std::equal(thread_counts.begin(), thread_counts.end(), ceilings.by_threads.begin(), ceilings.by_threads.end(),
                 [](int threads, const ThreadBandwidth& point) { return threads == point.threads; });
  const bool has_disk =
      !options.measure_disk || (ceilings.disk && ceilings.disk->disk == DiskOf(folder, options.disk.sys_root));
  return same_points && has_disk;
}

Status ProbeDisk(const HostInfo& host, const ProbeOptions& options, const fs::path& folder, const Clock& clock,
                 Ceilings& ceilings) {
  options.on_step(fmt::format("disk of {}", folder.string()));
  const bool named = !options.disk_folder.empty();
  if (!named) (void)MakeWritableDir(folder).ok();
  auto disk = MeasureDisk(folder, options.disk, host, clock);
  if (!disk && named) return disk.error();
  if (!disk) AddNote(ceilings, disk.error().message);
  if (disk) ceilings.disk = *std::move(disk);
  return {};
}

void ProbeGpus(const ProbeOptions& options, Ceilings& ceilings) {
  options.on_step("NVIDIA GPUs");
  auto nvml = OpenNvml();
  const std::unique_ptr<GpuManager> manager = nvml ? std::move(nvml).value() : nullptr;
  auto gpus = MeasureGpus(options.gpu, manager.get());
  ceilings.gpus = gpus ? *std::move(gpus) : std::vector<GpuCeilings>();
  // Most machines have no driver because they have no GPU.
  if (!gpus && manager != nullptr) AddNote(ceilings, fmt::format("GPUs: {}", gpus.error().message));
}

}  // namespace

fs::path CeilingsCacheFile(const fs::path& cache_dir, std::string_view fingerprint) {
  return cache_dir / fmt::format("ceilings-{:016x}.json", HashOf(fingerprint));
}

Result<CachedCeilings> LoadOrMeasureCeilings(const HostInfo& host, const CeilingOptions& options, const Clock& clock,
                                             const fs::path& cache_dir, double max_age_s) {
  const std::string fingerprint = HostFingerprint(host);
  const int threads = options.threads > 0 ? options.threads : host.UsableThreads();
  const fs::path file = CeilingsCacheFile(cache_dir, fingerprint);
  auto cached = LoadStored(file, fingerprint);
  const bool usable = cached && IsUsable(*cached, threads, max_age_s);
  if (usable && !cached->Noisy()) return CachedCeilings{*std::move(cached), false};
  ASSIGN_OR_RETURN(Ceilings ceilings, MeasureCeilings(host, options, clock));
  if (usable) ceilings = HigherOf(*cached, std::move(ceilings));
  if (cached) ceilings = KeepProbe(*cached, std::move(ceilings));
  Store(ceilings, file);
  return CachedCeilings{std::move(ceilings), true};
}

Result<CachedCeilings> LoadOrProbe(const HostInfo& host, const ProbeOptions& options, const Clock& clock,
                                   const fs::path& cache_dir, double max_age_s) {
  const fs::path folder = options.disk_folder.empty() ? cache_dir : options.disk_folder;
  const std::vector<int> thread_counts = ThreadCounts(host, options);
  if (options.measure_disk && !options.disk_folder.empty()) {  // seconds earlier than MeasureDisk would tell
    if (const auto usable = ScratchFile::Create(folder); !usable) return usable.error();
  }
  options.on_step("memory bandwidth and arithmetic of all threads");
  ASSIGN_OR_RETURN(CachedCeilings result, LoadOrMeasureCeilings(host, options.ceilings, clock, cache_dir, max_age_s));
  Ceilings& ceilings = result.ceilings;
  if (HoldsProbe(ceilings, thread_counts, options, folder, max_age_s)) return result;
  ceilings.by_threads.clear();
  CeilingOptions point_options = options.ceilings;
  point_options.budget_s = options.point_s;
  for (const int threads : thread_counts) {
    options.on_step(fmt::format("memory bandwidth of {} thread{}", threads, threads == 1 ? "" : "s"));
    ASSIGN_OR_RETURN(ThreadBandwidth point, MeasureBandwidth(host, threads, point_options, clock));
    ceilings.by_threads.push_back(std::move(point));
  }
  const bool noisy = std::any_of(ceilings.by_threads.begin(), ceilings.by_threads.end(), [](const ThreadBandwidth& point) {
    return point.read_bytes_per_s.Noisy() || point.copy_bytes_per_s.Noisy();
  });
  if (noisy)
    AddNote(ceilings, "other load shared this machine while the bandwidth by threads was measured: repeat it with --fresh");
  options.on_step("caches");
  ASSIGN_OR_RETURN(ceilings.caches, MeasureCaches(host, ReadCacheLevels("/", host.allowed_cpus), options.point_s, clock));
  if (options.measure_disk) RETURN_IF_ERROR(ProbeDisk(host, options, folder, clock, ceilings));
  if (options.measure_gpus) ProbeGpus(options, ceilings);
  ceilings.probed_at = WallTimeIso8601();
  Store(ceilings, CeilingsCacheFile(cache_dir, HostFingerprint(host)));
  result.measured_now = true;
  return result;
}

std::vector<GpuCeilings> ProbedGpus(const HostInfo& host, const fs::path& cache_dir, double max_age_s) {
  const std::string fingerprint = HostFingerprint(host);
  auto stored = LoadStored(CeilingsCacheFile(cache_dir, fingerprint), fingerprint);
  if (!stored) return {};
  std::erase_if(stored->gpus, [&](const GpuCeilings& gpu) { return !IsYoung(gpu.measured_at, max_age_s); });
  return std::move(stored->gpus);
}

}  // namespace moecap::hardware
