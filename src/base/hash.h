// One hash for seeds, names of cache files and fingerprints: XXH3, 64 bits, the same on every machine and in every run. It is
// fast, not secret: whoever chooses the bytes can choose the hash.
#pragma once

#include <cstdint>
#include <string_view>

namespace moecap {

// A hash can be the seed of the next one: HashOf(b, HashOf(a)) depends on both and on their order.
uint64_t HashOf(std::string_view bytes, uint64_t seed = 0);

}  // namespace moecap
