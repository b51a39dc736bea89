#include "cap/axis.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "base/nearest_word.h"
#include "cap/summary.h"

namespace moecap::cap {
namespace {

using Figure = std::optional<double>;

// The `value` functions of the table.
template <auto kField>
Figure OfCell(const HostSummary&, const SystemSummary&, const CellSummary& cell) {
  return cell.*kField;
}
template <auto kField>
Figure OfHost(const HostSummary& host, const SystemSummary&, const CellSummary&) {
  return host.*kField;
}
template <auto kField>
Figure MeanOf(const HostSummary&, const SystemSummary&, const CellSummary& cell) {
  return cell.*kField ? Figure((cell.*kField)->mean) : std::nullopt;
}
template <auto kField>
Figure OfDecode(const HostSummary&, const SystemSummary&, const CellSummary& cell) {
  return cell.utilization.decode.*kField;
}
Figure Memory(const HostSummary&, const SystemSummary& system, const CellSummary& cell) {
  return cell.kv_bytes_mean ? Figure(system.weight_bytes + *cell.kv_bytes_mean) : std::nullopt;
}

using Cell = CellSummary;
using Host = HostSummary;
using Phase = metrics::PhaseUtilization;
constexpr auto kCost = Dimension::kCost;
constexpr auto kPerformance = Dimension::kPerformance;

constexpr Axis kAxes[] = {
    {AxisId::kUsdPerMillionOutputTokens, "usd_per_million_output_tokens", "cost", "USD per 1M output tokens",
     "the output tokens' share of the bill, by node time of decode", kCost, false, true, 6,
     &OfCell<&Cell::usd_per_million_output_tokens>},
    {AxisId::kUsdPerMillionTokens, "usd_per_million_tokens", "cost of all tokens", "USD per 1M tokens",
     "the whole bill over input and output tokens", kCost, false, true, 6, &OfCell<&Cell::usd_per_million_tokens_all_in>},
    {AxisId::kPurchaseUsd, "purchase_usd", "purchase price", "USD", "the machine's price, of its parts with a known price",
     kCost, false, true, 4, &OfHost<&Host::purchase_usd>},
    {AxisId::kPowerW, "power_w", "power", "W", "at the wall under load", kCost, false, true, 4, &OfHost<&Host::power_w>},
    {AxisId::kJoulesPerOutputToken, "joules_per_output_token", "energy", "J per output token",
     "all energy laid on the output tokens", kCost, false, true, 6, &OfCell<&Cell::joules_per_output_token>},
    {AxisId::kAccuracy, "accuracy", "accuracy", "", "share of the problems answered correctly", Dimension::kAccuracy, true,
     false, 0, &OfCell<&Cell::accuracy>},
    {AxisId::kTpot, "tpot_s", "TPOT", "s", "time per output token after the first, mean over requests", kPerformance, false,
     true, 5, &MeanOf<&Cell::tpot_s>},
    {AxisId::kTtft, "ttft_s", "TTFT", "s", "time to the first token, mean over requests", kPerformance, false, true, 6,
     &MeanOf<&Cell::ttft_s>},
    {AxisId::kE2e, "e2e_s", "end-to-end time", "s", "from sending to the last token, mean over requests", kPerformance, false,
     true, 7, &MeanOf<&Cell::e2e_s>},
    {AxisId::kOutputTokensPerS, "output_tokens_per_s", "output throughput", "tokens/s",
     "output tokens of a repetition over its time, mean over repetitions", kPerformance, true, true, 6,
     &MeanOf<&Cell::output_tokens_per_s>},
    {AxisId::kRequestsPerS, "requests_per_s", "request throughput", "requests/s",
     "requests of a repetition over its time, mean over repetitions", kPerformance, true, true, 8,
     &MeanOf<&Cell::requests_per_s>},
    {AxisId::kGoodput, "goodput_requests_per_s", "goodput", "requests/s",
     "requests that kept every limit of the service level, per second", kPerformance, true, true, 8,
     &MeanOf<&Cell::goodput_requests_per_s>},
    {AxisId::kSMbu, "s_mbu", "S-MBU", "", "share of the peak bandwidth in decode, activated experts only", Dimension::kOther,
     true, false, 0, &OfDecode<&Phase::s_mbu>},
    {AxisId::kSMfu, "s_mfu", "S-MFU", "", "share of the peak FLOP/s in decode, activated experts only", Dimension::kOther, true,
     false, 0, &OfDecode<&Phase::s_mfu>},
    {AxisId::kMemoryBytes, "memory_bytes", "memory", "B", "weights, and the mean KV cache over decode passes",
     Dimension::kOther, false, true, 2, &Memory},
};
static_assert(std::size(kAxes) == kAxisCount);

constexpr Scenario kScenarios[] = {
    {"online", "many users at once, each waiting for tokens", AxisId::kUsdPerMillionOutputTokens, AxisId::kTpot,
     ConcurrencyRule::kHighest},
    {"offline", "a batch of work, finished as soon as possible", AxisId::kUsdPerMillionOutputTokens, AxisId::kOutputTokensPerS,
     ConcurrencyRule::kHighest},
    {"single-user", "one user and the machine that must be bought", AxisId::kPurchaseUsd, AxisId::kTpot,
     ConcurrencyRule::kLowest},
    {"power-limited", "a power budget instead of a price", AxisId::kPowerW, AxisId::kOutputTokensPerS,
     ConcurrencyRule::kHighest},
};

// "did you mean "X"? choose one of A, B, C"
std::string Remedy(std::string_view wrong, const std::vector<std::string>& known) {
  const std::string nearest = NearestWord(wrong, known);
  return fmt::format("{}choose one of {}", nearest.empty() ? "" : fmt::format("did you mean \"{}\"? ", nearest),
                     fmt::join(known, ", "));
}

}  // namespace

std::string_view DimensionName(Dimension dimension) {
  switch (dimension) {
    case Dimension::kPerformance:
      return "performance";
    case Dimension::kCost:
      return "cost";
    case Dimension::kAccuracy:
      return "accuracy";
    case Dimension::kOther:
      break;
  }
  return "other";
}

std::span<const Axis> Axes() { return kAxes; }

const Axis& AxisOf(AxisId id) {
  const Axis& axis = kAxes[static_cast<size_t>(id)];
  CHECK(axis.id == id);
  return axis;
}

Result<AxisId> FindAxis(std::string_view key, std::optional<Dimension> dimension) {
  std::vector<std::string> known;
  for (const Axis& axis : kAxes) {
    if (dimension && axis.dimension != *dimension) continue;
    if (axis.key == key) return axis.id;
    known.emplace_back(axis.key);
  }
  const std::string kind = dimension ? fmt::format("{} axis", DimensionName(*dimension)) : "axis";
  return BadInput(fmt::format("\"{}\" is no {}; {}", key, kind, Remedy(key, known)));
}

std::span<const Scenario> Scenarios() { return kScenarios; }

Result<Scenario> FindScenario(std::string_view name) {
  std::vector<std::string> known;
  for (const Scenario& scenario : kScenarios) {
    if (scenario.name == name) return scenario;
    known.emplace_back(scenario.name);
  }
  return BadInput(fmt::format("\"{}\" is no scenario; {}", name, Remedy(name, known)));
}

CapView ResolveView(const CapChoice& choice) {
  const auto found = FindScenario(choice.scenario.empty() ? kScenarios[0].name : choice.scenario);
  CHECK(found.ok());
  const Scenario scenario = *found;
  CapView view;
  view.scenario = scenario.name;
  view.cost = choice.cost.value_or(scenario.cost);
  view.performance = choice.performance.value_or(scenario.performance);
  view.concurrency = choice.concurrency;
  view.rule = scenario.concurrency;
  view.axes = {view.cost, AxisId::kAccuracy, view.performance};
  for (const AxisId axis : choice.more_axes) {
    if (std::find(view.axes.begin(), view.axes.end(), axis) == view.axes.end()) view.axes.push_back(axis);
  }
  return view;
}

}  // namespace moecap::cap
