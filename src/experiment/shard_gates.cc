#include "experiment/shard_gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace moecap::experiment {
namespace {

using metrics::Gate;
using metrics::Judge;
using metrics::MakeGate;

// Of the measured time. The floors are what a busy machine's scheduler and a time daemon in a local network reach.
constexpr double kMostOutOfStep = 0.01;
constexpr double kLeastSkewS = 0.02;
constexpr double kLeastStallS = 0.1;

Gate AllShardsGate(const Measurement& measurement) {
  const auto whole = std::ranges::count(measurement.parts, "", &ShardPart::missing);
  std::string missing;
  for (const ShardPart& part : measurement.parts) {
    if (part.missing.empty()) continue;
    missing += (missing.empty() ? "" : "; ") + fmt::format("{}: {}", InWords({part.index, measurement.shards}), part.missing);
  }
  if (missing.empty()) missing = "the others are not here";
  return Judge(
      MakeGate(kAllShardsGate, measurement.shards, "shards", true), static_cast<double>(whole),
      fmt::format("a part of the load is missing, so that no figure is of the load that was meant ({}); make it again, or "
                  "join its shards with: moecap runs merge",
                  missing));
}

// The largest difference between two starts, with what their clocks may differ.
Gate SkewGate(const Measurement& measurement, double window_s) {
  const Gate gate = MakeGate("start skew of shards", std::max(kLeastSkewS, kMostOutOfStep * window_s), "s");
  const std::vector<ShardPart>& parts = measurement.parts;
  if (parts.size() < 2) return NotMeasured(gate, "one shard alone");
  std::optional<double> skew_s;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!parts[i].start_late_s || !parts[j].start_late_s) continue;
      const auto clocks_s = hardware::MostDifferenceOf(parts[i].clock, parts[j].clock);
      if (!clocks_s) {
        return NotMeasured(
            gate, fmt::format("how far the clocks of {} and {} differ is not known: no time daemon synchronises "
                              "them, and they share no folder",
                              InWords({parts[j].index, measurement.shards}), InWords({parts[i].index, measurement.shards})));
      }
      skew_s = std::max(skew_s.value_or(0), std::abs(*parts[i].start_late_s - *parts[j].start_late_s) + *clocks_s);
    }
  }
  return JudgeIfKnown(gate, skew_s,
                      "the shards did not begin together, so that the load was another one at first: synchronise their clocks, "
                      "give them a core each, or measure longer",
                      "no two shards began");
}

Gate StallGate(const Measurement& measurement, double window_s) {
  const Gate gate = MakeGate("longest stall of a shard", std::max(kLeastStallS, kMostOutOfStep * window_s), "s");
  const ShardPart* worst = nullptr;
  for (const ShardPart& part : measurement.parts) {
    if (part.longest_stall_s && (worst == nullptr || *part.longest_stall_s > *worst->longest_stall_s)) worst = &part;
  }
  if (worst == nullptr) return NotMeasured(gate, "no shard ended");
  return Judge(gate, *worst->longest_stall_s,
               fmt::format("{} was paused or got no CPU, and its part of the load was missing meanwhile: see what its machine "
                           "did, and measure again",
                           InWords({worst->index, measurement.shards})));
}

}  // namespace

std::vector<Gate> JudgeShards(const Measurement& measurement, double window_s) {
  if (measurement.shards == 0) return {};
  return {AllShardsGate(measurement), SkewGate(measurement, window_s), StallGate(measurement, window_s)};
}

std::vector<hardware::MachineUse> ClientMachines(const Measurement& measurement) {
  if (measurement.machine_use) return {*measurement.machine_use};
  std::map<std::string, hardware::MachineUse> machines;
  for (const ShardPart& part : measurement.parts) {
    if (!part.machine_use) continue;
    const std::string machine = part.clock.boot_id.empty() ? std::to_string(part.index) : part.clock.boot_id;
    const auto [entry, is_first] = machines.emplace(machine, *part.machine_use);
    if (is_first) continue;
    hardware::MachineUse& use = entry->second;
    use.cpu_s += part.machine_use->cpu_s;
    if (use.others_cpu_s) use.others_cpu_s = std::max(0.0, *use.others_cpu_s - part.machine_use->cpu_s);
    use.involuntary_switches = use.involuntary_switches && part.machine_use->involuntary_switches
                                   ? std::optional(*use.involuntary_switches + *part.machine_use->involuntary_switches)
                                   : std::nullopt;
  }
  std::vector<hardware::MachineUse> uses;
  for (auto& [machine, use] : machines) uses.push_back(std::move(use));
  return uses;
}

}  // namespace moecap::experiment
