#include "cap/scenario.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "base/check.h"
#include "base/nearest_word.h"

namespace moecap::cap {
namespace {

constexpr Scenario kScenarios[] = {
    {"online", "many users at once, each waiting for an answer", FigureId::kUsdPerMillionTokens, FigureId::kTimePerToken,
     FigureId::kGoodput, LevelRule::kHighest},
    {"offline", "a batch of work, finished as soon as possible", FigureId::kUsdPerMillionTokens, FigureId::kOutputRate,
     std::nullopt, LevelRule::kHighest},
    {"single-user", "one user and the machine that must be bought", FigureId::kPurchase, FigureId::kTimePerToken, std::nullopt,
     LevelRule::kLowest},
    {"power-limited", "an energy budget instead of a price", FigureId::kJoulesPerToken, FigureId::kOutputRate, std::nullopt,
     LevelRule::kHighest},
    {"paper", "the axes of the MoE-CAP paper: purchase price and TPOT", FigureId::kPurchase, FigureId::kTpotMean, std::nullopt,
     LevelRule::kHighest},
};

}  // namespace

std::span<const Scenario> Scenarios() { return kScenarios; }

Result<Scenario> FindScenario(std::string_view name) {
  std::vector<std::string> names;
  for (const Scenario& scenario : kScenarios) {
    if (scenario.name == name) return scenario;
    names.emplace_back(scenario.name);
  }
  const std::string nearest = NearestWord(name, names);
  return BadInput(fmt::format("\"{}\" is no scenario; {}choose one of {}", name,
                              nearest.empty() ? "" : fmt::format("did you mean \"{}\"? ", nearest), fmt::join(names, ", ")));
}

View ResolveView(const ViewChoice& choice, bool has_objectives) {
  const auto scenario = FindScenario(choice.scenario.empty() ? kScenarios[0].name : choice.scenario);
  CHECK(scenario.ok());
  const FigureId performance =
      has_objectives ? scenario->performance_with_objectives.value_or(scenario->performance) : scenario->performance;
  return {std::string(scenario->name), choice.cost.value_or(scenario->cost), choice.performance.value_or(performance),
          choice.level, scenario->level};
}

}  // namespace moecap::cap
