#include "cap/pareto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace moecap::cap {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Dominates, NeedsToBeNowhereAboveAndSomewhereBelow) {
  EXPECT_TRUE(Dominates({1, 2}, {1, 3}));
  EXPECT_TRUE(Dominates({0, 0}, {1, 3}));
  EXPECT_FALSE(Dominates({1, 2}, {1, 2}));
  EXPECT_FALSE(Dominates({0, 3}, {1, 2}));
}

TEST(ParetoFront, KeepsTheUndominatedAndEqualPoints) {
  const std::vector<ParetoPoint> points = {{3, 1}, {1, 3}, {2, 2}, {2, 2}, {3, 3}, {2, 4}};
  EXPECT_THAT(ParetoFront(points), ElementsAre(true, true, true, true, false, false));
  EXPECT_THAT(ParetoFront({}), IsEmpty());
}

TEST(ParetoFront, AgreesWithComparingEveryPair) {
  std::vector<ParetoPoint> points;
  uint32_t state = 12345;
  for (int i = 0; i < 400; ++i) {
    ParetoPoint point;
    for (int k = 0; k < 3; ++k) {
      state = state * 1664525 + 1013904223;
      point.push_back(state >> 28);  // few distinct values: many ties
    }
    points.push_back(point);
  }
  const std::vector<bool> front = ParetoFront(points);
  for (size_t i = 0; i < points.size(); ++i) {
    bool beaten = false;
    for (const ParetoPoint& other : points) beaten |= Dominates(other, points[i]);
    EXPECT_EQ(front[i], !beaten) << i;
  }
}

CapInput System(const char* name, double cost, double accuracy, double performance) {
  return {name, cost, accuracy, 0.01, performance};
}

TEST(CapFront, NamesWhoDominates) {
  const std::vector<CapInput> inputs = {System("cheap", 1, 0.70, 2), System("fast", 2, 0.70, 1),
                                        System("poor", 2.2, 0.60, 2.2)};
  const auto entries = CapFront(inputs);
  EXPECT_EQ(entries[0].on_front, true);
  EXPECT_EQ(entries[1].on_front, true);
  EXPECT_EQ(entries[2].on_front, false);
  EXPECT_THAT(entries[2].dominated_by, ElementsAre("cheap", "fast"));
}

TEST(CapFront, NoiseDominatesNobody) {
  const std::vector<CapInput> inputs = {System("a", 1.00, 0.705, 1.00), System("b", 1.02, 0.700, 1.03)};
  for (const ParetoEntry& entry : CapFront(inputs)) EXPECT_EQ(entry.on_front, true);
}

TEST(CapFront, ALeadWithinNoiseDoesNotSave) {
  // b is half a point more accurate, within noise, and clearly slower.
  const std::vector<CapInput> inputs = {System("a", 1, 0.700, 1), System("b", 1, 0.705, 2)};
  EXPECT_THAT(CapFront(inputs)[1].dominated_by, ElementsAre("a"));
}

TEST(CapFront, WhatIsNotKnownIsNeitherOnNorOffTheFront) {
  CapInput unknown = System("unknown", 9, 0.1, 9);
  unknown.accuracy.reset();
  const std::vector<CapInput> inputs = {unknown, System("a", 1, 0.7, 1)};
  const auto entries = CapFront(inputs);
  EXPECT_FALSE(entries[0].on_front.has_value());
  EXPECT_THAT(entries[0].dominated_by, IsEmpty());
  EXPECT_EQ(entries[1].on_front, true);
}

TEST(CapFront, InTwoDimensionsTheThirdDoesNotCount) {
  const std::vector<CapInput> inputs = {System("accurate", 3, 0.9, 3), System("cheap", 1, 0.5, 1)};
  const Dimension plane[] = {Dimension::kCost, Dimension::kPerformance};
  EXPECT_EQ(CapFront(inputs)[0].on_front, true);
  EXPECT_THAT(CapFront(inputs, {}, plane)[0].dominated_by, ElementsAre("cheap"));
}

