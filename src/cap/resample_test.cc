#include "cap/resample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moecap::cap {
namespace {

using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;

constexpr AxisId kAxes[] = {AxisId::kUsdPerMillionOutputTokens, AxisId::kAccuracy, AxisId::kTpot};

double MeanOf(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double DeviationOf(const std::vector<double>& values) {
  const double mean = MeanOf(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// 100 problems, every fifth answered wrong, one repetition; TPOT alternates between 9 and 11 ms.
MeasuredSystem Sample(const std::string& label) {
  MeasuredSystem system;
  system.label = label;
  for (int i = 0; i < 100; ++i) {
    const double tpot = i % 2 == 0 ? 0.009 : 0.011;
    system.problems.push_back({"p" + std::to_string(i), i % 5 == 0 ? 0.0 : 1.0, {}, {tpot}, {}});
  }
  system.repeats = {{10, 1000, 100}};
  system.repeats[0].tpot_s = 0.010;
  system.figures[static_cast<size_t>(AxisId::kUsdPerMillionOutputTokens)] = 2;
  system.figures[static_cast<size_t>(AxisId::kAccuracy)] = 0.8;
  system.figures[static_cast<size_t>(AxisId::kTpot)] = 0.010;
  return system;
}

// The bootstrap's deviation of a mean is sigma / sqrt(n), with sigma over n.
TEST(Resample, AgreesWithTheStandardErrorOfAMean) {
  const std::vector<MeasuredSystem> systems = {Sample("a")};
  const auto resamples = Resample(systems, kAxes);
  ASSERT_THAT(resamples[0][1], SizeIs(10000));
  EXPECT_NEAR(MeanOf(resamples[0][1]), 0.8, 0.002);
  EXPECT_NEAR(DeviationOf(resamples[0][1]), std::sqrt(0.8 * 0.2 / 100), 0.001);
  EXPECT_NEAR(DeviationOf(resamples[0][2]), 0.001 / std::sqrt(100), 0.000005);
  EXPECT_THAT(resamples[0][0], IsEmpty()) << "one repetition says nothing of the noise of cost";
}

TEST(Resample, IsDeterministicAndIndependentOfTheOtherSystems) {
  const std::vector<MeasuredSystem> both = {Sample("a"), Sample("b")};
  const std::vector<MeasuredSystem> swapped = {Sample("b"), Sample("a")};
  const std::vector<MeasuredSystem> alone = {Sample("b")};
  EXPECT_EQ(Resample(both, kAxes)[1], Resample(alone, kAxes)[0]);
  EXPECT_EQ(Resample(both, kAxes)[1], Resample(swapped, kAxes)[0]);
}

TEST(Resample, PairsSystemsOnTheSameProblems) {
  std::vector<MeasuredSystem> systems = {Sample("a"), Sample("b")};
  auto resamples = Resample(systems, kAxes);
  EXPECT_EQ(resamples[0][1], resamples[1][1]) << "equal answers differ in no resample";
  systems[1].problems[0].id = "another";
  resamples = Resample(systems, kAxes);
  EXPECT_NE(resamples[0][1], resamples[1][1]);
  EXPECT_FALSE(SameProblems(systems[0], systems[1]));
}

TEST(Resample, AccuracyAndLatencyMoveTogether) {
  MeasuredSystem system = Sample("a");
  for (auto& problem : system.problems) problem.tpot_s = {*problem.score == 0 ? 0.02 : 0.01};  // wrong answers are slow
  system.figures[static_cast<size_t>(AxisId::kTpot)] = 0.012;
  const auto resamples = Resample(std::vector{system}, kAxes);
  for (size_t i = 0; i < 100; ++i) EXPECT_NEAR(resamples[0][2][i], 0.02 - 0.01 * resamples[0][1][i], 1e-12);
}

// Two repetitions of 9 and 11 s: a quarter of the draws take the first twice, a quarter the second, half one of each. The
// deviation of log is stretched by sqrt(2), so that it is that of a mean of two: half the difference.
TEST(Resample, RepetitionsCarryTheNoiseOfCost) {
  MeasuredSystem system = Sample("a");
  system.repeats = {{9, 1000, 100}, {11, 1000, 100}};
  const auto cost = Resample(std::vector{system}, kAxes)[0][0];
  ASSERT_THAT(cost, SizeIs(10000));
  const double low = 2 * std::pow(0.9, std::sqrt(2)), high = 2 * std::pow(1.1, std::sqrt(2));
  EXPECT_NEAR(static_cast<double>(std::count_if(cost.begin(), cost.end(), [&](double v) { return std::abs(v - low) < 1e-9; })),
              2500, 200);
  EXPECT_NEAR(static_cast<double>(std::count_if(cost.begin(), cost.end(), [&](double v) { return std::abs(v - high) < 1e-9; })),
              2500, 200);
  EXPECT_NEAR(DeviationOf(cost), 2 * 0.1, 0.01);
}

// A machine that is a fifth slower in the second repetition, for both systems: each alone is uncertain, their ratio is not.
TEST(Resample, PairsTheRepetitionsOfOneRun) {
  std::vector<MeasuredSystem> systems = {Sample("a"), Sample("b")};
  for (auto& system : systems) system.repeats = {{10, 1000, 100}, {12, 1000, 100}};
  auto resamples = Resample(systems, kAxes);
  EXPECT_NE(resamples[0][0], resamples[1][0]) << "nothing says that they belong together";
  for (auto& system : systems) system.run_id = "run";
  resamples = Resample(systems, kAxes);
  EXPECT_GT(DeviationOf(resamples[0][0]), 0.1);
  EXPECT_EQ(resamples[0][0], resamples[1][0]);
}

TEST(Resample, DriftBetweenRepetitionsWidensLatencies) {
  MeasuredSystem system = Sample("a");
  const double still = DeviationOf(Resample(std::vector{system}, kAxes)[0][2]);
  system.repeats = {{9, 1000, 100}, {11, 1000, 100}};
  system.repeats[0].tpot_s = 0.009;
  system.repeats[1].tpot_s = 0.011;
  EXPECT_GT(DeviationOf(Resample(std::vector{system}, kAxes)[0][2]), 5 * still);
}

TEST(Resample, WhatIsNotKnownHasNoNoise) {
  MeasuredSystem nothing;
  nothing.label = "nothing";
  EXPECT_THAT(Resample(std::vector{nothing}, kAxes)[0], Each(IsEmpty()));
  MeasuredSystem one = Sample("one");
  one.problems.resize(1);
  EXPECT_THAT(Resample(std::vector{one}, kAxes)[0], Each(IsEmpty()));
  EXPECT_TRUE(Resample({}, kAxes).empty());
}

TEST(ItemScores, AreEmptyUnlessEveryProblemHasOne) {
  MeasuredSystem system = Sample("a");
  EXPECT_THAT(ItemScores(system), SizeIs(100));
  system.problems[3].score.reset();
  EXPECT_THAT(ItemScores(system), IsEmpty());
}

}  // namespace
}  // namespace moecap::cap
