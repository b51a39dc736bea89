// What is compared: a scenario picks the figures that stand for cost and performance, and the level at which systems meet.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cap/figures.h"

namespace moecap::cap {

enum class LevelRule : uint8_t { kHighest, kLowest };

struct Scenario {
  std::string_view name;     // "online"
  std::string_view meaning;  // one sentence
  FigureId cost, performance;
  std::optional<FigureId> performance_with_objectives;  // instead, where objectives were given
  LevelRule level;
};

// "online" (the first, the default), "offline", "single-user", "power-limited", "paper".
std::span<const Scenario> Scenarios();
// Error: kBadInput with the nearest name and those that there are.
Result<Scenario> FindScenario(std::string_view name);

// What the user asked for, in a configuration (key `cap`) or on a command line. Null or empty: as the scenario says.
struct ViewChoice {
  std::string scenario;
  std::optional<FigureId> cost, performance;
  std::optional<double> level;  // of those measured
};

struct View {
  std::string scenario;
  FigureId cost = FigureId::kUsdPerMillionTokens;
  FigureId performance = FigureId::kTimePerToken;
  std::optional<double> level;  // null: by `rule`, among the levels at which every system has a figure
  LevelRule rule = LevelRule::kHighest;
};

// `has_objectives`: whether goodput is known. Requires a scenario that FindScenario knows, or none.
View ResolveView(const ViewChoice& choice, bool has_objectives);

}  // namespace moecap::cap
