// Which chunk carried how many tokens, when only their total is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moecap::load {

// `tokens` >= 0 over `chunks` entries that differ by at most 1, the larger ones spread evenly; the entries sum to `tokens`
// unless there are no chunks.
std::vector<int32_t> SpreadTokens(int64_t tokens, size_t chunks);

}  // namespace moecap::load
