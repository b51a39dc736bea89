#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "hardware/probe/probe.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

// FNV-1a, 64 bits: names a file, nothing more; the fingerprint inside the file decides.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

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

// Null when there is none to be used, for whatever reason: measuring again is the remedy of all of them.
std::optional<Ceilings> LoadFresh(const fs::path& file, const std::string& fingerprint, int threads, double max_age_s) {
  const auto text = ReadFile(file);
  if (!text) return std::nullopt;
  const auto json = ParseJson(*text);
  if (!json) return std::nullopt;
  const auto ceilings = CeilingsFromJson(*json);
  if (!ceilings || ceilings->fingerprint != fingerprint || ceilings->threads != threads) return std::nullopt;
  if (!ceilings->read_bytes_per_s || !ceilings->fp32_flops_per_s) return std::nullopt;
  const auto measured = ParseWallTime(ceilings->measured_at);
  const auto now = ParseWallTime(WallTimeIso8601());
  if (!measured || !now) return std::nullopt;
  const double age_s = *now - *measured;
  if (age_s < 0 || age_s > max_age_s) return std::nullopt;
  return *ceilings;
}

}  // namespace

fs::path CeilingsCacheFile(const fs::path& cache_dir, std::string_view fingerprint) {
  return cache_dir / fmt::format("ceilings-{:016x}.json", Hash(fingerprint));
}

Result<CachedCeilings> LoadOrMeasureCeilings(const HostInfo& host, const CeilingOptions& options, const Clock& clock,
                                             const fs::path& cache_dir, double max_age_s) {
  const std::string fingerprint = HostFingerprint(host);
  const int threads = options.threads > 0 ? options.threads : host.UsableThreads();
  const fs::path file = CeilingsCacheFile(cache_dir, fingerprint);
  auto cached = LoadFresh(file, fingerprint, threads, max_age_s);
  if (cached && !cached->Noisy()) return CachedCeilings{*std::move(cached), false};
  ASSIGN_OR_RETURN(Ceilings ceilings, MeasureCeilings(host, options, clock));
  if (cached) ceilings = HigherOf(*cached, std::move(ceilings));
  if (MakeWritableDir(cache_dir).ok()) (void)WriteFileAtomically(file, DumpJsonPretty(ToJson(ceilings))).ok();
  return CachedCeilings{std::move(ceilings), true};
}

}  // namespace moecap::hardware
