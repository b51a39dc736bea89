#include "hardware/probe/cpuid_caches.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace moecap::hardware {
namespace {

constexpr uint32_t Bits(uint32_t word, int from, int to) { return (word >> from) & ((uint32_t{1} << (to - from + 1)) - 1); }

#if defined(__x86_64__) || defined(__i386__)
std::vector<CpuidCaches::Leaf> ReadLeaves(uint32_t leaf) {
  std::vector<CpuidCaches::Leaf> leaves;
  constexpr uint32_t kMostCaches = 16;
  for (uint32_t index = 0; index < kMostCaches; ++index) {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid_count(leaf, index, &eax, &ebx, &ecx, &edx) == 0 || Bits(eax, 0, 4) == 0) break;
    leaves.push_back({eax, ebx, ecx});
  }
  return leaves;
}

std::optional<CpuidCaches::Cache> FromCpuid() {
  // Intel fills leaf 4 and AMD 0x8000001D; the other one is empty or not there.
  for (const uint32_t leaf : {4u, 0x8000001Du}) {
    const auto last = CpuidCaches::LastLevel(ReadLeaves(leaf));
    if (last) return last;
  }
  return std::nullopt;
}
#else
std::optional<CpuidCaches::Cache> FromCpuid() { return std::nullopt; }
#endif

std::optional<double> FromCLibrary() {
#ifdef _SC_LEVEL3_CACHE_SIZE
  for (const int name : {_SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE}) {
    if (const long bytes = ::sysconf(name); bytes > 0) return static_cast<double>(bytes);
  }
#endif
  return std::nullopt;
}

}  // namespace

std::optional<CpuidCaches::Cache> CpuidCaches::LastLevel(std::span<const Leaf> leaves) {
  std::optional<Cache> last;
  uint32_t level = 0;
  for (const Leaf& leaf : leaves) {
    constexpr uint32_t kInstructions = 2;
    const uint32_t type = Bits(leaf.eax, 0, 4);
    if (type == 0 || type == kInstructions || Bits(leaf.eax, 5, 7) < level) continue;
    level = Bits(leaf.eax, 5, 7);
    const double ways = Bits(leaf.ebx, 22, 31) + 1, partitions = Bits(leaf.ebx, 12, 21) + 1, line = Bits(leaf.ebx, 0, 11) + 1;
    last = {ways * partitions * line * (static_cast<double>(leaf.ecx) + 1), static_cast<int>(Bits(leaf.eax, 14, 25)) + 1};
  }
  return last;
}

std::optional<double> LastLevelCacheOfProcessor(size_t cpus) {
  if (const auto cache = FromCpuid()) {
    const auto sharing = static_cast<size_t>(cache->sharing_cpus);
    return cache->bytes * static_cast<double>(std::max<size_t>(1, (cpus + sharing - 1) / sharing));
  }
  return FromCLibrary();
}

}  // namespace moecap::hardware
