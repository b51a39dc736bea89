#include "cost/machine_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/units.h"

namespace moecap::cost {
namespace {

constexpr int64_t kMostDevices = 1000000;

std::vector<MachinePart> ReadParts(YamlMap& map, const char* key, YamlErrors& errors) {
  const YamlNode* list = map.Child(key);
  if (list == nullptr) return {};
  if (list->kind != YamlNode::Kind::kList) {
    errors.Add(list->line, fmt::format("\"{}\" must be a list, e.g. [{{id: h100-sxm, count: 8}}]", key));
    return {};
  }
  std::vector<MachinePart> parts;
  for (const YamlNode& item : list->items) {
    YamlMap part(item, fmt::format("an entry of {}", key), errors);
    MachinePart read;
    if (const auto id = part.String("id")) {
      read.id = *id;
    } else {
      errors.Add(item.line, fmt::format("\"id\" is missing in an entry of {}; moecap hardware lists the devices", key));
    }
    read.count = part.Integer("count", 1, kMostDevices).value_or(1);
    part.RefuseUnknownKeys();
    parts.push_back(std::move(read));
  }
  return parts;
}

// A number that the cost input of the same name allows.
std::optional<double> ReadInput(YamlMap& map, const std::string& key) {
  const auto value = map.Number(key);
  if (!value) return std::nullopt;
  CostInputs unused;
  if (const Status valid = SetCostInput(unused, key, {*value, "", ""}); !valid.ok()) map.Complain(key, valid.error().message);
  return value;
}

PoolRates ReadPool(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "an entry of work", errors);
  PoolRates rates;
  rates.name = map.String("name").value_or("");
  rates.machines = map.Number("machines").value_or(1);
  rates.input_tokens_per_s = map.Number("input_tokens_per_s").value_or(0);
  rates.cached_tokens_per_s = map.Number("cached_tokens_per_s").value_or(0);
  rates.output_tokens_per_s = map.Number("output_tokens_per_s").value_or(0);
  rates.requests_per_s = map.Number("requests_per_s").value_or(0);
  rates.prefill_share = map.Number("prefill_share");
  rates.cached_share = map.Number("cached_share");
  rates.cache_storage_fraction = map.Number("cache_storage_fraction").value_or(0);
  map.RefuseUnknownKeys();
  if (const Status valid = CheckRates(rates); !valid.ok()) errors.Add(node.line, valid.error());
  return rates;
}

// Reads the keys of a machine; the caller adds its own and refuses the rest.
MachineSpec ReadMachineKeys(YamlMap& map, YamlErrors& errors) {
  MachineSpec machine;
  machine.name = map.String("name").value_or("machine");
  machine.nodes = map.Integer("nodes", 1, kMostDevices).value_or(1);
  machine.accelerators = ReadParts(map, "accelerators", errors);
  machine.processors = ReadParts(map, "processors", errors);
  machine.dram_gib = ReadInput(map, "dram_gib");
  if (const auto kind = map.Choice("dram", {"server", "desktop"}))
    machine.dram = *kind == 0 ? DramKind::kServer : DramKind::kDesktop;
  machine.ssd_gb = ReadInput(map, "ssd_gb");
  machine.network_usd = ReadInput(map, "network_usd");
  if (const auto pay = map.Choice("pay", {"buy", "rent"})) machine.pay = *pay == 0 ? Pay::kBuy : Pay::kRent;
  if (const YamlNode* given = map.Child("cost")) {
    YamlMap inputs(*given, "cost", errors);
    machine.given = ReadCostInputs(inputs);
    inputs.RefuseUnknownKeys();
  }
  if (machine.accelerators.empty() && machine.processors.empty())
    errors.Add(map.line(), fmt::format("{} has neither accelerators nor processors", map.where()));
  return machine;
}

Json ToJson(const std::vector<MachinePart>& parts) {
  Json list = Json::array();
  for (const MachinePart& part : parts) list.push_back({{"id", part.id}, {"count", part.count}});
  return list;
}

}  // namespace

std::map<std::string, double> ReadCostInputs(YamlMap& map) {
  std::map<std::string, double> given;
  for (const std::string& key : CostInputKeys()) {
    if (const auto value = ReadInput(map, key)) given[key] = *value;
  }
  return given;
}

MachineSpec ReadMachine(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "machine", errors);
  MachineSpec machine = ReadMachineKeys(map, errors);
  map.RefuseUnknownKeys();
  return machine;
}

