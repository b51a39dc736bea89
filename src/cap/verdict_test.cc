#include "cap/verdict.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"
#include "stats/paired_scores.h"

namespace moecap::cap {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Deviations of five repetitions of one series, mean 0, and of another one.
constexpr double kJitter[] = {0.01, -0.01, 0.02, 0, -0.02};
constexpr double kOther[] = {0, 0.01, -0.01, 0.01, -0.01};

Series Around(double value, std::span<const double> jitter) {
  Series series;
  series.value = value;
  for (const double x : jitter) series.by_repetition.emplace_back(value * (1 + x));
  return series;
}

// The first `right` of `problems` right, but the problems of `wrong_from` to `wrong_to`.
Evidence System(std::string label, double tpot_s, double usd, int problems, int right) {
  Evidence evidence;
  evidence.label = std::move(label);
  evidence.experiment = "e1";
  evidence.performance = Around(tpot_s, evidence.label.size() % 2 == 0 ? kJitter : kOther);
  evidence.cost = Around(usd, evidence.label.size() % 2 == 0 ? kOther : kJitter);
  for (int i = 0; i < problems; ++i) evidence.items.push_back({fmt::format("p{}", i), i < right ? 1.0 : 0.0});
  if (problems > 0) evidence.accuracy = static_cast<double>(right) / problems;
  return evidence;
}

const DimensionVerdict& Of(const Verdicts& verdicts, Dimension dimension, size_t pair = 0) {
  return *std::ranges::find(verdicts.pairs.at(pair).dimensions, dimension, &DimensionVerdict::dimension);
}

TEST(Judge, SaysByHowMuchAndHowSure) {
  const std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 1000, 800), System("F16", 0.0142, 1.42, 1000, 840)};
  const Verdicts verdicts = Judge(systems);
  const DimensionVerdict& speed = Of(verdicts, Dimension::kPerformance);
  EXPECT_EQ(speed.outcome, Outcome::kBetter);
  EXPECT_NEAR(*speed.estimate, 1 / 1.42, 0.001);
  EXPECT_EQ(speed.n, 5);
  EXPECT_EQ(speed.test, "paired t on log ratios");
  EXPECT_TRUE(speed.holds_over_all);
  EXPECT_EQ(Of(verdicts, Dimension::kCost).outcome, Outcome::kBetter);
  const DimensionVerdict& accuracy = Of(verdicts, Dimension::kAccuracy);
  EXPECT_EQ(accuracy.outcome, Outcome::kWorse);
  EXPECT_NEAR(*accuracy.estimate, -0.04, 1e-12);
  EXPECT_NEAR(*accuracy.p_value, stats::McNemarExact(0, 40), 1e-15);
  EXPECT_EQ(verdicts.systems[0].domination, Domination::kNotDominated);
  EXPECT_EQ(verdicts.systems[1].domination, Domination::kNotDominated);
  EXPECT_THAT(verdicts.headline[0],
              testing::MatchesRegex("Q4_0 is 1.42x faster than F16 \\(95 % interval 1.3[0-9] to 1.4[0-9], 5 repetitions\\)."));
  EXPECT_THAT(verdicts.headline, Contains(HasSubstr("F16 is 4.0 points more accurate than Q4_0")));
  EXPECT_THAT(verdicts.headline, Contains(HasSubstr("F16 costs 1.42x as much as Q4_0")));
  EXPECT_LE(verdicts.headline.size(), 10u);
  JudgeOptions options;
  options.cost.name = "price of the memory";
  EXPECT_THAT(Judge(systems, options).headline,
              Contains(testing::ContainsRegex("F16 costs 1.42x as much as Q4_0 \\(price of the memory; 95 %")));
}

