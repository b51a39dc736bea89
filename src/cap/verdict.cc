#include "cap/verdict.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "cap/headline.h"
#include "cap/pair_judge.h"
#include "cap/standing.h"

namespace moecap::cap {

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kBetter:
      return "better";
    case Outcome::kWorse:
      return "worse";
    case Outcome::kAsGood:
      return "as good";
    case Outcome::kUndecided:
      return "undecided";
    case Outcome::kNotJudged:
      return "not judged";
  }
  CHECK(false);
}

std::string_view DominationName(Domination domination) {
  switch (domination) {
    case Domination::kDominated:
      return "dominated";
    case Domination::kNotDominated:
      return "not dominated";
    case Domination::kUndecided:
      return "undecided";
    case Domination::kNotJudged:
      return "not judged";
  }
  CHECK(false);
}

Verdicts Judge(std::span<const Evidence> systems, const JudgeOptions& options) {
  Verdicts verdicts;
  std::set<std::string_view> labels;
  for (const Evidence& system : systems) {
    CHECK(labels.insert(system.label).second);
    verdicts.systems.push_back({.label = system.label});
  }
  for (const Dimension dimension : kJudgedDimensions) {
    const auto known = std::ranges::count_if(
        systems, [&](const Evidence& system) { return TakesPart(system, options) && FigureOf(system, dimension); });
    if (known >= 2) verdicts.dimensions.push_back(dimension);
  }
  verdicts.pairs = JudgePairs(systems, options);
  JudgeSystems(systems, options, verdicts);
  verdicts.headline = HeadlineOf(systems, options, verdicts);
  return verdicts;
}

DimensionVerdict Between(const Verdicts& verdicts, size_t first, size_t second, Dimension dimension) {
  const size_t n = verdicts.systems.size();
  const size_t low = std::min(first, second);
  const size_t high = std::max(first, second);
  CHECK(low < high && high < n);
  // Pairs lie row by row: (0,1), (0,2), ..., (1,2), ...
  const PairVerdict& pair = verdicts.pairs[low * n - low * (low + 1) / 2 + (high - low - 1)];
  CHECK(pair.first == low && pair.second == high);
  const auto found = std::ranges::find(pair.dimensions, dimension, &DimensionVerdict::dimension);
  CHECK(found != pair.dimensions.end());
  return first < second ? *found : Reversed(*found);
}

std::vector<std::optional<bool>> FrontOf(const Verdicts& verdicts, std::span<const Dimension> dimensions) {
  std::vector<std::optional<bool>> front;
  for (size_t self = 0; self < verdicts.systems.size(); ++self) {
    bool judged = false;
    bool dominated = false;
    for (size_t other = 0; other < verdicts.systems.size(); ++other) {
      if (other == self) continue;
      const Dominance dominance = DominatesIn(verdicts, other, self, dimensions);
      judged |= dominance != Dominance::kNotJudged;
      dominated |= dominance == Dominance::kYes;
    }
    front.push_back(judged ? std::optional<bool>(!dominated) : std::nullopt);
  }
  return front;
}

}  // namespace moecap::cap
