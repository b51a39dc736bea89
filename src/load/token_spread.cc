#include "load/token_spread.h"

namespace moecap::load {

std::vector<int32_t> SpreadTokens(int64_t tokens, size_t chunks) {
  std::vector<int32_t> result(chunks);
  // Not (i + 1) * tokens / chunks: a server may claim any total.
  const int64_t count = static_cast<int64_t>(chunks);
  int64_t carried = 0;
  for (int32_t& entry : result) {
    carried += tokens % count;
    entry = static_cast<int32_t>(tokens / count + (carried >= count ? 1 : 0));
    if (carried >= count) carried -= count;
  }
  return result;
}

}  // namespace moecap::load