// On one machine cost and time are one test, and both hold as one does.
TEST(Judge, CountsTheSameRatiosOnce) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 0, 0), System("F16", 0.0142, 1, 0, 0)};
  for (Evidence& system : systems) {
    system.cost = system.performance;
    *system.cost.value *= 3;
    for (auto& value : system.cost.by_repetition) *value *= 3;
  }
  const Verdicts verdicts = Judge(systems);
  EXPECT_TRUE(Of(verdicts, Dimension::kPerformance).holds_over_all);
  EXPECT_TRUE(Of(verdicts, Dimension::kCost).holds_over_all);
  EXPECT_THAT(verdicts.headline[0], HasSubstr("and the cost follows"));
  EXPECT_THAT(verdicts.headline, testing::Each(testing::Not(HasSubstr("for the pair alone"))));
}

TEST(Judge, TurnsRound) {
  const Verdicts verdicts = Judge(std::vector<Evidence>{System("Q4_0", 0.010, 1, 200, 100), System("F16", 0.0142, 1, 200, 90)});
  const DimensionVerdict ab = Between(verdicts, 0, 1, Dimension::kPerformance);
  const DimensionVerdict ba = Between(verdicts, 1, 0, Dimension::kPerformance);
  EXPECT_EQ(ba.outcome, Outcome::kWorse);
  EXPECT_NEAR(*ab.estimate * *ba.estimate, 1, 1e-12);
  EXPECT_LE(ba.interval->low, *ba.estimate);
  EXPECT_GE(ba.interval->high, *ba.estimate);
  EXPECT_EQ(Between(verdicts, 1, 0, Dimension::kAccuracy).interval->low, -Of(verdicts, Dimension::kAccuracy).interval->high);
}

TEST(Judge, HigherThroughputIsBetter) {
  JudgeOptions options;
  options.performance = {"output tokens/s", "tokens/s", true};
  const Verdicts verdicts = Judge(std::vector<Evidence>{System("slow", 100, 1, 0, 0), System("fast", 150, 1, 0, 0)}, options);
  EXPECT_EQ(Of(verdicts, Dimension::kPerformance).outcome, Outcome::kWorse);
  EXPECT_THAT(verdicts.headline[0], HasSubstr("fast is 1.50x faster than slow"));
}

// 4 : 0 discordant problems of 128 are p = 0.125: neither a win nor, with a loss of up to 7 points open, a draw.
TEST(Judge, LeavesAccuracyUndecidedWithWhatWouldDecide) {
  const std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 128, 100), System("F16", 0.0142, 1.42, 128, 104)};
  const Verdicts verdicts = Judge(systems);
  const DimensionVerdict& accuracy = Of(verdicts, Dimension::kAccuracy);
  EXPECT_EQ(accuracy.outcome, Outcome::kUndecided);
  ASSERT_TRUE(accuracy.n_would_decide);
  // Six to nothing is p = 0.031: one and a half times as many.
  EXPECT_GT(*accuracy.n_would_decide, 128);
  EXPECT_LT(*accuracy.n_would_decide, 300);
  EXPECT_EQ(verdicts.systems[1].domination, Domination::kUndecided);
  EXPECT_EQ(verdicts.systems[1].may_be_dominated_by, 0u);
  EXPECT_THAT(verdicts.systems[1].reason,
              AllOf(HasSubstr("Undecided whether Q4_0 dominates F16"), HasSubstr("128 problems cannot exclude a loss of up to"),
                    HasSubstr("would decide")));
  EXPECT_THAT(verdicts.headline,
              Contains(AllOf(HasSubstr("accuracy: undecided, F16 leads Q4_0 by 3.1 points"), HasSubstr("128 problems"))));
  EXPECT_EQ(
      std::ranges::count_if(verdicts.headline,
                            [](const std::string& sentence) { return sentence.find("would decide") != std::string::npos; }),
      1)
      << "said once, with what hangs on it";
}

// 6.2 points behind with few problems: not to be called dominated.
TEST(Judge, NeverDominatesASystemThatIsMoreAccurate) {
  const Verdicts verdicts = Judge(std::vector<Evidence>{System("Q4_0", 0.010, 1, 48, 30), System("F16", 0.02, 2, 48, 33)});
  EXPECT_EQ(verdicts.systems[1].domination, Domination::kUndecided);
}

