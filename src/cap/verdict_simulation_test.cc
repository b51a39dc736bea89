// How often the judge errs, and how often it decides: simulated systems whose truth is known (figures in docs/cap.md).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "cap/verdict.h"
#include "stats/random_for_test.h"

namespace moecap::cap {
namespace {

using stats::kSimulationShare;
using stats::SimulationSlack;

struct Pair {
  double slower = 1;                             // time of the second / of the first
  double noise = 0.03;                           // of each repetition, beside what meets both
  double first_only = 0.03, second_only = 0.03;  // shares of problems that only one solves
  int repetitions = 5;
  int problems = 128;
  bool one_machine = true;  // cost is time x a rate
};

std::vector<Evidence> Draw(const Pair& truth, Rng& rng) {
  std::vector<Evidence> systems(2);
  systems[0].label = "first";
  systems[1].label = "second";
  for (Evidence& system : systems) system.experiment = "e";
  for (int r = 0; r < truth.repetitions; ++r) {
    const double minute = 0.2 * stats::Normal(rng);
    for (size_t s = 0; s < 2; ++s) {
      const double time = std::exp(minute + truth.noise * stats::SometimesSlow(rng)) * (s == 1 ? truth.slower : 1);
      const double rate = truth.one_machine ? 2 : 2 * std::exp(truth.noise * stats::Normal(rng));
      systems[s].performance.by_repetition.emplace_back(time);
      systems[s].cost.by_repetition.emplace_back(rate * time);
    }
  }
  for (int i = 0; i < truth.problems; ++i) {
    const double u = rng.Uniform();
    const bool first = u < truth.first_only || (u >= truth.first_only + truth.second_only && u < 0.8);
    const bool second = u >= truth.first_only && u < 0.8;
    systems[0].items.push_back({fmt::format("{}", i), first ? 1.0 : 0.0});
    systems[1].items.push_back({fmt::format("{}", i), second ? 1.0 : 0.0});
  }
  for (Evidence& system : systems) {
    system.performance.value = system.performance.by_repetition[0];
    system.cost.value = system.cost.by_repetition[0];
    double sum = 0;
    for (const ItemScore& item : system.items) sum += item.score;
    system.accuracy = sum / truth.problems;
  }
  return systems;
}

// The share of runs in which `holds` is true of the verdicts.
template <typename Predicate>
double ShareOf(const Pair& truth, int runs, Predicate holds) {
  Rng rng(static_cast<uint64_t>(truth.problems * 100 + truth.repetitions));
  int count = 0;
  for (int run = 0; run < runs; ++run) count += holds(Judge(Draw(truth, rng))) ? 1 : 0;
  const double share = static_cast<double>(count) / runs;
  fmt::print("{} repetitions, {} problems, noise {}: {:.2f} %\n", truth.repetitions, truth.problems, truth.noise, 100 * share);
  return share;
}

bool AnyDifference(const Verdicts& verdicts) {
  return std::ranges::any_of(verdicts.pairs[0].dimensions, [](const DimensionVerdict& verdict) {
    return verdict.outcome == Outcome::kBetter || verdict.outcome == Outcome::kWorse;
  });
}

TEST(Simulation, EqualSystemsAreRarelyCalledDifferent) {
  constexpr int kRuns = 1000 / kSimulationShare;
  for (const bool one_machine : {true, false}) {
    for (const int repetitions : {5, 20}) {
      for (const int problems : {128, 600}) {
        // With much noise the margin does not help: the tests alone must hold.
        const Pair truth{.noise = 0.15, .repetitions = repetitions, .problems = problems, .one_machine = one_machine};
        EXPECT_LE(ShareOf(truth, kRuns, AnyDifference), 0.05 + (kSimulationShare > 1 ? SimulationSlack(0.05, kRuns) : 0));
      }
    }
  }
}

TEST(Simulation, AMoreAccurateSystemIsHardlyEverCalledDominated) {
  constexpr int kRuns = 1000 / kSimulationShare;
  for (const int problems : {128, 300, 1319}) {
    // The second is slower, and three points better.
    const Pair truth{.slower = 1.4, .first_only = 0.015, .second_only = 0.045, .problems = problems};
    EXPECT_LE(ShareOf(truth, kRuns, [](const Verdicts& v) { return v.systems[1].domination == Domination::kDominated; }),
              0.025);
    // One point better, just at the margin: the hardest case.
    const Pair margin{.slower = 1.4, .first_only = 0.005, .second_only = 0.015, .problems = problems};
    EXPECT_LE(ShareOf(margin, kRuns, [](const Verdicts& v) { return v.systems[1].domination == Domination::kDominated; }),
              0.025 + SimulationSlack(0.025, kRuns));
  }
}

TEST(Simulation, EnoughDataDecides) {
  constexpr int kRuns = 200 / std::min(kSimulationShare, 4);
  const Pair equal{.noise = 0.01, .first_only = 0.001, .second_only = 0.001, .repetitions = 10, .problems = 1319};
  EXPECT_GE(ShareOf(equal, kRuns,
                    [](const Verdicts& v) {
                      return std::ranges::all_of(v.pairs[0].dimensions,
                                                 [](const auto& d) { return d.outcome == Outcome::kAsGood; });
                    }),
            0.8);
  const Pair dominated{.slower = 1.3, .noise = 0.02, .first_only = 0.004, .second_only = 0.002, .problems = 1319};
  EXPECT_GE(ShareOf(dominated, kRuns, [](const Verdicts& v) { return v.systems[1].domination == Domination::kDominated; }),
            0.8);
  const Pair different{.slower = 1.2, .noise = 0.03, .first_only = 0.02, .second_only = 0.06, .problems = 1319};
  EXPECT_GE(ShareOf(different, kRuns,
                    [](const Verdicts& v) {
                      const auto& pair = v.pairs[0].dimensions;
                      return pair[0].outcome == Outcome::kBetter && pair[2].outcome == Outcome::kWorse;
                    }),
            0.8);
}

}  // namespace
}  // namespace moecap::cap
