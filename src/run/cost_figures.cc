#include "run/cost_figures.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fs.h"
#include "cost/tokens.h"
#include "hardware/catalogue.h"

namespace moecap::run {
namespace {

constexpr double kMillion = 1e6;
constexpr double kJoulesPerWattHour = 3600;

std::string InWords(const cost::Range& range) {
  std::string text = fmt::format("{:.4f}", *range.typical);
  if (range.low && range.high && *range.high > *range.low) text += fmt::format(" [{:.4f} to {:.4f}]", *range.low, *range.high);
  return text;
}

// A rate that somebody set is what they pay. Null when neither way can be priced.
std::optional<cost::Pay> Choose(const cost::CostInputs& inputs, std::optional<cost::Pay> wanted) {
  const cost::Pay first = wanted.value_or(inputs.rent_usd_per_h ? cost::Pay::kRent : cost::Pay::kBuy);
  if (cost::CostPerHour(inputs, first)) return first;
  return std::nullopt;
}

// Then this host is the client, and its price says nothing about the systems.
bool OnlyServers(const RunConfig& config) {
  return !config.systems.empty() &&
         std::ranges::all_of(config.systems, [](const SystemConfig& system) { return system.server.has_value(); });
}

}  // namespace

Result<cost::PriceBook> ReadPriceBook(const std::optional<std::filesystem::path>& file, const hardware::Catalogue& catalogue) {
  ASSIGN_OR_RETURN(cost::PriceBook book, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  if (!file) return book;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(*file));
  auto user = book.With(text, catalogue);
  if (!user.ok()) return Annotate(file->string(), user.error());
  return user;
}

Result<ResolvedCost> ResolveCostInputs(const hardware::HostInfo& host, const RunConfig& config) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(const cost::PriceBook book, ReadPriceBook(config.price_book, catalogue));
  ResolvedCost cost;
  if (config.machine) {
    ASSIGN_OR_RETURN(cost::PricedMachine machine, cost::PriceMachine(*config.machine, catalogue, book));
    cost.inputs = std::move(machine.inputs);
    cost.pay = machine.pay;
  } else if (OnlyServers(config)) {
    cost::SetPlanningValues(book, true, cost.inputs);
  } else {
    cost.inputs = cost::DefaultHostInputs(host, book, catalogue.MatchProcessor(host.cpu_model));
  }
  for (const auto& [key, value] : config.cost)
    RETURN_IF_ERROR(cost::SetCostInput(cost.inputs, key, {value, "given in the configuration", ""}));
  if (config.cost.contains("rent_usd_per_h")) cost.pay = cost::Pay::kRent;
  if (config.pay) cost.pay = *config.pay;
  const bool may_stay_unpriced = OnlyServers(config) && !config.machine && !config.pay;
  if (!may_stay_unpriced && !cost::CostPerHour(cost.inputs, cost.pay)) {
    return BadInput(cost.pay == cost::Pay::kRent
                        ? "cost: pay is rent, but no rate is known; give cost: {rent_usd_per_h: ...}"
                        : "cost: the hardware has no price; give cost: {accelerators_usd: ...} or a price_book");
  }
  return cost;
}