TEST(Judge, DominatedNeedsEveryLossExcluded) {
  const Verdicts verdicts =
      Judge(std::vector<Evidence>{System("Q4_0", 0.010, 1, 1000, 840), System("F16", 0.0142, 1.42, 1000, 840)});
  EXPECT_EQ(Of(verdicts, Dimension::kAccuracy).outcome, Outcome::kAsGood);
  EXPECT_EQ(verdicts.systems[1].domination, Domination::kDominated);
  EXPECT_THAT(verdicts.systems[1].dominated_by, ElementsAre(0u));
  EXPECT_EQ(verdicts.systems[0].domination, Domination::kNotDominated);
  EXPECT_THAT(verdicts.headline, Contains(HasSubstr("F16 is dominated by Q4_0, which is faster and cheaper")));
  // The same answers to 100 problems leave a loss of 3.8 points open.
  const Verdicts few = Judge(std::vector<Evidence>{System("Q4_0", 0.010, 1, 100, 84), System("F16", 0.0142, 1.42, 100, 84)});
  EXPECT_EQ(few.systems[1].domination, Domination::kUndecided);
  EXPECT_NEAR(static_cast<double>(*Of(few, Dimension::kAccuracy).n_would_decide), 384, 3);
}

TEST(Judge, EqualWithinTheMarginIsAsGood) {
  const Verdicts verdicts = Judge(std::vector<Evidence>{System("Q4_0", 0.0100, 1, 0, 0), System("F16", 0.0101, 1.01, 0, 0)});
  EXPECT_EQ(Of(verdicts, Dimension::kPerformance).outcome, Outcome::kAsGood);
  EXPECT_THAT(verdicts.headline[0], HasSubstr("are equally fast within 5 %"));
  EXPECT_THAT(verdicts.dimensions, ElementsAre(Dimension::kPerformance, Dimension::kCost));
  EXPECT_EQ(verdicts.systems[1].domination, Domination::kNotDominated);
}

TEST(Judge, ShowsTheRangeOfFewRepetitionsAndJudgesNothing) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 0, 0), System("F16", 0.0142, 1.42, 0, 0)};
  // Whole repetitions 0, 2, 3 of one and 0, 1, 2, 3 of the other: three in common.
  systems[0].performance.by_repetition[1] = std::nullopt;
  systems[0].performance.by_repetition.resize(4);
  const Verdicts verdicts = Judge(systems);
  const DimensionVerdict& speed = Of(verdicts, Dimension::kPerformance);
  EXPECT_EQ(speed.outcome, Outcome::kNotJudged);
  EXPECT_EQ(speed.n, 3);
  EXPECT_EQ(speed.interval, std::nullopt);
  EXPECT_LT(speed.range->low, speed.range->high);
  EXPECT_EQ(speed.reason, "3 whole repetitions of both, 5 are needed");
  EXPECT_EQ(verdicts.systems[1].domination, Domination::kNotJudged);
  EXPECT_THAT(verdicts.headline[0],
              HasSubstr("performance: not judged, 3 whole repetitions of both, 5 are needed (Q4_0 / F16: 0.7"));
}

TEST(Judge, SaysInvalidFirstAndDecidesNothingByIt) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 1000, 840), System("F16", 0.0142, 1.42, 1000, 840)};
  systems[1].tripped = {"machine was not quiet"};
  const Verdicts verdicts = Judge(systems);
  EXPECT_EQ(verdicts.headline[0], "Invalid: F16 (machine was not quiet); it takes no part in verdicts.");
  EXPECT_EQ(Of(verdicts, Dimension::kPerformance).outcome, Outcome::kNotJudged);
  EXPECT_THAT(Of(verdicts, Dimension::kPerformance).reason, HasSubstr("F16: machine was not quiet"));
  EXPECT_EQ(verdicts.systems[1].domination, Domination::kNotJudged);
  JudgeOptions options;
  options.include_invalid = true;
  const Verdicts included = Judge(systems, options);
  EXPECT_EQ(included.systems[1].domination, Domination::kDominated);
  EXPECT_THAT(included.headline[0], AllOf(HasSubstr("Invalid: F16"), HasSubstr("may be wrong")));
}

