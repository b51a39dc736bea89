#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/nearest_word.h"
#include "cost/ownership.h"

namespace moecap::cost {
namespace {

struct Field {
  std::string_view key;
  std::string_view words;
  std::string_view unit;
  std::optional<Input> CostInputs::*input;
  double min;
  double max;
  bool saves = false;  // more of it makes an hour cheaper
};

constexpr double kNoLimit = std::numeric_limits<double>::infinity();
constexpr double kAlmostZero = 1e-9;

constexpr std::array kFields = {
    Field{"accelerators_usd", "accelerators", "USD", &CostInputs::accelerators_usd, 0, kNoLimit},
    Field{"cpu_usd", "processors", "USD", &CostInputs::cpu_usd, 0, kNoLimit},
    Field{"board_usd", "board, chassis and power supply", "USD", &CostInputs::board_usd, 0, kNoLimit},
    Field{"network_usd", "network", "USD", &CostInputs::network_usd, 0, kNoLimit},
    Field{"dram_gib", "DRAM", "GiB", &CostInputs::dram_gib, 0, kNoLimit},
    Field{"dram_usd_per_gib", "DRAM price", "USD/GiB", &CostInputs::dram_usd_per_gib, 0, kNoLimit},
    Field{"ssd_gb", "SSD", "GB", &CostInputs::ssd_gb, 0, kNoLimit},
    Field{"ssd_usd_per_gb", "SSD price", "USD/GB", &CostInputs::ssd_usd_per_gb, 0, kNoLimit},
    Field{"life_years", "life", "years", &CostInputs::life_years, kAlmostZero, 100, true},
    Field{"discount_rate", "discount rate", "a year", &CostInputs::discount_rate, 0, 10},
    Field{"residual_fraction", "residual value", "of the price", &CostInputs::residual_fraction, 0, 1, true},
    Field{"opex_fraction_per_year", "operation", "of the price a year", &CostInputs::opex_fraction_per_year, 0, 10},
    Field{"utilisation", "utilisation", "of all hours", &CostInputs::utilisation, kAlmostZero, 1, true},
    Field{"colocation_usd_per_month", "colocation", "USD/month", &CostInputs::colocation_usd_per_month, 0, kNoLimit},
    Field{"rent_usd_per_h", "rent", "USD/h", &CostInputs::rent_usd_per_h, 0, kNoLimit},
    Field{"rent_extra_fraction", "extras on the rent", "of the rate", &CostInputs::rent_extra_fraction, 0, 100},
    Field{"measured_power_w", "power under load, measured", "W", &CostInputs::measured_power_w, 0, kNoLimit},
    Field{"all_in_w", "power under load with the building's share", "W", &CostInputs::all_in_w, 0, kNoLimit},
    Field{"nameplate_w", "nameplate power", "W", &CostInputs::nameplate_w, 0, kNoLimit},
    Field{"accelerators_w", "accelerators' part of the nameplate", "W", &CostInputs::accelerators_w, 0, kNoLimit},
    Field{"metered_accelerators_w", "power of the accelerators, metered", "W", &CostInputs::metered_accelerators_w, 0,
          kNoLimit},
    Field{"load_factor", "power under load", "of the nameplate", &CostInputs::load_factor, 0, 2},
    Field{"wall_factor", "power at the wall", "x the chips' power", &CostInputs::wall_factor, 1, 10},
    Field{"duty", "mean power over all hours", "of the power under load", &CostInputs::duty, 0, 1},
    Field{"pue", "energy of the building (PUE)", "x the machine's", &CostInputs::pue, 1, 10},
    Field{"energy_usd_per_kwh", "energy price", "USD/kWh", &CostInputs::energy_usd_per_kwh, 0, kNoLimit},
    Field{"grid_kg_co2_per_kwh", "CO2 of the grid", "kg/kWh", &CostInputs::grid_kg_co2_per_kwh, 0, 10}};

// Four digits tell all that a price knows, and 1.35 stays 1.35.
std::string Amount(double value) { return value >= 10000 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value); }

Status CheckRange(const Field& field, double value) {
  if (std::isfinite(value) && value >= field.min && value <= field.max) return {};
  const std::string low = field.min == kAlmostZero ? "above 0" : fmt::format("at least {:g}", field.min);
  const std::string high = std::isfinite(field.max) ? fmt::format(" and at most {:g}", field.max) : "";
  return BadInput(fmt::format("the cost input '{}' is {:g}; it must be {}{} ({})", field.key, value, low, high, field.unit));
}

}  // namespace

std::vector<std::string> CostInputKeys() {
  std::vector<std::string> keys;
  for (const Field& field : kFields) keys.emplace_back(field.key);
  return keys;
}

Status SetCostInput(CostInputs& inputs, std::string_view key, Input input) {
  for (const Field& field : kFields) {
    if (field.key != key) continue;
    for (const std::optional<double>& value : {std::optional(input.value), input.low, input.high}) {
      if (value) RETURN_IF_ERROR(CheckRange(field, *value));
    }
    inputs.*field.input = std::move(input);
    return {};
  }
  const std::vector<std::string> keys = CostInputKeys();
  const std::string near = NearestWord(key, keys);
  return BadInput(fmt::format("unknown cost input '{}'{}; known are {}", key,
                              near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(keys, ", ")));
}

const std::optional<Input>& GetCostInput(const CostInputs& inputs, std::string_view key) {
  for (const Field& field : kFields) {
    if (field.key == key) return inputs.*field.input;
  }
  CHECK(false);
}

CostInputs AtBound(const CostInputs& inputs, Bound bound) {
  CostInputs result = inputs;
  if (bound == Bound::kTypical) return result;
  for (const Field& field : kFields) {
    auto& input = result.*field.input;
    if (!input) continue;
    const auto& end = (bound == Bound::kHigh) != field.saves ? input->high : input->low;
    input->value = end.value_or(input->value);
  }
  return result;
}

bool HasBounds(const CostInputs& inputs) {
  return std::any_of(kFields.begin(), kFields.end(), [&](const Field& field) {
    const auto& input = inputs.*field.input;
    return input && (input->low || input->high);
  });
}

std::vector<std::string> DescribeInputs(const CostInputs& inputs) {
  std::vector<std::string> lines;
  for (const Field& field : kFields) {
    const auto& input = inputs.*field.input;
    if (!input) continue;
    std::string range;
    if (input->low || input->high) {
      range = fmt::format(" [{} to {}]", Amount(input->low.value_or(input->value)), Amount(input->high.value_or(input->value)));
    }
    std::string line = fmt::format("{}: {}{} {}", field.words, Amount(input->value), range, field.unit);
    if (!input->source.empty() || !input->date.empty()) {
      line += fmt::format(" ({}{}{})", input->source, input->source.empty() || input->date.empty() ? "" : ", ", input->date);
    }
    lines.push_back(std::move(line));
  }
  const auto hardware = PriceHardware(inputs);
  if (hardware && !hardware->missing.empty()) {
    lines.push_back(fmt::format("not included, price not known: {}", fmt::join(hardware->missing, ", ")));
  }
  return lines;
}

}  // namespace moecap::cost
