#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace moecap::model {
namespace {

// The same counts by walking over every token: entry e of a cache is finished after (e + 1) * tokens_per_entry tokens.
double VisibleFrom(const KvCacheSpec& cache, int64_t position) {
  int64_t entries = 0;
  for (int64_t e = 0; (e + 1) * cache.tokens_per_entry <= position + 1; ++e) {
    const bool in_window =
        cache.window == 0 || (cache.chunked ? e / cache.window == position / cache.window : e > position - cache.window);
    if (in_window) ++entries;
  }
  return static_cast<double>(cache.top_k > 0 ? std::min(entries, cache.top_k) : entries);
}

double PairsByCounting(const KvCacheSpec& cache, int64_t context, int64_t tokens) {
  double pairs = 0;
  for (int64_t position = context; position < context + tokens; ++position) pairs += VisibleFrom(cache, position);
  return pairs;
}

TEST(KvCache, PairsEqualACountOverEveryToken) {
  for (const int64_t window : {0, 1, 5, 16}) {
    for (const bool chunked : {false, true}) {
      for (const int64_t top_k : {0, 3, 9}) {
        for (const int64_t per_entry : {1, 4}) {
          if (per_entry > 1 && window > 0) continue;  // no such cache
          KvCacheSpec cache;
          cache.window = window;
          cache.chunked = chunked && window > 0;
          cache.top_k = top_k;
          cache.tokens_per_entry = per_entry;
          for (const int64_t context : {0, 1, 4, 15, 16, 33}) {
            for (const int64_t tokens : {1, 2, 7, 40}) {
              EXPECT_DOUBLE_EQ(cache.Pairs(context, tokens), PairsByCounting(cache, context, tokens))
                  << "window " << window << " chunked " << chunked << " top_k " << top_k << " per entry " << per_entry
                  << " context " << context << " tokens " << tokens;
            }
          }
        }
      }
    }
  }
}

TEST(KvCache, PlainCacheReadsTheContextAndWritesTheNewTokens) {
  const KvCacheSpec cache;
  EXPECT_EQ(cache.Read(100, 7), 100);
  EXPECT_EQ(cache.Written(100, 7), 7);
  EXPECT_EQ(cache.Resident(107), 107);
}

TEST(KvCache, WindowHoldsItsLatestTokens) {
  KvCacheSpec cache;
  cache.window = 128;
  EXPECT_EQ(cache.Read(8191, 1), 127);
  EXPECT_EQ(cache.Written(8191, 1), 1);
  EXPECT_EQ(cache.Resident(8192), 128);
  EXPECT_EQ(cache.Read(50, 1), 50);
  cache.chunked = true;
  EXPECT_EQ(cache.Read(129, 1), 1) << "the second token of the second chunk sees one before it";
  EXPECT_EQ(cache.Read(128, 1), 0);
}

TEST(KvCache, SelectionLimitsWhatIsReadNotWhatIsHeld) {
  KvCacheSpec cache;
  cache.top_k = 2048;
  EXPECT_EQ(cache.Read(10000, 1), 2048);
  EXPECT_EQ(cache.Read(10000, 8), 10000) << "eight queries may select different entries, at most all";
  EXPECT_EQ(cache.Resident(10001), 10001);
  EXPECT_EQ(cache.Read(100, 1), 100);
}

TEST(KvCache, CompressedEntriesAppearWhenTheirTokensAreComplete) {
  KvCacheSpec cache;
  cache.tokens_per_entry = 4;
  EXPECT_EQ(cache.Resident(11), 2);
  EXPECT_EQ(cache.Read(11, 1), 2);
  EXPECT_EQ(cache.Written(11, 1), 1);
  EXPECT_EQ(cache.Written(12, 3), 0);
}

TEST(KvCache, BorrowedEntriesAreReadButNeitherHeldNorWritten) {
  KvCacheSpec cache;
  cache.borrowed = true;
  EXPECT_EQ(cache.Read(10, 1), 10);
  EXPECT_EQ(cache.Written(10, 1), 0);
  EXPECT_EQ(cache.Resident(11), 0);
}

}  // namespace
}  // namespace moecap::model
