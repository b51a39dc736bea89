#include "mock/prefix_cache.h"

#include "base/check.h"
#include "mock/sampling.h"

namespace moecap::mock {

std::vector<uint64_t> PrefixCache::BlockHashes(std::span<const int32_t> tokens, int block_tokens, uint64_t salt) {
  CHECK(block_tokens > 0);
  const auto size = static_cast<size_t>(block_tokens);
  std::vector<uint64_t> hashes;
  hashes.reserve(tokens.size() / size);
  uint64_t hash = Mix(0x707265666978, salt);
  for (size_t begin = 0; begin + size <= tokens.size(); begin += size) {
    for (const int32_t token : tokens.subspan(begin, size)) hash = Mix(hash, static_cast<uint64_t>(token));
    hashes.push_back(hash);
  }
  return hashes;
}

int64_t PrefixCache::Match(std::span<const uint64_t> hashes) {
  size_t count = 0;
  while (count < hashes.size() && places_.contains(hashes[count])) ++count;
  // From the last to the first, so that a prefix outlives what continues it.
  for (size_t i = count; i > 0; --i) order_.splice(order_.begin(), order_, places_.at(hashes[i - 1]));
  return static_cast<int64_t>(count);
}

void PrefixCache::Insert(std::span<const uint64_t> hashes) {
  for (size_t i = hashes.size(); i > 0; --i) {
    const auto found = places_.find(hashes[i - 1]);
    if (found != places_.end()) {
      order_.splice(order_.begin(), order_, found->second);
    } else {
      order_.push_front(hashes[i - 1]);
      places_.emplace(hashes[i - 1], order_.begin());
    }
  }
}

void PrefixCache::Trim(int64_t blocks) {
  while (this->blocks() > blocks && !order_.empty()) {
    places_.erase(order_.back());
    order_.pop_back();
  }
}

void PrefixCache::Clear() {
  order_.clear();
  places_.clear();
}

}  // namespace moecap::mock
