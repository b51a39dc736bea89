// Which prompt prefixes have their KV entries kept: chained hashes of whole blocks, least recently used out first.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

namespace moecap::mock {

class PrefixCache {
 public:
  // Hashes of the whole blocks of `tokens`, each covering everything before it; `salt` separates caches.
  static std::vector<uint64_t> BlockHashes(std::span<const int32_t> tokens, int block_tokens, uint64_t salt);

  // Leading blocks that are kept; they become the most recently used.
  int64_t Match(std::span<const uint64_t> hashes);
  // Keeps all of them; the last block is the first of them to go.
  void Insert(std::span<const uint64_t> hashes);
  // Forgets the least recently used until at most `blocks` are left.
  void Trim(int64_t blocks);
  void Clear();
  int64_t blocks() const { return static_cast<int64_t>(places_.size()); }

 private:
  std::list<uint64_t> order_;  // most recently used first
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> places_;
};

}  // namespace moecap::mock
