#include "hardware/energy_reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hardware/json_fields.h"

namespace moecap::hardware {
namespace {

void Append(std::string& list, const std::string& name) { list += (list.empty() ? "" : ", ") + name; }

void Count(const std::string& name, std::optional<double> joules, CountedEnergy& energy) {
  if (!joules) return Append(energy.missing, name);
  energy.joules = energy.joules.value_or(0) + *joules;
  Append(energy.counted, name);
}

std::optional<double> Minus(std::optional<double> end, std::optional<double> begin) {
  return end && begin ? std::optional(*end - *begin) : std::nullopt;
}

}  // namespace

CountedEnergy EnergyOf(const EnergyReading& reading, const UsedDevices& used) {
  CountedEnergy energy;
  if (used.cpu) {
    Count("processor", reading.cpu_j, energy);
    if (reading.dram_j) Count("memory", reading.dram_j, energy);
  }
  bool all_gpus = !used.gpus.empty();
  double gpus_j = 0;
  for (const int gpu : used.gpus) {
    const bool known = gpu >= 0 && static_cast<size_t>(gpu) < reading.gpus_j.size();
    const std::optional<double> joules = known ? reading.gpus_j[static_cast<size_t>(gpu)] : std::nullopt;
    Count(fmt::format("GPU {}", gpu), joules, energy);
    all_gpus = all_gpus && joules;
    gpus_j += joules.value_or(0);
  }
  if (all_gpus) energy.gpus_j = gpus_j;
  return energy;
}

EnergyReading Difference(const EnergyReading& begin, const EnergyReading& end) {
  EnergyReading difference{Minus(end.cpu_j, begin.cpu_j), Minus(end.dram_j, begin.dram_j), {}};
  for (size_t i = 0; i < std::min(begin.gpus_j.size(), end.gpus_j.size()); ++i)
    difference.gpus_j.push_back(Minus(end.gpus_j[i], begin.gpus_j[i]));
  return difference;
}

Json ToJson(const EnergyReading& reading) {
  Json gpus = Json::array();
  for (const auto& joules : reading.gpus_j) gpus.push_back(OrNull(joules));
  return {{"cpu_j", OrNull(reading.cpu_j)}, {"dram_j", OrNull(reading.dram_j)}, {"gpus_j", std::move(gpus)}};
}

Result<EnergyReading> EnergyReadingFromJson(const Json& json) {
  if (!json.is_object()) return BadInput("an energy reading is a JSON object");
  EnergyReading reading;
  RETURN_IF_ERROR(Read(json, "cpu_j", reading.cpu_j));
  RETURN_IF_ERROR(Read(json, "dram_j", reading.dram_j));
  const auto gpus = json.find("gpus_j");
  if (gpus == json.end() || !gpus->is_array()) return BadInput("the key 'gpus_j' is not a list");
  for (const Json& joules : *gpus) {
    if (!joules.is_null() && !joules.is_number()) return BadInput("the key 'gpus_j' holds an entry that is no number");
    reading.gpus_j.push_back(joules.is_null() ? std::nullopt : std::optional(joules.get<double>()));
  }
  return reading;
}

}  // namespace moecap::hardware
