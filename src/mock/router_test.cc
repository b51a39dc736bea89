#include "mock/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "mock/test_model.h"
#include "routing/estimate.h"

namespace moecap::mock {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

TEST(SampledRouter, TokensChooseDistinctExpertsReproducibly) {
  const SampledRouter router(SmallMoe(), 1, 0.5);
  const SampledRouter same(SmallMoe(), 1, 0.5);
  const SampledRouter other(SmallMoe(), 2, 0.5);
  ASSERT_EQ(router.layers(), 1);
  std::vector<int32_t> a, b;
  int differences = 0;
  for (int32_t id = 0; id < 200; ++id) {
    router.Experts(0, {id, 5}, a);
    same.Experts(0, {id, 5}, b);
    EXPECT_EQ(a, b);
    ASSERT_THAT(a, SizeIs(2));
    EXPECT_NE(a[0], a[1]);
    for (const int32_t expert : a) EXPECT_TRUE(expert >= 0 && expert < 8);
    other.Experts(0, {id, 5}, b);
    differences += a != b;
  }
  EXPECT_GT(differences, 100);
}

TEST(SampledRouter, DistinctExpertsAreTheUnion) {
  const SampledRouter router(SmallMoe(), 3, 1);
  std::vector<RoutedToken> tokens;
  std::set<int32_t> seen;
  std::vector<int32_t> chosen;
  for (int32_t i = 0; i < 6; ++i) {
    tokens.push_back({i, i});
    router.Experts(0, tokens.back(), chosen);
    seen.insert(chosen.begin(), chosen.end());
    EXPECT_THAT(router.DistinctExperts(tokens), ElementsAre(static_cast<double>(seen.size())));
  }
}

// The even router against the closed form of routing/estimate.h: mean over many batches.
TEST(SampledRouter, EvenPopularityGivesTheUniformExpectation) {
  model::ModelSpec model = SmallMoe();
  model.layers[0].ffn.experts = 64;
  model.layers[0].ffn.top_k = 4;
  const SampledRouter router(model, 5, 0);
  double sum = 0;
  constexpr int kBatches = 2000;
  for (int batch = 0; batch < kBatches; ++batch) {
    std::vector<RoutedToken> tokens;
    for (int i = 0; i < 16; ++i) tokens.push_back({i, batch});
    sum += router.DistinctExperts(tokens)[0];
  }
  // The deviation of one batch is below 3, so the mean's is below 0.07.
  EXPECT_NEAR(sum / kBatches, routing::DistinctExpertsUniform(64, 4, 16), 0.2);
}

TEST(SampledRouter, PopularityHasTheSkewAskedFor) {
  model::ModelSpec model = SmallMoe();
  model.layers[0].ffn.experts = 4096;
  for (const double cv : {0.0, 0.5, 1.5}) {
    const SampledRouter router(model, 9, cv);
    const std::vector<double>& share = router.popularity(0);
    EXPECT_NEAR(std::accumulate(share.begin(), share.end(), 0.0), 1, 1e-9);
    double squares = 0;
    for (const double value : share) squares += (value * 4096 - 1) * (value * 4096 - 1);
    EXPECT_NEAR(std::sqrt(squares / 4096), cv, 0.1 * cv + 1e-9);
  }
}

TEST(SampledRouter, ExtremeSkewStillGivesTopK) {
  model::ModelSpec model = SmallMoe();
  model.layers[0].ffn.zero_experts = 4;
  const SampledRouter router(model, 1, 10);
  std::vector<int32_t> chosen;
  for (int32_t id = 0; id < 100; ++id) {
    router.Experts(0, {id, 0}, chosen);
    ASSERT_THAT(chosen, SizeIs(2));
    EXPECT_NE(chosen[0], chosen[1]);
    EXPECT_LT(chosen[0], 12);
  }
}

}  // namespace
}  // namespace moecap::mock
