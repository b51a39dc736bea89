#include "trace/consecutive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trace/importers.h"

namespace moecap::trace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TraceHeader TwoLayers(Grain grain) {
  TraceHeader header;
  header.grain = grain;
  header.experts = 70;  // two words
  header.top_k = 2;
  header.layer_numbers = {0, 1};
  return header;
}

IndexedSource Recorded(const TraceHeader& header, std::vector<TracePass> passes) {
  const size_t count = passes.size();
  return IndexedSource(header, count, [passes = std::move(passes)](size_t index, TracePass& pass) {
    pass = passes[index];
    return Status();
  });
}

TracePass Ids(record::PassKind kind, std::vector<uint32_t> sequences, std::vector<uint16_t> ids) {
  TracePass pass;
  pass.kind = kind;
  pass.tokens = static_cast<int64_t>(sequences.size());
  pass.sequences = std::move(sequences);
  pass.ids = std::move(ids);
  return pass;
}

// Layer 0 of sequence 7: {0,1} {1,69} {2,3}; of sequence 9: {5,6} {5,6}. Layer 1 always {0,1}.
TEST(Consecutive, WindowsOfOneSequenceByHand) {
  const auto kind = record::PassKind::kDecode;
  auto source =
      Recorded(TwoLayers(Grain::kTokenIds), {Ids(kind, {7, 9}, {0, 1, 5, 6, 0, 1, 0, 1}),
                                             Ids(kind, {9, 7}, {5, 6, 1, 69, 0, 1, 0, 1}), Ids(kind, {7}, {2, 3, 0, 1})});
  const auto found = CountConsecutive(source, 4);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_TRUE(found->decoded);
  ASSERT_EQ(found->distinct.size(), 3u) << "no sequence has four tokens";
  EXPECT_THAT(found->windows, ElementsAre(5, 3, 1));
  EXPECT_THAT(found->distinct[0], ElementsAre(2, 2));
  EXPECT_THAT(found->distinct[1], ElementsAre((3 + 4 + 2) / 3.0, 2));  // {0,1,69} {1,69,2,3} {5,6}
  EXPECT_THAT(found->distinct[2], ElementsAre(5, 2));
  EXPECT_DOUBLE_EQ(found->Mean(2), 2.5);
  EXPECT_DOUBLE_EQ(found->popularity[0][5], 0.2);
  EXPECT_DOUBLE_EQ(found->popularity[1][1], 0.5);
}

TEST(Consecutive, PromptsCountOnlyWhereNothingElseIsKnown) {
  const TracePass prompt = Ids(record::PassKind::kPrefill, {1, 1}, {0, 1, 8, 9, 0, 1, 2, 3});
  const TracePass decoded = Ids(record::PassKind::kDecode, {1}, {0, 1, 0, 1});
  auto both = Recorded(TwoLayers(Grain::kTokenIds), {prompt, decoded, decoded});
  EXPECT_THAT(CountConsecutive(both, 3)->distinct[1], ElementsAre(2, 2));
  auto prompts = Recorded(TwoLayers(Grain::kTokenIds), {prompt});
  const auto found = CountConsecutive(prompts, 3);
  EXPECT_FALSE(found->decoded);
  EXPECT_THAT(found->distinct[1], ElementsAre(4, 4));
}

TEST(Consecutive, CountsOfOneClientAreTokens) {
  const auto counts = [](std::initializer_list<size_t> used, int64_t tokens) {
    TracePass pass;
    pass.kind = tokens == 1 ? record::PassKind::kDecode : record::PassKind::kPrefill;
    pass.tokens = tokens;
    pass.counts.assign(140, 0);
    for (const size_t each : used) pass.counts[each] = pass.counts[each + 70] = 1;
    return pass;
  };
  // A prompt between them: tokens of two requests are no neighbours.
  auto source = Recorded(TwoLayers(Grain::kPassCounts),
                         {counts({0, 1}, 1), counts({1, 2}, 1), counts({3, 4}, 2), counts({5, 6}, 1), counts({5, 6}, 1)});
  const auto found = CountConsecutive(source, 2);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_THAT(found->windows, ElementsAre(4, 2));
  EXPECT_THAT(found->distinct[1], ElementsAre(2.5, 2.5));
  auto batch = Recorded(TwoLayers(Grain::kPassCounts), {counts({0, 1}, 2)});
  EXPECT_THAT(CountConsecutive(batch, 2).error().message, HasSubstr("one client"));
  auto totals = Recorded(TwoLayers(Grain::kTotals), {counts({0, 1}, 2)});
  EXPECT_THAT(CountConsecutive(totals, 2).error().message, HasSubstr("sums"));
}

}  // namespace
}  // namespace moecap::trace
