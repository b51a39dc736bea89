#include "base/hash.h"

#include <xxhash.h>

namespace moecap {

uint64_t HashOf(std::string_view bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

}  // namespace moecap