TEST(Judge, DoesNotPairRepetitionsOfDifferentExperiments) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 0, 0), System("F16", 0.0142, 1.42, 0, 0)};
  systems[1].experiment = "e2";
  EXPECT_THAT(Of(Judge(systems), Dimension::kPerformance).test, HasSubstr("Welch"));
}

TEST(Judge, MatchesProblemsByName) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 100, 80), System("F16", 0.010, 1, 100, 80)};
  std::ranges::reverse(systems[1].items);
  systems[1].items.resize(60);
  const Verdicts verdicts = Judge(systems);
  EXPECT_EQ(Of(verdicts, Dimension::kAccuracy).n, 60);
  EXPECT_EQ(*Of(verdicts, Dimension::kAccuracy).p_value, 1);
  systems[1].items.resize(19);
  EXPECT_EQ(Of(Judge(systems), Dimension::kAccuracy).reason, "19 problems in common, 20 are needed");
}

TEST(Judge, NamesWhatIsNotKnown) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 0, 0), System("F16", 0.0142, 1.42, 0, 0)};
  systems[1].cost = {};
  const Verdicts verdicts = Judge(systems);
  EXPECT_EQ(Of(verdicts, Dimension::kCost).reason, "cost of F16 is not known");
  EXPECT_THAT(verdicts.dimensions, ElementsAre(Dimension::kPerformance));
}

TEST(Judge, TakesPricesAsExact) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 0, 0), System("F16", 0.0142, 1, 0, 0)};
  systems[0].cost = {.value = 1000, .by_repetition = {}, .exact = true};
  systems[1].cost = {.value = 1500, .by_repetition = {}, .exact = true};
  const DimensionVerdict cost = Between(Judge(systems), 0, 1, Dimension::kCost);
  EXPECT_EQ(cost.outcome, Outcome::kBetter);
  EXPECT_EQ(cost.test, "exact figures");
  systems[1].cost.value = 1040;
  EXPECT_EQ(Between(Judge(systems), 0, 1, Dimension::kCost).outcome, Outcome::kAsGood);
}

// Three machines, three trades: each gives up what the paper's classes give up.
std::vector<Evidence> Trades() {
  std::vector<Evidence> systems = {System("fast", 0.010, 4, 1000, 900), System("tiny", 0.011, 1, 1000, 700),
                                   System("slow", 0.050, 1.02, 1000, 900)};
  systems[1].performance = Around(0.0101, kOther);
  systems[0].usd_per_h = 8;
  systems[1].usd_per_h = 2;
  systems[2].usd_per_h = 1;
  return systems;
}

TEST(Letters, AreWhatTheSystemKeeps) {
  const Verdicts verdicts = Judge(Trades());
  ASSERT_TRUE(verdicts.letters_apply);
  EXPECT_EQ(verdicts.systems[0].letters, "PA");
  EXPECT_EQ(verdicts.systems[1].letters, "PC");
  EXPECT_EQ(verdicts.systems[2].letters, "CA");
  EXPECT_THAT(verdicts.headline, Contains(HasSubstr("fast PA, tiny PC, slow CA")));
}

TEST(Letters, AreComparedWithWhatASystemIsMeantAs) {
  std::vector<Evidence> systems = Trades();
  EXPECT_THAT(Judge(systems).headline, testing::Not(Contains(HasSubstr("meant")))) << "nobody said anything";
  for (size_t i = 0; i < 3; ++i) systems[i].meant_as = std::vector{"PA", "PC", "CA"}[i];
  EXPECT_THAT(Judge(systems).headline, Contains("As meant: fast (PA), tiny (PC), slow (CA)."));
  // The small one is twice as fast now, and as cheap as the slow one is not.
  systems[1].performance = Around(0.005, kOther);
  const Verdicts verdicts = Judge(systems);
  EXPECT_EQ(verdicts.systems[0].letters, "A");
  EXPECT_THAT(verdicts.headline, Contains("fast was meant as PA and is A: performance is lost to tiny."));
  EXPECT_THAT(verdicts.headline, Contains("As meant: tiny (PC), slow (CA)."));
  systems[0].meant_as = "PC";
  EXPECT_THAT(Judge(systems).headline,
              Contains("fast was meant as PC and is A: performance is lost to tiny, cost is lost to tiny, accuracy is kept."));
}