CostFigures::CostFigures(const cost::CostInputs& inputs, std::optional<cost::Pay> pay, const std::string& energy_source,
                         const std::optional<CellEnergy>& measured, cap::HostSummary& host)
    : inputs_(inputs), energy_source_(energy_source), pay_(cost::Pay::kBuy) {
  const cost::CostInputs over_run = measured ? WithMeasuredPower(measured->chips_j, measured->wall_s) : inputs_;
  if (const auto power = cost::PowerUnderLoad(over_run)) {
    host.power_w = power->watts;
    host.power_source = power->words;
  }
  if (const auto hardware = cost::PriceHardware(over_run)) host.purchase_usd = hardware->known_usd;
  host.cost_inputs = cost::DescribeInputs(over_run);
  host.own_usd_per_useful_h = cost::UsdPerUsefulHour(over_run, cost::Pay::kBuy);
  host.rent_usd_per_useful_h = cost::UsdPerUsefulHour(over_run, cost::Pay::kRent);
  host.break_even_utilisation = cost::BreakEvenUtilisation(over_run);
  const auto chosen = Choose(inputs_, pay);
  if (!chosen) return;
  pay_ = *chosen;
  host.pay = cost::Name(pay_);
  host.cost_inputs.push_back(
      fmt::format("result: {} USD per useful hour of this machine, {}",
                  InWords(pay_ == cost::Pay::kRent ? host.rent_usd_per_useful_h : host.own_usd_per_useful_h),
                  pay_ == cost::Pay::kRent ? "rented" : "owned"));
}

cost::CostInputs CostFigures::WithMeasuredPower(double chips_j, double wall_s) const {
  cost::CostInputs inputs = inputs_;
  if (inputs.measured_power_w || !(wall_s > 0)) return inputs;
  const double wall = inputs.wall_factor ? inputs.wall_factor->value : 1;
  const double chips_w = chips_j / wall_s;
  inputs.measured_power_w = cost::Input{
      chips_w * wall,
      fmt::format("{:.4g} W of the chips by {} x wall {:.3g}, which is an estimate", chips_w, energy_source_, wall), ""};
  return inputs;
}

void CostFigures::FillEnergy(const CellWork& work, const cost::CostInputs& inputs, cap::CellSummary& cell) const {
  if (work.chips_j) cell.chip_joules_per_output_token = cost::JoulesPerToken(*work.chips_j, 1, work.output_tokens);
  const auto power = cost::PowerUnderLoad(inputs);
  if (!power || !(work.wall_s > 0)) return;
  const double joules = power->watts * work.wall_s;
  const double tokens = work.input_tokens + work.output_tokens;
  cell.energy_is_measured = power->measured;
  cell.energy_wh = joules / kJoulesPerWattHour;
  cell.joules_per_output_token = cost::JoulesPerToken(power->watts, work.wall_s, work.output_tokens);
  cell.joules_per_token = cost::JoulesPerToken(power->watts, work.wall_s, tokens);
  cell.joules_per_request = cost::JoulesPerToken(power->watts, work.wall_s, work.requests);
  if (cell.joules_per_token) cell.kg_co2_per_million_tokens = cost::KgCo2(inputs, *cell.joules_per_token * kMillion);
}

void CostFigures::Fill(const CellWork& work, cap::CellSummary& cell) const {
  const cost::CostInputs inputs = work.chips_j ? WithMeasuredPower(*work.chips_j, work.wall_s) : inputs_;
  FillEnergy(work, inputs, cell);
  const auto hourly = cost::CostPerHour(inputs, pay_);
  if (!hourly) return;
  cost::NodeWork node;
  node.node_s = work.wall_s;
  if (cell.utilization.all.passes > 0) {
    // A kind of pass that did not occur took no time; without records of passes the time is not known.
    node.prefill_s = cell.utilization.prefill.latency_s.value_or(0);
    node.decode_s = cell.utilization.decode.latency_s.value_or(0);
  }
  node.input_tokens = work.input_tokens;
  node.output_tokens = work.output_tokens;
  node.requests = work.requests;
  const cost::TokenCost division = cost::DivideBill(hourly->usd_per_useful_h, node);
  cell.usd_per_million_input_tokens = division.usd_per_million_input_tokens;
  cell.usd_per_million_output_tokens = division.usd_per_million_output_tokens;
  cell.usd_per_million_output_tokens_all_in = division.usd_per_million_output_tokens_all_in;
  cell.usd_per_million_tokens_all_in = division.usd_per_million_tokens_all_in;
  cell.usd_per_request = division.usd_per_request;
}

}  // namespace moecap::run
