#include "routing/layer_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "routing/activation_sheet.h"
#include "routing/estimate.h"
#include "routing/expert_cache.h"

namespace moecap::routing {
namespace {

using Ids = std::vector<uint16_t>;

Ids Draw(std::mt19937& rng, int experts, size_t top_k) {
  std::set<uint16_t> chosen;
  std::geometric_distribution<int> pick(0.1);
  while (chosen.size() < top_k) {
    const int id = pick(rng);
    if (id < experts) chosen.insert(static_cast<uint16_t>(id));
  }
  Ids ids(chosen.begin(), chosen.end());
  std::ranges::shuffle(ids, rng);
  return ids;
}

TEST(LayerTrace, HandComputed) {
  LayerTrace trace(4, 2, {.blocks_up_to = 4, .cache_accesses = 100});
  trace.AddToken(Ids{0, 1}, 0);  // two sequences decode together
  trace.AddToken(Ids{0, 2}, 1);
  trace.EndPass(true);
  trace.AddToken(Ids{1, 0}, 0);
  trace.AddToken(Ids{3, 1}, 1);
  trace.EndPass(true);
  const LayerProfile profile = trace.Profile();
  EXPECT_EQ(profile.load.assignments, 8);
  EXPECT_THAT(profile.load.popularity, testing::ElementsAre(3. / 8, 3. / 8, 1. / 8, 1. / 8));
  EXPECT_EQ(profile.tokens, 4);
  ASSERT_EQ(profile.decode_passes.size(), 1u);
  EXPECT_EQ(profile.decode_passes[0].tokens, 2);
  EXPECT_EQ(profile.decode_passes[0].samples, 2);
  EXPECT_DOUBLE_EQ(profile.decode_passes[0].distinct, 3) << "{0,1,2} and {0,1,3}";
  ASSERT_EQ(profile.blocks.size(), 2u);
  EXPECT_EQ(profile.blocks[1].samples, 2);
  EXPECT_DOUBLE_EQ(profile.blocks[1].distinct, 3) << "{0,1} of one sequence, {0,1,2,3} of the other";
  EXPECT_DOUBLE_EQ(*profile.overlap, 0.5) << "2 of 2 and 0 of 2";
  EXPECT_DOUBLE_EQ(profile.independent_overlap, (9. + 9 + 1 + 1) / 16 / 2);
  ASSERT_FALSE(profile.pairs.empty());
  EXPECT_EQ(profile.pairs[0].first, 0);
  EXPECT_EQ(profile.pairs[0].second, 1);
  EXPECT_DOUBLE_EQ(profile.pairs[0].share, 0.5);
  EXPECT_DOUBLE_EQ(profile.pairs[0].lift, 0.5 / (0.75 * 0.75));
  EXPECT_THAT(trace.cache_accesses(), testing::ElementsAre(0, 1, 2, 0, 1, 3));
}

// The same figures from the stored tokens, the slow way.
TEST(LayerTrace, AgreesWithRecomputingFromTheTokens) {
  std::mt19937 rng(21);
  const int experts = 70;
  const size_t top_k = 3;
  LayerTrace trace(experts, static_cast<int>(top_k), {.blocks_up_to = 16});
  std::map<size_t, std::vector<Ids>> by_sequence;
  for (int token = 0; token < 2000; ++token) {
    const size_t slot = rng() % 5;
    if (token == 1000) trace.StartSequence(3);
    const Ids ids = Draw(rng, experts, top_k);
    trace.AddToken(ids, slot);
    by_sequence[token >= 1000 && slot == 3 ? 100 : slot].push_back(ids);
  }
  const LayerProfile profile = trace.Profile();
  for (const CoveragePoint& block : profile.blocks) {
    double distinct = 0;
    int64_t samples = 0;
    for (const auto& [slot, tokens] : by_sequence) {
      for (size_t begin = 0; begin + static_cast<size_t>(block.tokens) <= tokens.size();
           begin += static_cast<size_t>(block.tokens)) {
        std::set<uint16_t> used;
        for (size_t i = begin; i < begin + static_cast<size_t>(block.tokens); ++i)
          used.insert(tokens[i].begin(), tokens[i].end());
        distinct += static_cast<double>(used.size());
        ++samples;
      }
    }
    EXPECT_EQ(block.samples, samples) << block.tokens;
    EXPECT_NEAR(block.distinct, distinct / static_cast<double>(samples), 1e-9) << block.tokens;
  }
  double shared = 0, neighbours = 0, pair = 0;
  for (const auto& [slot, tokens] : by_sequence) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto uses = [&](size_t at, int id) { return std::ranges::count(tokens[at], id) > 0; };
      pair += uses(i, profile.pairs[2].first) && uses(i, profile.pairs[2].second);
      if (i == 0) continue;
      ++neighbours;
      for (const uint16_t id : tokens[i]) shared += uses(i - 1, id);
    }
  }
  EXPECT_NEAR(*profile.overlap, shared / neighbours / static_cast<double>(top_k), 1e-12);
  EXPECT_NEAR(profile.pairs[2].share, pair / 2000, 1e-12);
  ASSERT_TRUE(profile.halves.has_value());
  EXPECT_LT(profile.halves->total_variation, 1.5 * profile.halves->expected_total_variation) << "independent tokens";
}

