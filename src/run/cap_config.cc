#include "run/cap_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace moecap::run {
namespace {

using cap::AxisId;
using cap::Dimension;

std::optional<AxisId> ReadAxis(YamlMap& map, const char* key, Dimension dimension) {
  const auto name = map.String(key);
  if (!name) return std::nullopt;
  const auto axis = cap::FindAxis(*name, dimension);
  if (axis.ok()) return *axis;
  map.Complain(key, axis.error().message);
  return std::nullopt;
}

std::vector<AxisId> ReadAxes(const YamlNode& node, YamlErrors& errors) {
  std::vector<AxisId> axes;
  if (node.kind != YamlNode::Kind::kList) errors.Add(node.line, "\"axes\" must be a list of axes, e.g. [s_mbu, ttft_s]");
  for (const YamlNode& item : node.items) {
    const auto axis = cap::FindAxis(item.scalar);
    if (axis.ok()) {
      axes.push_back(*axis);
    } else {
      errors.Add(item.line, axis.error().message);
    }
  }
  return axes;
}

cap::ServiceLevel ReadServiceLevel(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "service_level", errors);
  const auto read = [&](const char* key) {
    const auto limit = map.Number(key);
    if (limit && !(*limit > 0)) map.Complain(key, fmt::format("\"{}\" must be above 0", key));
    return limit;
  };
  const cap::ServiceLevel level{read("ttft_s"), read("tpot_s"), read("e2e_s")};
  map.RefuseUnknownKeys();
  return level;
}

}  // namespace

CapConfig ReadCap(const YamlNode& node, std::span<const int> measured, YamlErrors& errors) {
  YamlMap map(node, "cap", errors);
  CapConfig config;
  if (const auto name = map.String("scenario")) {
    const auto scenario = cap::FindScenario(*name);
    if (scenario.ok()) {
      config.choice.scenario = *name;
    } else {
      map.Complain("scenario", scenario.error().message);
    }
  }
  config.choice.cost = ReadAxis(map, "cost", Dimension::kCost);
  config.choice.performance = ReadAxis(map, "performance", Dimension::kPerformance);
  if (const auto concurrency = map.Integer("concurrency", 1, 256)) {
    config.choice.concurrency = static_cast<int>(*concurrency);
    if (std::count(measured.begin(), measured.end(), *concurrency) == 0) {
      map.Complain("concurrency", fmt::format("cap: concurrency {} is not measured; choose one of {}", *concurrency,
                                              fmt::join(measured, ", ")));
    }
  }
  if (const YamlNode* axes = map.Child("axes")) config.choice.more_axes = ReadAxes(*axes, errors);
  if (const YamlNode* level = map.Child("service_level")) config.service_level = ReadServiceLevel(*level, errors);
  const auto& axes = cap::ResolveView(config.choice).axes;
  if (std::count(axes.begin(), axes.end(), AxisId::kGoodput) != 0 && config.service_level.empty()) {
    errors.Add(map.line(), "cap: goodput needs limits to keep; give service_level: {ttft_s: 0.5, tpot_s: 0.05} or the like");
  }
  map.RefuseUnknownKeys();
  return config;
}

Json ToJson(const CapConfig& config) {
  Json json = Json::object();
  const cap::CapChoice& choice = config.choice;
  if (!choice.scenario.empty()) json["scenario"] = choice.scenario;
  if (choice.cost) json["cost"] = cap::AxisOf(*choice.cost).key;
  if (choice.performance) json["performance"] = cap::AxisOf(*choice.performance).key;
  if (choice.concurrency) json["concurrency"] = *choice.concurrency;
  for (const AxisId axis : choice.more_axes) json["axes"].push_back(cap::AxisOf(axis).key);
  const cap::ServiceLevel& level = config.service_level;
  if (level.ttft_s) json["service_level"]["ttft_s"] = *level.ttft_s;
  if (level.tpot_s) json["service_level"]["tpot_s"] = *level.tpot_s;
  if (level.e2e_s) json["service_level"]["e2e_s"] = *level.e2e_s;
  return json;
}

Result<CapConfig> CapConfigFromJson(const Json& json, std::span<const int> measured) {
  // JSON is YAML, so that the keys have one reader.
  ASSIGN_OR_RETURN(const YamlNode node, ParseYaml(DumpJson(json), "the stored key cap"));
  YamlErrors errors("the stored key cap");
  CapConfig config = ReadCap(node, measured, errors);
  if (!errors.empty()) return errors.first();
  return config;
}

}  // namespace moecap::run
