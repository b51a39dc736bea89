#include "model/kv_cache.h"

#include <algorithm>

namespace moecap::model {
namespace {

// Finished compressed entries after `tokens` tokens.
double Finished(double tokens, double per_entry) { return static_cast<double>(static_cast<int64_t>(tokens / per_entry)); }

// sum over n = 1..tokens of min(n, cap); cap 0 = none.
double TriangleCapped(double tokens, double cap) {
  if (cap <= 0 || tokens <= cap) return tokens * (tokens + 1) / 2;
  return cap * (cap + 1) / 2 + (tokens - cap) * cap;
}

// sum over n = 1..tokens of the position inside n's chunk, counted from 1, capped.
double ChunkedTriangle(double tokens, double chunk, double cap) {
  const double full = Finished(tokens, chunk);
  return full * TriangleCapped(chunk, cap) + TriangleCapped(tokens - full * chunk, cap);
}

// sum over n = 1..tokens of min(floor(n / per_entry), cap).
double CompressedStairs(double tokens, double per_entry, double cap) {
  const double entries = Finished(tokens, per_entry);
  const double top = cap > 0 ? std::min(entries, cap) : entries;
  // Each of the values 1..top-1 holds for per_entry tokens; `top` for all tokens from top * per_entry on.
  return per_entry * top * (top - 1) / 2 + top * (tokens - top * per_entry + 1);
}

}  // namespace

double KvCacheSpec::Resident(int64_t tokens) const {
  if (borrowed) return 0;
  const double entries = Finished(static_cast<double>(tokens), static_cast<double>(tokens_per_entry));
  return window > 0 ? std::min(entries, static_cast<double>(window)) : entries;
}

double KvCacheSpec::Read(int64_t context_tokens, int64_t new_tokens) const {
  double entries = Finished(static_cast<double>(context_tokens), static_cast<double>(tokens_per_entry));
  if (window > 0) {
    // The first new token sees itself and the window - 1 tokens before it; of a chunk, those since the chunk began.
    const int64_t visible = chunked ? context_tokens % window : std::min(context_tokens, window - 1);
    entries = static_cast<double>(visible);
  }
  if (top_k > 0) entries = std::min(entries, static_cast<double>(top_k) * static_cast<double>(new_tokens));
  return entries;
}

double KvCacheSpec::Written(int64_t context_tokens, int64_t new_tokens) const {
  if (borrowed) return 0;
  const auto before = static_cast<double>(context_tokens);
  const auto per_entry = static_cast<double>(tokens_per_entry);
  return Finished(before + static_cast<double>(new_tokens), per_entry) - Finished(before, per_entry);
}

double KvCacheSpec::Pairs(int64_t context_tokens, int64_t new_tokens) const {
  const auto before = static_cast<double>(context_tokens);
  const double after = before + static_cast<double>(new_tokens);
  const auto cap = static_cast<double>(top_k);
  if (tokens_per_entry > 1) {
    const auto per_entry = static_cast<double>(tokens_per_entry);
    return CompressedStairs(after, per_entry, cap) - CompressedStairs(before, per_entry, cap);
  }
  const auto width = static_cast<double>(window);
  if (window > 0 && chunked) return ChunkedTriangle(after, width, cap) - ChunkedTriangle(before, width, cap);
  const double limit = window > 0 && top_k > 0 ? std::min(width, cap) : std::max(width, cap);
  return TriangleCapped(after, limit) - TriangleCapped(before, limit);
}

}  // namespace moecap::model
