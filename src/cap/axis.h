// The axes on which systems are compared, and the scenarios that pick them. One table; everything that names an axis reads it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cap/dimension.h"

namespace moecap::cap {

struct CellSummary;
struct HostSummary;
struct SystemSummary;

enum class AxisId {
  kUsdPerMillionOutputTokens,
  kUsdPerMillionTokens,
  kPurchaseUsd,
  kPowerW,
  kJoulesPerOutputToken,
  kAccuracy,
  kTpot,
  kTtft,
  kE2e,
  kOutputTokensPerS,
  kRequestsPerS,
  kGoodput,
  kSMbu,
  kSMfu,
  kMemoryBytes,
};
inline constexpr size_t kAxisCount = static_cast<size_t>(AxisId::kMemoryBytes) + 1;

struct Axis {
  AxisId id;
  std::string_view key;         // as in configs, flags and JSON; ends in its unit: "tpot_s"
  std::string_view name;        // "TPOT"
  std::string_view unit;        // "s", "USD per 1M output tokens"; empty for a fraction of 1
  std::string_view definition;  // one sentence
  Dimension dimension;
  bool higher_is_better;
  // The robust score (robust_score.h): on a log scale, 0 points `decades` powers of ten away from the limit; or 100 x the
  // fraction (decades 0).
  bool log_scale;
  double decades;
  // The figure of one system at one concurrency. Null: not measured or not known.
  std::optional<double> (*value)(const HostSummary& host, const SystemSummary& system, const CellSummary& cell);
};

// Indexed by AxisId.
std::span<const Axis> Axes();
const Axis& AxisOf(AxisId id);

// By key. Error: kBadInput with the nearest key and those that there are. With `dimension`, an axis of another one is refused.
Result<AxisId> FindAxis(std::string_view key, std::optional<Dimension> dimension = std::nullopt);

// What a scenario takes from the runs that it compares.
enum class ConcurrencyRule { kHighest, kLowest };

struct Scenario {
  std::string_view name;     // "online"
  std::string_view meaning;  // one sentence
  AxisId cost, performance;
  ConcurrencyRule concurrency;
};

// "online" (the first, the default), "offline", "single-user", "power-limited".
std::span<const Scenario> Scenarios();
Result<Scenario> FindScenario(std::string_view name);

// What the user asked for, in a run's configuration (key `cap`) or on a command line. Null or empty: as the scenario says.
struct CapChoice {
  std::string scenario;
  std::optional<AxisId> cost, performance;
  std::optional<int> concurrency;
  std::vector<AxisId> more_axes;
};

// A choice with every blank filled in.
struct CapView {
  std::string scenario;
  AxisId cost = AxisId::kUsdPerMillionOutputTokens;
  AxisId performance = AxisId::kTpot;
  std::optional<int> concurrency;  // null: by `rule` from what was measured
  ConcurrencyRule rule = ConcurrencyRule::kHighest;
  std::vector<AxisId> axes;  // cost, accuracy, performance, then the further ones, each once
};

// Requires a scenario that FindScenario knows, or none.
CapView ResolveView(const CapChoice& choice);

// What was promised to users; a request that keeps every limit that is set counts into the goodput.
struct ServiceLevel {
  std::optional<double> ttft_s, tpot_s, e2e_s;
  bool empty() const { return !ttft_s && !tpot_s && !e2e_s; }
};

}  // namespace moecap::cap
