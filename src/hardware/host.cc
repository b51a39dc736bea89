#include "hardware/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moecap::hardware {

bool HostInfo::HasIsa(std::string_view flag) const { return std::find(isa.begin(), isa.end(), flag) != isa.end(); }

int HostInfo::UsableThreads() const {
  const int allowed = std::max(1, static_cast<int>(allowed_cpus.size()));
  if (!cpu_quota) return allowed;
  return std::clamp(static_cast<int>(std::floor(*cpu_quota)), 1, allowed);
}

namespace {

// The figures of a measurement, to be treated alike.
constexpr std::optional<Ceiling> Ceilings::*kFigures[] = {&Ceilings::read_bytes_per_s, &Ceilings::copy_bytes_per_s,
                                                          &Ceilings::fp32_flops_per_s, &Ceilings::bf16_flops_per_s,
                                                          &Ceilings::int8_ops_per_s};

}  // namespace

bool Ceilings::Noisy() const {
  return std::any_of(std::begin(kFigures), std::end(kFigures),
                     [&](auto figure) { return (this->*figure).has_value() && (this->*figure)->Noisy(); });
}

Ceilings HigherOf(const Ceilings& older, Ceilings newer) {
  for (const auto figure : kFigures) {
    if ((older.*figure).has_value() && (!(newer.*figure) || (older.*figure)->best > (newer.*figure)->best)) {
      newer.*figure = older.*figure;
    }
  }
  return KeepProbe(older, std::move(newer));
}

Ceilings KeepProbe(const Ceilings& older, Ceilings newer) {
  if (newer.probed_at.empty()) newer.probed_at = older.probed_at;
  if (newer.by_threads.empty()) newer.by_threads = older.by_threads;
  if (newer.caches.empty()) newer.caches = older.caches;
  if (!newer.disk) newer.disk = older.disk;
  if (newer.gpus.empty()) newer.gpus = older.gpus;
  return newer;
}

std::string HostFingerprint(const HostInfo& host) {
  // The kernel and the free memory change without changing the ceilings; DRAM is rounded since firmware reserves a varying
  // part.
  constexpr double kGib = 1024.0 * 1024 * 1024;
  return fmt::format("{} {} family {} model {} '{}' sockets {} cores {} cpus {} threads {} llc {:.0f} dram {:.0f}GiB {} {}",
                     host.architecture, host.cpu_vendor, host.cpu_family.value_or(0), host.cpu_model_number.value_or(0),
                     host.cpu_model, host.sockets, host.physical_cores, host.logical_cpus, host.UsableThreads(),
                     host.last_level_cache_bytes.value_or(0), host.dram_bytes.value_or(0) / kGib,
                     host.hypervisor.empty() ? "bare-metal" : host.hypervisor, fmt::join(host.isa, ","));
}

}  // namespace moecap::hardware