TEST(Letters, ShowSeveralLossesAndWhatIsUndecided) {
  std::vector<Evidence> systems = Trades();
  // Cheapest, but slower and less accurate; and a fourth whose accuracy is open.
  systems.push_back(System("poor", 0.05, 0.5, 1000, 600));
  systems.back().usd_per_h = 0.2;
  Evidence open = System("open", 0.02, 3, 30, 26);
  // Of the problems 690 to 719 "tiny" solves ten, "fast" all.
  for (size_t i = 0; i < open.items.size(); ++i) open.items[i].id = fmt::format("p{}", 690 + i);
  open.usd_per_h = 3;
  systems.push_back(open);
  const Verdicts verdicts = Judge(systems);
  EXPECT_EQ(verdicts.systems[3].letters, "C");
  EXPECT_EQ(verdicts.systems[0].letters, "PA");
  EXPECT_EQ(verdicts.systems[4].letters, "A?");
}

TEST(Letters, AreNotSpokenOfWhereNothingIsDecided) {
  std::vector<Evidence> systems = Trades();
  for (Evidence& system : systems) {
    system.performance.by_repetition.resize(3);
    system.cost.by_repetition.resize(3);
    system.items.clear();
    system.accuracy = std::nullopt;
  }
  const Verdicts verdicts = Judge(systems);
  ASSERT_TRUE(verdicts.letters_apply);
  EXPECT_THAT(verdicts.headline, testing::Each(testing::Not(HasSubstr("Kept of"))));
}

TEST(Letters, DoNotApplyOnOneMachine) {
  std::vector<Evidence> systems = Trades();
  systems[2] = System("slow", 0.050, 1, 1000, 950);
  for (Evidence& system : systems) {
    system.usd_per_h = 2;
    system.cost = system.performance;
  }
  const Verdicts verdicts = Judge(systems);
  EXPECT_FALSE(verdicts.letters_apply);
  EXPECT_THAT(verdicts.systems, testing::Each(testing::Field(&SystemVerdict::letters, IsEmpty())));
  EXPECT_THAT(verdicts.letters_reason, HasSubstr("accuracy against speed"));
  EXPECT_THAT(verdicts.headline, Contains(verdicts.letters_reason));
  for (Evidence& system : systems) system.usd_per_h = std::nullopt;
  EXPECT_THAT(Judge(systems).letters_reason, HasSubstr("not known"));
}

TEST(Judge, SaysNothingOfOneSystemAlone) {
  const Verdicts verdicts = Judge(std::vector<Evidence>{Trades()[0]});
  EXPECT_THAT(verdicts.pairs, IsEmpty());
  EXPECT_FALSE(verdicts.letters_apply);
  EXPECT_EQ(verdicts.systems[0].domination, Domination::kNotJudged);
  EXPECT_THAT(verdicts.headline, ElementsAre("fast alone: there is nothing to compare it with."));
  EXPECT_THAT(Judge({}).headline, IsEmpty());
}

// A bad system in view changes nobody else's class: random trades, and one that a member of each dominates.
TEST(Letters, NeverDependOnABadSystem) {
  Rng rng(12);
  int added = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<Evidence> systems;
    for (int i = 0; i < 4; ++i) {
      systems.push_back(System(fmt::format("s{}{}", i, std::string(rng.Below(2), '+')), 0.01 * (1 + 2 * rng.Uniform()),
                               1 + 2 * rng.Uniform(), 600, static_cast<int>(300 + rng.Below(200))));
      systems.back().usd_per_h = 1 + static_cast<double>(i);
    }
    const Verdicts before = Judge(systems);
    const Evidence& model = systems[rng.Below(4)];
    Evidence bad = model;
    bad.label = "bad";
    for (auto& value : bad.performance.by_repetition) *value *= 1.3;
    *bad.performance.value *= 1.3;
    bad.usd_per_h = 40;
    systems.push_back(bad);
    const Verdicts after = Judge(systems);
    if (after.systems[4].domination != Domination::kDominated) continue;
    ++added;
    EXPECT_EQ(before.letters_apply, after.letters_apply);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(before.systems[i].letters, after.systems[i].letters) << "round " << round << ", " << i;
      EXPECT_EQ(before.systems[i].domination, after.systems[i].domination);
    }
  }
  EXPECT_GT(added, 30);
}

