#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cap/compare.h"

namespace moecap::cap {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void Set(MeasuredSystem& system, AxisId axis, double value) { system.figures[static_cast<size_t>(axis)] = value; }

// 200 problems, two repetitions. `wrong`: how many of the first problems fail.
Candidate System(const std::string& label, double usd, int wrong, double tpot_s, double drift = 0.001) {
  Candidate candidate;
  candidate.identity.run_id = "run";
  candidate.identity.system = label;
  candidate.identity.host = "host";
  candidate.identity.concurrency = 4;
  MeasuredSystem& system = candidate.measured;
  system.label = label;
  for (int i = 0; i < 200; ++i) {
    const double tpot = tpot_s * (i % 2 == 0 ? 0.99 : 1.01);
    system.problems.push_back({std::to_string(i), i < wrong ? 0.0 : 1.0, {}, {tpot, tpot}, {}});
  }
  for (const double sign : {-1.0, 1.0}) {
    RepeatSample repeat{10 * (1 + sign * drift), 1000, 200};
    repeat.tpot_s = tpot_s * (1 + sign * drift);
    system.repeats.push_back(repeat);
  }
  Set(system, AxisId::kUsdPerMillionOutputTokens, usd);
  Set(system, AxisId::kAccuracy, (200.0 - wrong) / 200);
  Set(system, AxisId::kTpot, tpot_s);
  Set(system, AxisId::kPowerW, 100);
  return candidate;
}

CompareOptions Options() {
  CompareOptions options;
  options.view = ResolveView({});
  options.limits = {{AxisId::kUsdPerMillionOutputTokens, 0.01, "cost"}, {AxisId::kTpot, 1e-4, "tpot"}};
  options.matrix = BuiltinDecisionMatrix();
  options.tier = "workstation";
  return options;
}

std::vector<Candidate> Three() {
  return {System("F16", 2.0, 10, 0.02), System("Q8", 1.5, 10, 0.015), System("Q4", 1.0, 40, 0.01)};
}

const ComparedFigure& FigureOf(const Comparison& comparison, size_t system, AxisId axis) {
  size_t k = 0;
  while (comparison.axes[k].axis != axis) ++k;
  return comparison.systems[system].figures[k];
}

TEST(CompareSystems, GivesDifferencesToTheBaselineWithIntervals) {
  const Comparison comparison = CompareSystems(Three(), Options());
  const ComparedFigure& baseline = FigureOf(comparison, 0, AxisId::kTpot);
  EXPECT_EQ(baseline.verdict, Verdict::kBaseline);
  EXPECT_FALSE(baseline.difference.has_value());
  ASSERT_TRUE(baseline.interval.has_value());
  EXPECT_LT(baseline.interval->low, 0.02);
  EXPECT_GT(baseline.interval->high, 0.02);

  const ComparedFigure& tpot = FigureOf(comparison, 2, AxisId::kTpot);
  EXPECT_NEAR(*tpot.difference, -0.01, 1e-12);
  EXPECT_NEAR(*tpot.relative_difference, -0.5, 1e-12);
  EXPECT_EQ(tpot.verdict, Verdict::kBetter);
  EXPECT_LT(tpot.difference_interval->high, 0);
  EXPECT_EQ(tpot.noise, "0 requests, 2 repetitions") << "requests are counted by their end-to-end times";

  const ComparedFigure& accuracy = FigureOf(comparison, 2, AxisId::kAccuracy);
  EXPECT_NEAR(*accuracy.difference, -0.15, 1e-12);
  EXPECT_EQ(accuracy.verdict, Verdict::kWorse);
  EXPECT_NEAR(*accuracy.p_value, 2 * std::pow(0.5, 30), 1e-15);  // 30 problems, all one way
  EXPECT_EQ(FigureOf(comparison, 1, AxisId::kAccuracy).verdict, Verdict::kWithinNoise);
  EXPECT_EQ(FigureOf(comparison, 1, AxisId::kAccuracy).p_value, 1);
}

TEST(CompareSystems, ABaselineCanBeChosen) {
  CompareOptions options = Options();
  options.baseline = 2;
  const Comparison comparison = CompareSystems(Three(), options);
  EXPECT_NEAR(*FigureOf(comparison, 0, AxisId::kTpot).relative_difference, 1.0, 1e-12);
  EXPECT_EQ(FigureOf(comparison, 0, AxisId::kTpot).verdict, Verdict::kWorse);
  EXPECT_EQ(FigureOf(comparison, 0, AxisId::kAccuracy).verdict, Verdict::kBetter);
}

TEST(CompareSystems, WithinTheMarginOrTheNoiseIsNoDifference) {
  const std::vector<Candidate> close = {System("a", 1, 10, 0.010, 0.0001), System("b", 1, 10, 0.0103, 0.0001)};
  EXPECT_EQ(FigureOf(CompareSystems(close, Options()), 1, AxisId::kTpot).verdict, Verdict::kWithinNoise) << "3 %";
  const std::vector<Candidate> noisy = {System("a", 1, 10, 0.010, 0.2), System("b", 1, 10, 0.011, 0.2)};
  EXPECT_EQ(FigureOf(CompareSystems(noisy, Options()), 1, AxisId::kTpot).verdict, Verdict::kWithinNoise) << "repetitions drift";
  const std::vector<Candidate> clear = {System("a", 1, 10, 0.010, 0.0001), System("b", 1, 10, 0.011, 0.0001)};
  EXPECT_EQ(FigureOf(CompareSystems(clear, Options()), 1, AxisId::kTpot).verdict, Verdict::kWorse);
}

TEST(CompareSystems, OneRepetitionLeavesTheNoiseOfCostUnknown) {
  std::vector<Candidate> systems = Three();
  for (Candidate& candidate : systems) candidate.measured.repeats.resize(1);
  const Comparison comparison = CompareSystems(systems, Options());
  const ComparedFigure& cost = FigureOf(comparison, 2, AxisId::kUsdPerMillionOutputTokens);
  EXPECT_FALSE(cost.interval.has_value());
  EXPECT_FALSE(cost.difference_interval.has_value());
  EXPECT_EQ(cost.verdict, Verdict::kNotKnown);
  EXPECT_EQ(cost.noise, "not known: one repetition");
  EXPECT_THAT(FigureOf(comparison, 2, AxisId::kTpot).noise, HasSubstr("one repetition: drift not known"));
}

TEST(CompareSystems, RobustScoresDependOnTheSystemAlone) {
  const Comparison all = CompareSystems(Three(), Options());
  EXPECT_NEAR(*FigureOf(all, 2, AxisId::kTpot).robust_score, 60, 1e-9);  // two of five powers of ten
  std::vector<Candidate> reversed = Three();
  std::reverse(reversed.begin(), reversed.end());
  const Comparison other = CompareSystems(reversed, Options());
  const Comparison alone = CompareSystems({System("Q4", 1.0, 40, 0.01)}, Options());
  for (const AxisId axis :
       all.axes.size() == 3 ? std::vector{all.axes[0].axis, all.axes[1].axis, all.axes[2].axis} : std::vector<AxisId>{}) {
    EXPECT_EQ(FigureOf(all, 2, axis).robust_score, FigureOf(alone, 0, axis).robust_score);
    EXPECT_EQ(FigureOf(all, 2, axis).robust_score, FigureOf(other, 0, axis).robust_score);
  }
  EXPECT_EQ(all.hypervolume, other.hypervolume);
  EXPECT_EQ(all.systems[2].scores.class_support, other.systems[0].scores.class_support);
}

TEST(CompareSystems, ClassesFrontsAndHypervolume) {
  const Comparison comparison = CompareSystems(Three(), Options());
  EXPECT_EQ(comparison.systems[0].scores.cap_class, CapClass::kDominated);
  EXPECT_THAT(comparison.systems[0].dominated_by, ElementsAre("Q8"));
  EXPECT_EQ(comparison.systems[0].on_front, false);
  EXPECT_EQ(comparison.systems[1].scores.cap_class, CapClass::kCostAccuracy);
  EXPECT_EQ(comparison.systems[2].scores.cap_class, CapClass::kPerformanceCost);
  EXPECT_GT(*comparison.systems[2].scores.class_support, 0.9);
  EXPECT_DOUBLE_EQ(*comparison.systems[0].hypervolume_share, 0) << "dominated";
  EXPECT_GT(*comparison.systems[1].hypervolume_share, 0);
  ASSERT_EQ(comparison.planes.size(), 3u);
  EXPECT_THAT(comparison.planes[0].systems, ElementsAre("Q4"));        // cost and TPOT
  EXPECT_THAT(comparison.planes[1].systems, ElementsAre("Q8", "Q4"));  // cost and accuracy
  // One box of score products: Q8's accuracy, the rest of Q4.
  const auto score = [&](size_t system, size_t k) { return *comparison.systems[system].figures[k].robust_score / 100; };
  const double q8 = score(1, 0) * score(1, 1) * score(1, 2), q4 = score(2, 0) * score(2, 1) * score(2, 2);
  EXPECT_NEAR(*comparison.hypervolume, q8 + q4 - score(1, 0) * score(2, 1) * score(1, 2), 1e-9);
}

TEST(CompareSystems, AnInvalidSystemHasNoFigures) {
  std::vector<Candidate> systems = Three();
  systems[1].measured.figures = {};
  const Comparison comparison = CompareSystems(systems, Options());
  EXPECT_EQ(comparison.systems[1].scores.cap_class, CapClass::kUnknown);
  EXPECT_FALSE(comparison.systems[1].on_front.has_value());
  EXPECT_FALSE(comparison.systems[1].hypervolume_share.has_value());
  EXPECT_EQ(FigureOf(comparison, 1, AxisId::kTpot).verdict, Verdict::kNotKnown);
}

TEST(CompareSystems, AdviceStandsBesideTheMeasuredRanking) {
  const Comparison comparison = CompareSystems(Three(), Options());
  ASSERT_EQ(comparison.advice.rows.size(), 2u);
  const Advice& first = comparison.advice.rows[0];
  EXPECT_EQ(first.row.primary, "cost") << "latency is only its secondary goal, but nothing has it as the primary one";
  EXPECT_THAT(first.measured_ranking, ElementsAre("Q4", "Q8", "F16"));
  EXPECT_THAT(first.sentence, HasSubstr("the paper recommends K-Transformers"));
  EXPECT_THAT(comparison.advice.rows[1].measured_ranking, ElementsAre("F16", "Q8", "Q4")) << "accuracy; equal ones keep order";
  CompareOptions unknown = Options();
  unknown.tier.clear();
  EXPECT_THAT(CompareSystems(Three(), unknown).advice.rows, IsEmpty());
}

TEST(CompareSystems, SaysWhenNobodyCanGiveUpCost) {
  CompareOptions options = Options();
  options.view.cost = AxisId::kPowerW;
  options.view.axes[0] = AxisId::kPowerW;
  EXPECT_THAT(CompareSystems(Three(), options).notes, Contains(HasSubstr("class PA cannot appear")));
  EXPECT_THAT(CompareSystems(Three(), Options()).notes, Contains(HasSubstr("share one machine")));
  std::vector<Candidate> systems = Three();
  systems[0].identity.host = "another";
  EXPECT_THAT(CompareSystems(systems, Options()).notes, IsEmpty());
}

}  // namespace
}  // namespace moecap::cap
