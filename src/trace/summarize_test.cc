#include "trace/summarize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "base/json.h"
#include "routing/estimate.h"
#include "trace/importers.h"
#include "trace/summary_json.h"
#include "trace/trace_test_files.h"

namespace moecap::trace {
namespace {

using testing::ElementsAre;

IndexedSource SourceOf(const TraceHeader& header, const std::vector<TracePass>& passes) {
  return IndexedSource(header, passes.size(), [passes](size_t index, TracePass& pass) {
    pass = passes[index];
    return Status();
  });
}

TraceHeader Header(int experts, int top_k, std::vector<int> layers) {
  TraceHeader header;
  header.experts = experts;
  header.top_k = top_k;
  header.layer_numbers = std::move(layers);
  return header;
}

TracePass Decode(std::vector<uint32_t> sequences, std::vector<uint16_t> ids) {
  TracePass pass;
  pass.kind = record::PassKind::kDecode;
  pass.tokens = static_cast<int64_t>(sequences.size());
  pass.sequences = std::move(sequences);
  pass.ids = std::move(ids);
  return pass;
}

TEST(Summarize, HandComputed) {
  const TraceHeader header = Header(4, 2, {1, 5});
  auto source = SourceOf(header, {Decode({0, 1}, {0, 1, 0, 2, /* layer 5 */ 0, 1, 0, 1}),
                                  Decode({0, 1}, {1, 0, 3, 1, /* layer 5 */ 0, 1, kNoExpert, kNoExpert})});
  const auto summary = Summarize(source, {.cache = true});
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_EQ(summary->passes, 2);
  EXPECT_EQ(summary->decode_passes, 2);
  EXPECT_EQ(summary->tokens, 4);
  ASSERT_EQ(summary->layers.size(), 2u);
  EXPECT_THAT(summary->layers[0].counts, ElementsAre(3, 3, 1, 1));
  EXPECT_DOUBLE_EQ(*summary->layers[0].overlap, 0.5);
  EXPECT_EQ(summary->layers[1].tokens, 3) << "one token was not routed in layer 5";
  EXPECT_DOUBLE_EQ(*summary->layers[1].overlap, 1);
  // Uses of layer 1: 0 1 2 | 0 1 3; of layer 5: 0 1 | 0 1.
  ASSERT_EQ(summary->caches.size(), 2u);
  EXPECT_EQ(summary->caches[0].accesses, 6);
  EXPECT_EQ(summary->caches[0].Hits(routing::CachePolicy::kLru)[3], 2);
  EXPECT_EQ(summary->caches[1].Hits(routing::CachePolicy::kLru)[2], 2);
  const std::vector<double> bytes = {10, 100};
  const CacheTotals totals = TotalCaches(summary->caches, bytes);
  const auto lru = static_cast<size_t>(routing::CachePolicy::kLru);
  EXPECT_EQ(totals.accesses, 10);
  EXPECT_DOUBLE_EQ(totals.hit_rate[lru][3], 0.4);
  EXPECT_DOUBLE_EQ(totals.link_bytes[lru][3], 10 * 4 + 100 * 2);
  EXPECT_DOUBLE_EQ(totals.link_bytes[lru][0], 10 * 6 + 100 * 4) << "no cache: every use crosses the link";
  const auto coverage = MeanCoverage(*summary);
  ASSERT_GE(coverage.size(), 2u);
  EXPECT_EQ(coverage[1].tokens, 2);
  // Decode passes of two tokens: layer 1 uses 3 and 3; layer 5 uses 2 once (its other pass routed one token).
  EXPECT_DOUBLE_EQ(*coverage[1].decode_passes, 2.5);
  EXPECT_DOUBLE_EQ(coverage[1].uniform, 3) << "4 (1 - (1/2)^2)";
}

TEST(Summarize, ACopyIsTheSameTrace) {
  const TempDir dir;
  std::mt19937 rng(9);
  const TraceHeader header = Header(32, 2, {0, 1, 2});
  std::vector<TracePass> passes;
  for (int i = 0; i < 200; ++i) {
    std::vector<uint16_t> ids;
    for (int row = 0; row < 3 * 4; ++row) {
      const auto first = static_cast<uint16_t>(rng() % 31);
      ids.push_back(first);
      ids.push_back(static_cast<uint16_t>(first + 1 + rng() % (31u - first)));
    }
    passes.push_back(Decode({0, 1, 2, static_cast<uint32_t>(3 + i / 50)}, ids));
  }
  auto source = SourceOf(header, passes);
  auto writer = MoetraceWriter::Create(dir / "copy", header);
  ASSERT_TRUE(writer.ok());
  const auto summary = Summarize(source, {.cache = true}, &*writer);
  ASSERT_TRUE(summary.ok());
  auto reader = MoetraceReader::Open(dir / "copy");
  ASSERT_TRUE(reader.ok());
  const auto again = Summarize(**reader, {.cache = true});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(ToJsonText(*summary, {}), ToJsonText(*again, {}));
  // Independent tokens: what was measured lies where the exact estimate says.
  for (const auto& row : MeanCoverage(*summary)) {
    if (row.tokens > 64) continue;
    EXPECT_NEAR(*row.resampled, row.popularity, 1) << row.tokens;
    EXPECT_LE(row.popularity, row.uniform + 1e-9);
    if (row.decode_passes) {
      EXPECT_NEAR(*row.decode_passes, *row.resampled, 0.3);
    }
  }
}

TEST(Summarize, LayersOfDummyWeightsAreNamed) {
  const auto warnings = [](bool alike) {
    TracePass pass;
    pass.tokens = 20;
    for (int layer = 0; layer < 2; ++layer) {
      for (int token = 0; token < 20; ++token) {
        const auto first = static_cast<uint16_t>(alike || layer == 0 ? token % 3 : token % 2);
        pass.ids.insert(pass.ids.end(), {first, 3});
      }
    }
    auto source = SourceOf(Header(4, 2, {0, 1}), {pass});
    return Summarize(source, {})->warnings;
  };
  EXPECT_THAT(warnings(true), testing::ElementsAre(testing::HasSubstr("all layers chose the same experts")));
  EXPECT_THAT(warnings(false), testing::IsEmpty());
}

TEST(Summarize, RequestsWithoutPassesUseExpertsTokenByToken) {
  TraceHeader header = Header(4, 2, {0});
  header.passes_known = false;
  TracePass pass;
  pass.tokens = 3;
  pass.sequences = {0, 0, 0};
  pass.ids = {0, 1, 1, 2, 0, 1};
  auto source = SourceOf(header, {pass});
  const auto summary = Summarize(source, {.cache = true});
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->caches[0].accesses, 6) << "not 3, as one pass of three tokens would";
  EXPECT_TRUE(summary->layers[0].decode_passes.empty());
}

TEST(Summarize, TotalsHaveNoCache) {
  TraceHeader header = Header(3, 0, {0});
  header.grain = Grain::kTotals;
  TracePass pass;
  pass.counts = {5, 0, 5};
  auto source = SourceOf(header, {pass});
  const auto summary = Summarize(source, {.cache = true});
  ASSERT_TRUE(summary.ok());
  EXPECT_TRUE(summary->caches.empty());
  EXPECT_FALSE(summary->no_cache_reason.empty());
  EXPECT_FALSE(summary->tokens.has_value());
  EXPECT_DOUBLE_EQ(summary->layers[0].load.entropy_bits, 1);
  EXPECT_TRUE(MeanCoverage(*summary).empty()) << "nothing to estimate with without the experts per token";
  const auto json = ParseJson(ToJsonText(*summary, {}));
  ASSERT_TRUE(json.ok());
  EXPECT_TRUE((*json)["tokens"].is_null());
  EXPECT_TRUE((*json)["cache"].is_null());
  EXPECT_FALSE(summary->Sheet().Stable());
}

TEST(Summarize, MoreSequencesThanSlotsAreStillCounted) {
  const TraceHeader header = Header(4, 1, {0});
  TracePass pass;
  pass.tokens = 3000;
  for (uint32_t i = 0; i < 3000; ++i) pass.sequences.push_back(i);
  pass.ids.assign(3000, 2);
  auto source = SourceOf(header, {pass, pass});
  const auto summary = Summarize(source, {});
  ASSERT_TRUE(summary.ok());
  EXPECT_THAT(summary->layers[0].counts, ElementsAre(0, 0, 6000, 0));
}

TEST(Summarize, AnEmptyTraceIsAnError) {
  auto source = SourceOf(Header(4, 1, {0}), {});
  EXPECT_FALSE(Summarize(source, {}).ok());
}

}  // namespace
}  // namespace moecap::trace