TEST(Front, CountsAsGoodAsEqual) {
  std::vector<Evidence> systems = Trades();
  systems.push_back(System("copy", 0.0101, 4.02, 1000, 900));
  const Verdicts verdicts = Judge(systems);
  EXPECT_THAT(FrontOf(verdicts, kJudgedDimensions), testing::Each(std::optional<bool>(true)));
  const Dimension plane[] = {Dimension::kPerformance, Dimension::kAccuracy};
  EXPECT_THAT(FrontOf(verdicts, plane), ElementsAre(true, false, false, true));
  systems[2].tripped = {"errors"};
  EXPECT_EQ(FrontOf(Judge(systems), plane)[2], std::nullopt);
}

// One machine, the same purchase price: that takes no sentence beside the speed that differs.
TEST(Headline, TheSameCostIsNoSentenceOfItsOwn) {
  std::vector<Evidence> systems = {System("Q4_0", 0.010, 1, 0, 0), System("F16", 0.0142, 1, 0, 0)};
  for (Evidence& system : systems) {
    system.cost = {.value = 1000, .by_repetition = {}, .exact = true};
    system.usd_per_h = 2;
  }
  Verdicts verdicts = Judge(systems);
  EXPECT_THAT(verdicts.headline[0], testing::MatchesRegex("Q4_0 is 1.42x faster than F16 \\(.*\\), at the same cost."));
  EXPECT_THAT(verdicts.headline, testing::Each(testing::Not(HasSubstr("within 5 %"))));
  systems[1].cost.value = 1040;
  EXPECT_THAT(Judge(systems).headline[0], HasSubstr(", at the same cost within 5 %"));
  systems.push_back(systems[0]);
  systems.back().label = "Q8_0";
  systems.back().performance = Around(0.012, kOther);
  systems[1].cost.value = 1000;
  EXPECT_THAT(Judge(systems).headline, testing::Each(testing::Not(HasSubstr("cheapest"))));
  systems[1].cost.value = 1040;
  EXPECT_THAT(Judge(systems).headline, Contains("cost: as good within 5 % in all."));
}

// At more clients a token takes longer and costs less: cost does not follow speed.
TEST(Letters, SayWhatIsTradedOnOneMachine) {
  std::vector<Evidence> systems = {System("at 1", 0.010, 1.5, 0, 0), System("at 16", 0.020, 1, 0, 0)};
  for (Evidence& system : systems) system.usd_per_h = 2;
  EXPECT_EQ(Judge(systems).letters_reason, "The machines of all systems cost the same, so no letters are given.");
  systems[1].cost = Around(3, kOther);
  systems[1].items = systems[0].items = {};
  for (int i = 0; i < 100; ++i) {
    systems[0].items.push_back({fmt::format("p{}", i), 0.0});
    systems[1].items.push_back({fmt::format("p{}", i), 1.0});
  }
  systems[0].accuracy = 0;
  systems[1].accuracy = 1;
  EXPECT_THAT(Judge(systems).letters_reason, HasSubstr("cost follows speed"));
}

TEST(Headline, RanksSeveral) {
  const Verdicts verdicts = Judge(Trades());
  EXPECT_THAT(verdicts.headline, Contains(AllOf(HasSubstr("fastest: "), HasSubstr("as good within the margin: tiny"))));
  EXPECT_THAT(verdicts.headline, Contains(HasSubstr("cheapest: ")));
  EXPECT_THAT(verdicts.headline, Contains(HasSubstr("most accurate: ")));
  EXPECT_LE(verdicts.headline.size(), 10u);
}

}  // namespace
}  // namespace moecap::cap
