// What a machine costs an hour, owned or rented, and what follows for tokens, requests and energy.
//
// Every figure is computed from inputs that say where they come from; a figure whose inputs are not known is null, never 0.
// Money is US dollars, in the value of the inputs' dates.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::cost {

// One input of a cost figure.
struct Input {
  double value = 0;
  std::string source;  // where the value comes from, in words; "estimate" belongs in it where it is one
  std::string date;    // "2026-06" or "2026-06-04"; empty where it does not age (a measured quantity of this machine)
  // What bounds the value, where the source tells: low <= value <= high. A value that somebody gave has none.
  std::optional<double> low = std::nullopt;
  std::optional<double> high = std::nullopt;
};

// A figure with its bounds; null where it cannot be known.
struct Range {
  std::optional<double> low, typical, high;

  friend bool operator==(const Range&, const Range&) = default;
};

// How a machine is paid for.
enum class Pay { kBuy, kRent };
// "buy", "rent".
std::string_view Name(Pay pay);

// All inputs for one machine (a node). Null = not known; a price that is not known is listed as missing, and the figures cover
// the rest. The names are the keys of config files (SetCostInput).
struct CostInputs {
  // Purchase, USD for the whole machine.
  std::optional<Input> accelerators_usd;
  std::optional<Input> cpu_usd;
  std::optional<Input> board_usd;  // board, chassis, power supply, cooling
  std::optional<Input> network_usd;
  std::optional<Input> dram_gib;
  std::optional<Input> dram_usd_per_gib;
  std::optional<Input> ssd_gb;
  std::optional<Input> ssd_usd_per_gb;
  // Ownership.
  std::optional<Input> life_years;
  std::optional<Input> discount_rate;           // a year, 0.10 = 10 %
  std::optional<Input> residual_fraction;       // of the purchase price, at the end of the life
  std::optional<Input> opex_fraction_per_year;  // of the purchase price: repair, staff, insurance
  std::optional<Input> utilisation;             // share of all hours in which the machine does the work that pays for it
  std::optional<Input> colocation_usd_per_month;
  // Rent.
  std::optional<Input> rent_usd_per_h;
  std::optional<Input> rent_extra_fraction;  // storage, network, support on top of the rate
  // Energy. Power at the wall under load = measured_power_w, else all_in_w / pue, else nameplate_w x load_factor x wall_factor;
  // in the last two metered accelerators take the place of their nameplates.
  std::optional<Input> measured_power_w;        // at the wall, under this load
  std::optional<Input> all_in_w;                // under load, with the building's share: what a datacentre has to provide
  std::optional<Input> nameplate_w;             // sum of the TDPs of accelerators and processors
  std::optional<Input> accelerators_w;          // the accelerators' part of nameplate_w
  std::optional<Input> metered_accelerators_w;  // what the accelerators drew under this load, by their own counters
  std::optional<Input> load_factor;             // power drawn under this load / nameplate
  std::optional<Input> wall_factor;             // power at the wall / power of accelerators and processors
  std::optional<Input> duty;  // mean power over all hours / power under load: idle hours draw less, not nothing
  std::optional<Input> pue;   // energy of the building / energy of the machine
  std::optional<Input> energy_usd_per_kwh;
  std::optional<Input> grid_kg_co2_per_kwh;  // CO2 equivalents of the electricity
};

// Sets the field named `key` ("pue"). Errors: kBadInput for an unknown key (with the nearest known one) or a value outside
// the key's range (negative prices, a share above 1).
Status SetCostInput(CostInputs& inputs, std::string_view key, Input input);
// The field named `key`; null when it is not set. Requires a key of CostInputKeys().
const std::optional<Input>& GetCostInput(const CostInputs& inputs, std::string_view key);
std::vector<std::string> CostInputKeys();

// One line an input that is set: "energy price: 0.15 [0.06 to 0.18] USD/kWh (source, 2026-06)"; then one line for what is
// missing.
std::vector<std::string> DescribeInputs(const CostInputs& inputs);

struct HardwareCost {
  double known_usd = 0;              // sum of the parts whose price is known
  std::vector<std::string> missing;  // parts without a price: "SSD"
};

// accelerators + CPU + board + network + DRAM + SSD. Null when no part has a price. A part counts as missing when neither its
// price nor its absence (a value of 0) is given.
std::optional<HardwareCost> PriceHardware(const CostInputs& inputs);

// r (1 + r)^n / ((1 + r)^n - 1): the yearly payment that repays 1 over n years at rate r. 1 / n for r = 0.
// Requires rate >= 0 and years > 0.
double CapitalRecoveryFactor(double rate, double years);

// USD per hour of calendar time, and per hour of useful work.
struct HourlyCost {
  double capital_usd_per_h = 0;
  double opex_usd_per_h = 0;
  double energy_usd_per_h = 0;
  double colocation_usd_per_h = 0;
  double rent_usd_per_h = 0;
  double usd_per_h = 0;              // the sum
  double usd_per_useful_h = 0;       // the sum / utilisation: what the work must be charged
  std::vector<std::string> missing;  // what the figure leaves out
};

// [(capex - residual / (1 + r)^n) x CRF(r, n) + opex share x capex] / 8760 + power x PUE x price x duty + colocation.
// Null when the hardware price, life, discount rate or utilisation is not known; other unknown inputs are listed as missing.
std::optional<HourlyCost> OwnedCostPerHour(const CostInputs& inputs);

// rate x (1 + extras), useful hours by the utilisation of what is billed. Null without a rate or a utilisation.
std::optional<HourlyCost> RentedCostPerHour(const CostInputs& inputs);

std::optional<HourlyCost> CostPerHour(const CostInputs& inputs, Pay pay);

// Every input at the end that makes the cost of an hour low, or high: cheap prices with a long life and much use, or dear ones
// with a short life and little use. All at once is a bound and no confidence interval.
enum class Bound { kLow, kTypical, kHigh };
CostInputs AtBound(const CostInputs& inputs, Bound bound);
bool HasBounds(const CostInputs& inputs);

// USD per useful hour at each bound; all null when the typical one is not known, the ends where no input has bounds.
Range UsdPerUsefulHour(const CostInputs& inputs, Pay pay);
// Purchase price of the parts whose price is known.
Range PurchaseUsd(const CostInputs& inputs);

// The utilisation at which owning costs as much per useful hour as renting billed hours only: above it owning is cheaper.
// Null when either side is not known or renting is cheaper than the energy alone. May exceed 1: then never.
std::optional<double> BreakEvenUtilisation(const CostInputs& inputs);

struct Power {
  double watts = 0;
  bool measured = false;  // false: an estimate from nameplates
  std::string words;      // how it was got
};

// At the wall, under load. Null when neither a measurement nor a nameplate is known.
std::optional<Power> PowerUnderLoad(const CostInputs& inputs);

// kg of CO2 equivalents for `joules` at the wall: with the building's share (PUE) and the grid's factor. Null when the factor
// is not known. Making the machine is not in it.
std::optional<double> KgCo2(const CostInputs& inputs, double joules);

// Energy at the wall per token; the building's share (PUE) is not in it. Null unless tokens > 0.
std::optional<double> JoulesPerToken(double watts, double seconds, double tokens);

}  // namespace moecap::cost
