#include "metrics/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace moecap::metrics {
namespace {

using testing::ElementsAre;

TEST(Gate, PassesOnItsOwnSideOfTheBoundAndOnIt) {
  const Gate most = MakeGate("lag", 2, "s");
  EXPECT_EQ(most.state, Gate::State::kNotMeasured);
  EXPECT_EQ(Judge(most, 2, "late").state, Gate::State::kPassed);
  EXPECT_EQ(Judge(most, 2.01, "late").state, Gate::State::kTripped);
  const Gate least = MakeGate("room", 5, "x", true);
  EXPECT_EQ(Judge(least, 5, "narrow").state, Gate::State::kPassed);
  EXPECT_EQ(Judge(least, 4.99, "narrow").state, Gate::State::kTripped);
}

TEST(Gate, ExplainsOnlyWhatDidNotPass) {
  const Gate gate = MakeGate("lag", 2, "s");
  EXPECT_EQ(Judge(gate, 1, "late").explanation, "");
  EXPECT_EQ(Judge(gate, 3, "late").explanation, "late");
  EXPECT_EQ(NotMeasured(Judge(gate, 3, "late"), "no clock").value, std::nullopt);
  EXPECT_EQ(JudgeIfKnown(gate, std::nullopt, "late", "no clock").explanation, "no clock");
  EXPECT_EQ(JudgeIfKnown(gate, 3.0, "late", "no clock").explanation, "late");
}

TEST(Gate, WhatIsNotANumberTrips) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(Judge(MakeGate("a", 1, "s"), nan, "bad").tripped());
  EXPECT_TRUE(Judge(MakeGate("a", 1, "s", true), nan, "bad").tripped());
}

TEST(Gate, OnlyTrippedOnesSpeak) {
  const Gate gate = MakeGate("lag", 2, "s");
  const std::vector<Gate> quiet = {Judge(gate, 1, "late"), NotMeasured(gate, "no clock")};
  EXPECT_FALSE(AnyTripped(quiet));
  EXPECT_THAT(TrippedWords(quiet), ElementsAre());
  const std::vector<Gate> loud = {Judge(gate, 3, "late"), NotMeasured(gate, "no clock"), Judge(gate, 4, "later")};
  EXPECT_TRUE(AnyTripped(loud));
  EXPECT_THAT(TrippedWords(loud), ElementsAre("late", "later"));
}

}  // namespace
}  // namespace moecap::metrics