TEST(Hypervolume, HandCases) {
  EXPECT_DOUBLE_EQ(Hypervolume({}, {1, 1}), 0);
  EXPECT_DOUBLE_EQ(Hypervolume(std::vector<ParetoPoint>{{1, 2}}, {4, 4}), 3 * 2);
  // A staircase: 3 x 1 + 2 x 1 + 1 x 1 unit strips.
  EXPECT_DOUBLE_EQ(Hypervolume(std::vector<ParetoPoint>{{1, 3}, {2, 2}, {3, 1}}, {4, 4}), 6);
  EXPECT_DOUBLE_EQ(Hypervolume(std::vector<ParetoPoint>{{0, 0, 0}}, {2, 3, 4}), 24);
  // Two boxes of 2 x 1 x 1 that share a unit cube.
  EXPECT_DOUBLE_EQ(Hypervolume(std::vector<ParetoPoint>{{0, 1, 0}, {1, 0, 0}}, {2, 2, 1}), 3);
  EXPECT_DOUBLE_EQ(Hypervolume(std::vector<ParetoPoint>{{0, 0, 1}, {1, 1, 0}}, {2, 2, 2}), 4 + 1);
}

TEST(Hypervolume, WhatIsNotBelowTheReferenceAddsNothing) {
  EXPECT_DOUBLE_EQ(Hypervolume(std::vector<ParetoPoint>{{5, 0}, {4, 1}, {0, 4}}, {4, 4}), 0);
}

std::vector<ParetoPoint> RandomPoints(size_t count, size_t dimensions, uint32_t seed) {
  std::vector<ParetoPoint> points(count);
  for (auto& point : points) {
    for (size_t k = 0; k < dimensions; ++k) {
      seed = seed * 1664525 + 1013904223;
      point.push_back(static_cast<double>(seed >> 8) / (1 << 24));
    }
  }
  return points;
}

// The share of random points of the unit cube that some point dominates.
TEST(Hypervolume, AgreesWithMonteCarlo) {
  for (const size_t dimensions : {2u, 3u}) {
    for (const uint32_t seed : {1u, 2u, 3u}) {
      const auto points = RandomPoints(12, dimensions, seed);
      const auto samples = RandomPoints(20000, dimensions, seed + 100);
      size_t inside = 0;
      for (const auto& sample : samples) {
        inside += std::any_of(points.begin(), points.end(), [&](const ParetoPoint& point) { return Dominates(point, sample); });
      }
      const double expected = static_cast<double>(inside) / static_cast<double>(samples.size());
      // Five standard errors of a share.
      EXPECT_NEAR(Hypervolume(points, ParetoPoint(dimensions, 1.0)), expected, 5 * 0.5 / std::sqrt(20000.0));
    }
  }
}

TEST(Hypervolume, OrderAndDominatedPointsDoNotMatter) {
  auto points = RandomPoints(20, 3, 7);
  const ParetoPoint reference = {1, 1, 1};
  const double volume = Hypervolume(points, reference);
  std::reverse(points.begin(), points.end());
  EXPECT_NEAR(Hypervolume(points, reference), volume, 1e-12);
  const std::vector<bool> front = ParetoFront(points);
  std::vector<ParetoPoint> kept;
  for (size_t i = 0; i < points.size(); ++i) {
    if (front[i]) kept.push_back(points[i]);
  }
  ASSERT_LT(kept.size(), points.size());
  EXPECT_NEAR(Hypervolume(kept, reference), volume, 1e-12);
  kept.push_back(kept.front());
  EXPECT_NEAR(Hypervolume(kept, reference), volume, 1e-12);
}

TEST(HypervolumeContributions, AreWhatOnlyThatPointDominates) {
  // {2, 2} alone covers the unit square between the others' steps; {2, 3} is dominated.
  const std::vector<ParetoPoint> points = {{1, 3}, {2, 2}, {3, 1}, {2, 3}};
  EXPECT_THAT(HypervolumeContributions(points, {4, 4}), ElementsAre(1, 1, 1, 0));
  const std::vector<ParetoPoint> twins = {{1, 1}, {1, 1}};
  EXPECT_THAT(HypervolumeContributions(twins, {4, 4}), ElementsAre(0, 0));
}

}  // namespace
}  // namespace moecap::cap
