#include "cost/ownership.h"

#include <fmt/format.h>

#include <cmath>

#include "cost/ratio.h"

namespace moecap::cost {
namespace {

constexpr double kHoursPerYear = 8760;
constexpr double kMonthsPerYear = 12;
constexpr double kWattsPerKilowatt = 1000;
constexpr double kJoulesPerKilowattHour = 3.6e6;

std::optional<double> Product(const std::optional<Input>& left, const std::optional<Input>& right) {
  // None of something costs nothing, whatever its price.
  if (left && left->value == 0) return 0.0;
  return left && right ? std::optional(left->value * right->value) : std::nullopt;
}

std::optional<double> ValueOf(const std::optional<Input>& input) { return input ? std::optional(input->value) : std::nullopt; }

double ValueOr(const std::optional<Input>& input, double fallback) { return input ? input->value : fallback; }

// USD per hour of calendar time for the energy; what is not known goes to `missing`.
double EnergyPerHour(const CostInputs& inputs, std::vector<std::string>& missing) {
  const auto power = PowerUnderLoad(inputs);
  if (!power || !inputs.energy_usd_per_kwh) {
    missing.emplace_back("energy");
    return 0;
  }
  const double kilowatts = power->watts / kWattsPerKilowatt;
  return kilowatts * ValueOr(inputs.pue, 1) * inputs.energy_usd_per_kwh->value * ValueOr(inputs.duty, 1);
}

void AddUp(HourlyCost& cost, double utilisation) {
  cost.usd_per_h =
      cost.capital_usd_per_h + cost.opex_usd_per_h + cost.energy_usd_per_h + cost.colocation_usd_per_h + cost.rent_usd_per_h;
  cost.usd_per_useful_h = cost.usd_per_h / utilisation;
}

}  // namespace

std::optional<HardwareCost> PriceHardware(const CostInputs& inputs) {
  const std::pair<const char*, std::optional<double>> parts[] = {{"accelerators", ValueOf(inputs.accelerators_usd)},
                                                                 {"processors", ValueOf(inputs.cpu_usd)},
                                                                 {"board", ValueOf(inputs.board_usd)},
                                                                 {"network", ValueOf(inputs.network_usd)},
                                                                 {"DRAM", Product(inputs.dram_gib, inputs.dram_usd_per_gib)},
                                                                 {"SSD", Product(inputs.ssd_gb, inputs.ssd_usd_per_gb)}};
  HardwareCost cost;
  bool known = false;
  for (const auto& [name, price] : parts) {
    known |= price.has_value();
    if (price) cost.known_usd += *price;
    if (!price) cost.missing.emplace_back(name);
  }
  return known ? std::optional(std::move(cost)) : std::nullopt;
}

double CapitalRecoveryFactor(double rate, double years) {
  CHECK(rate >= 0 && years > 0);
  if (rate == 0) return 1 / years;
  // expm1 and log1p keep small rates exact.
  return rate / -std::expm1(-years * std::log1p(rate));
}

std::optional<HourlyCost> OwnedCostPerHour(const CostInputs& inputs) {
  auto hardware = PriceHardware(inputs);
  if (!hardware || !inputs.life_years || !inputs.discount_rate || !inputs.utilisation) return std::nullopt;
  const double years = inputs.life_years->value;
  const double rate = inputs.discount_rate->value;
  const double price = hardware->known_usd;
  const double residual_today = price * ValueOr(inputs.residual_fraction, 0) / std::pow(1 + rate, years);
  HourlyCost cost;
  cost.missing = std::move(hardware->missing);
  cost.capital_usd_per_h = (price - residual_today) * CapitalRecoveryFactor(rate, years) / kHoursPerYear;
  cost.opex_usd_per_h = ValueOr(inputs.opex_fraction_per_year, 0) * price / kHoursPerYear;
  cost.colocation_usd_per_h = ValueOr(inputs.colocation_usd_per_month, 0) * kMonthsPerYear / kHoursPerYear;
  cost.energy_usd_per_h = EnergyPerHour(inputs, cost.missing);
  AddUp(cost, inputs.utilisation->value);
  return cost;
}

std::optional<HourlyCost> RentedCostPerHour(const CostInputs& inputs) {
  if (!inputs.rent_usd_per_h || !inputs.utilisation) return std::nullopt;
  HourlyCost cost;
  cost.rent_usd_per_h = inputs.rent_usd_per_h->value * (1 + ValueOr(inputs.rent_extra_fraction, 0));
  AddUp(cost, inputs.utilisation->value);
  return cost;
}

std::string_view Name(Pay pay) { return pay == Pay::kRent ? "rent" : "buy"; }

std::optional<HourlyCost> CostPerHour(const CostInputs& inputs, Pay pay) {
  return pay == Pay::kRent ? RentedCostPerHour(inputs) : OwnedCostPerHour(inputs);
}

namespace {

// Without any bounds the ends are not known, rather than equal.
template <typename Figure>
Range RangeOf(const CostInputs& inputs, Figure figure) {
  if (!HasBounds(inputs)) return {std::nullopt, figure(inputs), std::nullopt};
  return {figure(AtBound(inputs, Bound::kLow)), figure(inputs), figure(AtBound(inputs, Bound::kHigh))};
}

}  // namespace

Range UsdPerUsefulHour(const CostInputs& inputs, Pay pay) {
  return RangeOf(inputs, [pay](const CostInputs& at) -> std::optional<double> {
    const auto cost = CostPerHour(at, pay);
    return cost ? std::optional(cost->usd_per_useful_h) : std::nullopt;
  });
}

Range PurchaseUsd(const CostInputs& inputs) {
  return RangeOf(inputs, [](const CostInputs& at) -> std::optional<double> {
    const auto cost = PriceHardware(at);
    return cost ? std::optional(cost->known_usd) : std::nullopt;
  });
}

std::optional<double> BreakEvenUtilisation(const CostInputs& inputs) {
  const auto owned = OwnedCostPerHour(inputs);
  const auto rented = RentedCostPerHour(inputs);
  if (!owned || !rented) return std::nullopt;
  // The energy of a useful hour: the power under load, without the idle hours that `duty` averages in.
  const double duty = ValueOr(inputs.duty, 1);
  const double energy = duty > 0 ? owned->energy_usd_per_h / duty : 0;
  return Ratio(owned->usd_per_h - owned->energy_usd_per_h, rented->usd_per_h - energy);
}

std::optional<Power> PowerUnderLoad(const CostInputs& inputs) {
  if (inputs.measured_power_w)
    return Power{inputs.measured_power_w->value, true, "measured: " + inputs.measured_power_w->source};
  // Metered accelerators take the place of their nameplates, the rest stays as it would have been estimated.
  const bool metered = inputs.metered_accelerators_w && inputs.accelerators_w;
  const double metered_w = metered ? inputs.metered_accelerators_w->value : 0;
  const double rated_w = metered ? inputs.accelerators_w->value : 0;
  const std::string of_metered =
      metered ? fmt::format("accelerators {:.4g} W, {}, + the rest by ", metered_w, inputs.metered_accelerators_w->source) : "";
  const std::string less_rated = metered ? fmt::format(" - {:.4g} W of the accelerators", rated_w) : "";
  if (inputs.all_in_w) {
    const double pue = ValueOr(inputs.pue, 1);
    return Power{
        metered_w + std::max(0.0, inputs.all_in_w->value / pue - rated_w), false,
        fmt::format("estimate: {}all-in power {:.4g} W / PUE {:.3g}{}", of_metered, inputs.all_in_w->value, pue, less_rated)};
  }
  if (!inputs.nameplate_w) return std::nullopt;
  const double load = ValueOr(inputs.load_factor, 1);
  const double wall = ValueOr(inputs.wall_factor, 1);
  return Power{(metered_w + std::max(0.0, inputs.nameplate_w->value - rated_w) * load) * wall, false,
               fmt::format("estimate: {}{}nameplate {:.4g} W{} x load {:.3g}{} x wall {:.3g}", metered ? "(" : "", of_metered,
                           inputs.nameplate_w->value, less_rated, load, metered ? ")" : "", wall)};
}

std::optional<double> KgCo2(const CostInputs& inputs, double joules) {
  if (!inputs.grid_kg_co2_per_kwh) return std::nullopt;
  return joules / kJoulesPerKilowattHour * ValueOr(inputs.pue, 1) * inputs.grid_kg_co2_per_kwh->value;
}

std::optional<double> JoulesPerToken(double watts, double seconds, double tokens) { return Ratio(watts * seconds, tokens); }

}  // namespace moecap::cost