Result<MachineFile> ParseMachineFile(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  YamlErrors errors(file);
  MachineFile result;
  YamlMap map(root, "the machine", errors);
  result.machine = ReadMachineKeys(map, errors);
  if (const YamlNode* work = map.Child("work")) {
    if (work->kind != YamlNode::Kind::kList || work->items.empty()) {
      errors.Add(work->line, "\"work\" must be a list of pools, e.g. [{output_tokens_per_s: 2000}]");
    } else {
      for (const YamlNode& pool : work->items) result.pools.push_back(ReadPool(pool, errors));
    }
  }
  map.RefuseUnknownKeys();
  if (!errors.empty()) return errors.first();
  return result;
}

Json ToJson(const MachineSpec& machine) {
  Json json = {{"name", machine.name}, {"nodes", machine.nodes}};
  if (!machine.accelerators.empty()) json["accelerators"] = ToJson(machine.accelerators);
  if (!machine.processors.empty()) json["processors"] = ToJson(machine.processors);
  if (machine.dram_gib) json["dram_gib"] = *machine.dram_gib;
  if (machine.dram) json["dram"] = *machine.dram == DramKind::kServer ? "server" : "desktop";
  if (machine.ssd_gb) json["ssd_gb"] = *machine.ssd_gb;
  if (machine.network_usd) json["network_usd"] = *machine.network_usd;
  if (machine.pay) json["pay"] = Name(*machine.pay);
  if (!machine.given.empty()) json["cost"] = machine.given;
  return json;
}

Status CheckRates(const PoolRates& rates) {
  const std::pair<const char*, double> amounts[] = {{"machines", rates.machines},
                                                    {"input_tokens_per_s", rates.input_tokens_per_s},
                                                    {"cached_tokens_per_s", rates.cached_tokens_per_s},
                                                    {"output_tokens_per_s", rates.output_tokens_per_s},
                                                    {"requests_per_s", rates.requests_per_s},
                                                    {"prefill_share", rates.prefill_share.value_or(0)},
                                                    {"cached_share", rates.cached_share.value_or(0)},
                                                    {"cache_storage_fraction", rates.cache_storage_fraction}};
  for (const auto& [key, value] : amounts) {
    if (value < 0) return BadInput(fmt::format("\"{}\" is {:g}; it cannot be negative", key, value));
  }
  if (rates.machines == 0) return BadInput("\"machines\" is 0; a pool has some");
  if (rates.cache_storage_fraction > 1) return BadInput("\"cache_storage_fraction\" is above 1; it is a share of the bill");
  if (rates.prefill_share.value_or(0) + rates.cached_share.value_or(0) > 1)
    return BadInput("\"prefill_share\" and \"cached_share\" sum to more than 1; they are shares of the busy time");
  if (rates.cached_share && rates.cached_tokens_per_s == 0)
    return BadInput("\"cached_share\" needs \"cached_tokens_per_s\": without cached tokens nothing takes that time");
  if (rates.input_tokens_per_s + rates.cached_tokens_per_s + rates.output_tokens_per_s + rates.requests_per_s == 0)
    return BadInput("no work: give input_tokens_per_s, output_tokens_per_s or requests_per_s");
  return {};
}

Pool HourOf(const PoolRates& rates, double usd_per_machine_h) {
  Pool pool{rates.name, usd_per_machine_h, {}};
  NodeWork& work = pool.work;
  work.node_s = rates.machines * kSecondsPerHour;
  work.input_tokens = rates.input_tokens_per_s * work.node_s;
  work.cached_tokens = rates.cached_tokens_per_s * work.node_s;
  work.output_tokens = rates.output_tokens_per_s * work.node_s;
  work.requests = rates.requests_per_s * work.node_s;
  work.cache_storage_fraction = rates.cache_storage_fraction;
  const double cached_share = rates.cached_share.value_or(0);
  if (rates.cached_share) work.cached_s = cached_share * work.node_s;
  std::optional<double> prefill_share = rates.prefill_share;
  if (!prefill_share && work.input_tokens > 0 && work.output_tokens == 0) prefill_share = 1 - cached_share;
  if (!prefill_share && work.output_tokens > 0 && work.input_tokens == 0) prefill_share = 0;
  if (!prefill_share) return pool;
  work.prefill_s = *prefill_share * work.node_s;
  work.decode_s = (1 - *prefill_share - cached_share) * work.node_s;
  return pool;
}

}  // namespace moecap::cost
