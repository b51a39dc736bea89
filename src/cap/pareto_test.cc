#include "cap/pareto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace moecap::cap
