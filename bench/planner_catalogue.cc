#include "planner_catalogue.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fs.h"
#include "base/json.h"

namespace moecap::bench {
namespace {

double Rounded(double value) { return std::strtod(fmt::format("{:.3g}", value).c_str(), nullptr); }

// Into an entry of the catalogue. Error: a number that there is none of, as of a band of fewer than nine deployments.
Status Put(Json& entry, const std::string& name, const char* key, double value) {
  if (!std::isfinite(value)) return BadInput(fmt::format("{}.{}: nothing to write; fewer than nine deployments?", name, key));
  entry[key] = Rounded(value);
  return {};
}

}  // namespace

Status WriteMultipliers(const std::string& path, const planner::Multipliers& fitted, const Bands& bands,
                        const DefaultLaunch& launch, size_t rows) {
  ASSIGN_OR_RETURN(Json document, ParseJson(planner::BuiltinMultipliersText()));
  for (const auto& [name, band] : {std::pair("calibrated", bands.calibrated), std::pair("sibling", bands.sibling),
                                   std::pair("wide", bands.wide), std::pair("ttft", bands.ttft)}) {
    RETURN_IF_ERROR(Put(document["bands"][name], name, "low", band.low));
    RETURN_IF_ERROR(Put(document["bands"][name], name, "high", band.high));
  }
  Json& untuned = document["launches"]["default"];
  for (const auto& [key, value] :
       {std::pair("tpot_low", launch.effect.tpot.low), std::pair("tpot_time", launch.effect.tpot_time),
        std::pair("tpot_high", launch.effect.tpot.high), std::pair("ttft_low", launch.effect.ttft.low),
        std::pair("ttft_time", launch.effect.ttft_time), std::pair("ttft_high", launch.effect.ttft.high)})
    RETURN_IF_ERROR(Put(untuned, "launches.default", key, value));
  untuned["rows"] = launch.rows;
  untuned["deployments"] = launch.deployments;
  std::string text = "{\n";
  text += fmt::format("  \"about\": {},\n  \"schema\": 1,\n  \"multipliers\": [\n", document["about"].dump());
  bool first = true;
  for (Json& entry : document["multipliers"]) {
    const planner::Multiplier& value = *fitted.Find(entry["key"].get<std::string>());
    if (value.rows > 0) {
      entry["value"] = std::strtod(fmt::format("{:.4g}", value.value).c_str(), nullptr);
      entry["rows"] = value.rows;
      entry["source"] = fmt::format("fit to {} rows of aiconfigurator's silicon_sample.csv (Apache-2.0), 2026-04", rows);
    }
    text += (first ? "    " : ",\n    ") + entry.dump();
    first = false;
  }
  text += "\n  ],\n";
  for (const char* section : {"generations", "launches", "bands"}) {
    text += fmt::format("  \"{}\": {{", section);
    first = true;
    for (const auto& [name, value] : document[section].items()) {
      text += fmt::format("{}\n    \"{}\": {}", first ? "" : ",", name, value.dump());
      first = false;
    }
    text += "\n  },\n";
  }
  text += fmt::format("  \"measured\": {}\n}}\n", document["measured"].dump());
  return WriteFileAtomically(path, text);
}

}  // namespace moecap::bench