TEST(LayerTrace, IndependentTokensGiveAnExponentNearOneAndStickyTokensALowerOne) {
  std::mt19937 rng(22);
  LayerTrace independent(64, 4), sticky(64, 4);
  Ids last = {0, 1, 2, 3};
  for (int token = 0; token < 20000; ++token) {
    independent.AddToken(Ids{static_cast<uint16_t>(rng() % 16), static_cast<uint16_t>(16 + rng() % 16),
                             static_cast<uint16_t>(32 + rng() % 16), static_cast<uint16_t>(48 + rng() % 16)},
                         0);
    last[rng() % 4] = static_cast<uint16_t>(rng() % 64);  // one of four changes
    Ids distinct = last;
    std::ranges::sort(distinct);
    distinct.erase(std::ranges::unique(distinct).begin(), distinct.end());
    sticky.AddToken(distinct, 0);
  }
  EXPECT_NEAR(*independent.Profile().in_sequence_exponent, 1, 0.02);
  EXPECT_LT(*sticky.Profile().in_sequence_exponent, 0.9);
  EXPECT_GT(*sticky.Profile().overlap, 0.6);
}

TEST(LayerTrace, CountsOnly) {
  LayerTrace with_k(4, 2, {.cache_accesses = 10});
  with_k.AddCounts(std::vector<int64_t>{2, 1, 1, 0}, true, true);
  with_k.AddCounts(std::vector<int64_t>{1, 0, 0, 1}, true, true);
  const LayerProfile profile = with_k.Profile();
  EXPECT_EQ(profile.tokens, 3);
  ASSERT_EQ(profile.decode_passes.size(), 2u);
  EXPECT_DOUBLE_EQ(profile.decode_passes[1].distinct, 3);
  EXPECT_FALSE(profile.overlap.has_value());
  EXPECT_FALSE(profile.in_sequence_exponent.has_value());
  EXPECT_THAT(with_k.cache_accesses(), testing::ElementsAre(0, 1, 2, 0, 3));
  LayerTrace unknown_k(4, 0);
  unknown_k.AddCounts(std::vector<int64_t>{5, 0, 0, 0}, false, false);
  EXPECT_FALSE(unknown_k.Profile().tokens.has_value());
  EXPECT_FALSE(unknown_k.Profile().halves.has_value());
}

