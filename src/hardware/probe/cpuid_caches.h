// The last-level cache as the C library and the processor tell it, for systems without /sys/devices/system/cpu/*/cache.
// Internal to hardware/probe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace moecap::hardware {

// Decoding of CPUID leaf 4 (Intel SDM) and 0x8000001D (AMD APM), which have one layout.
struct CpuidCaches {
  struct Leaf {
    uint32_t eax = 0, ebx = 0, ecx = 0;
  };
  struct Cache {
    double bytes = 0;
    int sharing_cpus = 1;  // logical CPUs that may share one instance, at most

    friend bool operator==(const Cache&, const Cache&) = default;
  };
  // The highest level among `leaves`; null when they describe none.
  static std::optional<Cache> LastLevel(std::span<const Leaf> leaves);
};

// All instances that `cpus` CPUs reach; null when nothing tells. Where CPUs of several instances are mixed the sum is an upper
// bound, as the topology is not known.
std::optional<double> LastLevelCacheOfProcessor(size_t cpus);

}  // namespace moecap::hardware
