// The YAML description of a machine (docs/cost.md): its parts, how it is paid for, and what work it does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/yaml.h"
#include "cost/machine.h"
#include "cost/tokens.h"

namespace moecap::cost {

// What one machine of a pool does each second of useful time, and how many machines the pool has (a mean over time need not be
// whole). Null = not known.
struct PoolRates {
  std::string name;
  double machines = 1;
  double input_tokens_per_s = 0;   // computed, without those served from a prefix cache
  double cached_tokens_per_s = 0;  // input tokens served from a prefix cache
  double output_tokens_per_s = 0;
  double requests_per_s = 0;
  // Shares of the busy time; a pool that makes only one kind of token needs none of them.
  std::optional<double> prefill_share;
  std::optional<double> cached_share;
  double cache_storage_fraction = 0;  // NodeWork
};

struct MachineFile {
  MachineSpec machine;
  std::vector<PoolRates> pools;
};

// Errors: kBadInput with `file`, line, key and the nearest known key or the accepted values. The devices are not looked up.
Result<MachineFile> ParseMachineFile(std::string_view text, const std::string& file);

// The mapping of a machine inside another file.
MachineSpec ReadMachine(const YamlNode& node, YamlErrors& errors);

// The same keys as the YAML.
Json ToJson(const MachineSpec& machine);

// Errors: kBadInput naming the pool and the value: negative, a share above 1, shares that sum above 1, no machines.
Status CheckRates(const PoolRates& rates);

// An hour of the pool, at `usd_per_machine_h` for a useful hour of one machine. Requires CheckRates. Without a prefill share the
// division is known only where one kind of token, input or output, is made.
Pool HourOf(const PoolRates& rates, double usd_per_machine_h);

// The cost inputs of a mapping with the keys of CostInputKeys(); other keys are left to the caller.
std::map<std::string, double> ReadCostInputs(YamlMap& map);

}  // namespace moecap::cost