TEST(LayerTrace, HalvesSeeAChangeOfText) {
  std::mt19937 rng(23);
  LayerTrace trace(32, 2);
  for (int token = 0; token < 5000; ++token) {
    const int base = token < 2500 ? 0 : 8;
    trace.AddToken(Ids{static_cast<uint16_t>(base + static_cast<int>(rng() % 8)), static_cast<uint16_t>(16 + rng() % 16)}, 0);
  }
  const auto halves = trace.Profile().halves;
  ASSERT_TRUE(halves.has_value());
  EXPECT_NEAR(halves->total_variation, 0.5, 0.05) << "one of two experts comes from other eight";
  EXPECT_EQ(halves->verdict, Stability::kShifting);
}

TEST(ActivationSheet, SurvivesTheRoundTrip) {
  LayerTrace trace(4, 2, {.blocks_up_to = 4});
  std::mt19937 rng(1);
  for (int i = 0; i < 200; ++i) {
    const auto first = static_cast<uint16_t>(rng() % 3);
    trace.AddToken(Ids{first, static_cast<uint16_t>(first + 1)}, 0);
  }
  ActivationSheet sheet{"m", "test", 4, 2, {MakeSheetLayer(7, trace.Profile())}};
  const auto parsed = ParseActivationSheet(ToJsonText(sheet));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->layers[0].popularity, sheet.layers[0].popularity);
  EXPECT_EQ(parsed->layers[0].stability, sheet.layers[0].stability);
  EXPECT_EQ(parsed->layers[0].in_sequence_exponent, sheet.layers[0].in_sequence_exponent);
  EXPECT_EQ(parsed->layers[0].layer, 7);
  EXPECT_EQ(ToJsonText(*parsed), ToJsonText(sheet));
}

TEST(ActivationSheet, ItsHalvesSayHowFarThePopularityMayBeOff) {
  SheetLayer layer;
  layer.popularity = {0.4, 0.3, 0.2, 0.1};
  EXPECT_EQ(PopularityAt(layer, 2, SheetEnd::kExpected), layer.popularity);
  EXPECT_FALSE(PopularityAt(layer, 2, SheetEnd::kMost).has_value()) << "no halves are known";
  layer.split_half_tv = 0.05;
  const auto near = [](double value, double most) { return testing::DoubleNear(value, most); };
  EXPECT_THAT(*PopularityAt(layer, 2, SheetEnd::kFewest),
              testing::ElementsAre(near(0.45, 1e-12), near(0.3, 1e-12), near(0.2, 1e-12), near(0.05, 1e-12)));
  EXPECT_THAT(*PopularityAt(layer, 2, SheetEnd::kMost),
              testing::ElementsAre(near(0.35, 1e-12), near(0.3, 1e-12), near(0.2, 1e-12), near(0.15, 1e-12)));
  layer.split_half_tv = 0.15;
  EXPECT_THAT(*PopularityAt(layer, 2, SheetEnd::kFewest),
              testing::ElementsAre(near(0.5, 1e-12), near(0.35, 1e-12), near(0.15, 1e-12), near(0, 1e-12)))
      << "of two choices a token makes, an expert is one at most";
  layer.split_half_tv = 0.9;
  const std::vector<double> even = *PopularityAt(layer, 2, SheetEnd::kMost);
  EXPECT_THAT(even, testing::Each(near(0.25, 1e-12)));
}

TEST(ActivationSheet, RefusesWhatItIsNot) {
  EXPECT_FALSE(ParseActivationSheet("{}").ok());
  EXPECT_FALSE(ParseActivationSheet("[").ok());
  const std::string head = R"({"kind":"activation_sheet","schema":)";
  EXPECT_THAT(ParseActivationSheet(head + R"(2,"experts":2,"layers":[]})").error().message, testing::HasSubstr("schema 2"));
  EXPECT_THAT(
      ParseActivationSheet(head + R"(1,"experts":2,"top_k":1,"layers":[{"layer":0,"cv":0,"entropy_bits":0,"popularity":[1]}]})")
          .error()
          .message,
      testing::HasSubstr("popularity"));
  EXPECT_FALSE(ParseActivationSheet(head + R"(1,"experts":"two","layers":[]})").ok());
}

}  // namespace
}  // namespace moecap::routing
