#include "experiment/cost_figures.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fs.h"
#include "cost/tokens.h"
#include "hardware/catalogue.h"

namespace moecap::experiment {
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

// "8 x epyc-9755" names processors, which a bill of materials lists apart.
cost::MachineSpec WithProcessorsApart(cost::MachineSpec machine, const hardware::Catalogue& catalogue) {
  std::erase_if(machine.accelerators, [&](const cost::MachinePart& part) {
    const auto device = catalogue.FindDevice(part.id);
    const bool is_processor = device.ok() && device->device_class == "cpu";
    if (is_processor) machine.processors.push_back(part);
    return is_processor;
  });
  return machine;
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

Result<ResolvedCost> ResolveCost(const hardware::HostInfo& host, const SystemConfig& system, const Config& config) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(const cost::PriceBook book, ReadPriceBook(config.price_book, catalogue));
  const MachineConfig& given = system.machine;
  ResolvedCost cost;
  if (given.machine) {
    const cost::MachineSpec spec = WithProcessorsApart(*given.machine, catalogue);
    auto machine = cost::PriceMachine(spec, catalogue, book);
    if (!machine.ok()) return Annotate(fmt::format("system {}: machine {}", system.name, spec.name), machine.error());
    cost.machine = spec.name;
    cost.inputs = std::move(machine->inputs);
    cost.pay = machine->pay;
  } else if (system.server && !given.here) {
    cost::SetPlanningValues(book, true, cost.inputs);
  } else {
    cost.inputs = cost::DefaultHostInputs(host, book, catalogue.MatchProcessor(host.cpu_model));
    cost.pay = cost::Pay::kBuy;
  }
  for (const auto& [key, value] : given.given)
    RETURN_IF_ERROR(cost::SetCostInput(cost.inputs, key, {value, "given in the configuration", ""}));
  if (given.given.contains("rent_usd_per_h")) cost.pay = cost::Pay::kRent;
  if (given.pay) cost.pay = *given.pay;
  if (given.pay && !cost::CostPerHour(cost.inputs, *given.pay)) {
    return BadInput(fmt::format("system {}: {}", system.name,
                                *given.pay == cost::Pay::kRent
                                    ? "pay is rent, but no rate is known; give cost: {rent_usd_per_h: ...}"
                                    : "pay is buy, but the hardware has no price; give cost: {accelerators_usd: ...}, a "
                                      "machine or a price_book"));
  }
  return cost;
}

CostFigures::CostFigures(const cost::CostInputs& inputs, std::optional<cost::Pay> pay, const std::string& energy_source,
                         const MeteredPower& metered, cap::MachineSummary& machine)
    : inputs_(inputs), energy_source_(energy_source), pay_(cost::Pay::kBuy) {
  const cost::CostInputs over_run = WithMeasuredPower(metered);
  if (const auto power = cost::PowerUnderLoad(over_run)) {
    machine.power_w = power->watts;
    machine.power_source = power->words;
  }
  if (const auto hardware = cost::PriceHardware(over_run)) machine.purchase_usd = hardware->known_usd;
  machine.cost_inputs = cost::DescribeInputs(over_run);
  machine.own_usd_per_useful_h = cost::UsdPerUsefulHour(over_run, cost::Pay::kBuy);
  machine.rent_usd_per_useful_h = cost::UsdPerUsefulHour(over_run, cost::Pay::kRent);
  machine.break_even_utilisation = cost::BreakEvenUtilisation(over_run);
  const auto chosen = Choose(inputs_, pay);
  if (!chosen) return;
  pay_ = *chosen;
  machine.pay = cost::Name(pay_);
  const cost::Range& hourly = pay_ == cost::Pay::kRent ? machine.rent_usd_per_useful_h : machine.own_usd_per_useful_h;
  machine.usd_per_h = hourly.typical;
  machine.cost_inputs.push_back(fmt::format("result: {} USD per useful hour of this machine, {}", InWords(hourly),
                                            pay_ == cost::Pay::kRent ? "rented" : "owned"));
}

cost::CostInputs CostFigures::WithMeasuredPower(const MeteredPower& metered) const {
  cost::CostInputs inputs = inputs_;
  if (inputs.measured_power_w) return inputs;
  if (metered.chips_w) {
    const double wall = inputs.wall_factor ? inputs.wall_factor->value : 1;
    inputs.measured_power_w = cost::Input{
        *metered.chips_w * wall,
        fmt::format("{:.4g} W of the chips by {} x wall {:.3g}, which is an estimate", *metered.chips_w, energy_source_, wall),
        ""};
  } else if (metered.gpus_w) {
    inputs.metered_accelerators_w = cost::Input{*metered.gpus_w, "metered by " + energy_source_, ""};
  }
  return inputs;
}

void CostFigures::FillEnergy(const CellWork& work, const cost::CostInputs& inputs, cap::FigureValues& figures,
                             cap::FigureSet& estimates, bool& is_metered) const {
  using cap::FigureId;
  if (work.chips_j) figures[FigureId::kChipJoulesPerOutput] = cost::JoulesPerToken(*work.chips_j, 1, work.output_tokens);
  if (work.gpus_j && work.wall_s > 0) {
    figures[FigureId::kGpuPower] = *work.gpus_j / work.wall_s;
    figures[FigureId::kGpuJoulesPerOutput] = cost::JoulesPerToken(*work.gpus_j, 1, work.output_tokens);
    figures[FigureId::kGpuJoulesPerToken] = cost::JoulesPerToken(*work.gpus_j, 1, work.input_tokens + work.output_tokens);
  }
  const auto power = cost::PowerUnderLoad(inputs);
  if (!power || !(work.wall_s > 0)) return;
  is_metered = power->measured;
  figures[FigureId::kPower] = power->watts;
  figures[FigureId::kEnergy] = power->watts * work.wall_s / kJoulesPerWattHour;
  figures[FigureId::kJoulesPerOutput] = cost::JoulesPerToken(power->watts, work.wall_s, work.output_tokens);
  figures[FigureId::kJoulesPerToken] = cost::JoulesPerToken(power->watts, work.wall_s, work.input_tokens + work.output_tokens);
  figures[FigureId::kJoulesPerRequest] = cost::JoulesPerToken(power->watts, work.wall_s, work.requests);
  if (const auto joules = figures[FigureId::kJoulesPerToken]) figures[FigureId::kCo2] = cost::KgCo2(inputs, *joules * kMillion);
  if (is_metered) return;
  for (const FigureId id : {FigureId::kPower, FigureId::kEnergy, FigureId::kJoulesPerOutput, FigureId::kJoulesPerToken,
                            FigureId::kJoulesPerRequest, FigureId::kCo2})
    estimates.Add(id);
}

void CostFigures::Fill(const CellWork& work, cap::FigureValues& figures, cap::FigureSet& estimates, bool& is_metered) const {
  using cap::FigureId;
  MeteredPower metered;
  if (work.chips_j && work.wall_s > 0) metered.chips_w = *work.chips_j / work.wall_s;
  if (work.gpus_j && work.wall_s > 0) metered.gpus_w = *work.gpus_j / work.wall_s;
  const cost::CostInputs inputs = WithMeasuredPower(metered);
  FillEnergy(work, inputs, figures, estimates, is_metered);
  if (const auto hardware = cost::PriceHardware(inputs)) figures[FigureId::kPurchase] = hardware->known_usd;
  const auto hourly = cost::CostPerHour(inputs, pay_);
  if (!hourly) return;
  cost::NodeWork node;
  node.node_s = work.wall_s;
  node.prefill_s = work.prefill_s;
  node.decode_s = work.decode_s;
  node.input_tokens = work.input_tokens;
  node.output_tokens = work.output_tokens;
  node.requests = work.requests;
  const cost::TokenCost division = cost::DivideBill(hourly->usd_per_useful_h, node);
  figures[FigureId::kUsdPerHour] = hourly->usd_per_useful_h;
  figures[FigureId::kUsdPerMillionInput] = division.usd_per_million_input_tokens;
  figures[FigureId::kUsdPerMillionOutput] = division.usd_per_million_output_tokens;
  figures[FigureId::kUsdPerMillionOutputAllIn] = division.usd_per_million_output_tokens_all_in;
  figures[FigureId::kUsdPerMillionTokens] = division.usd_per_million_tokens_all_in;
  figures[FigureId::kUsdPerRequest] = division.usd_per_request;
  if (work.split_is_estimated) {
    estimates.Add(FigureId::kUsdPerMillionInput);
    estimates.Add(FigureId::kUsdPerMillionOutput);
  }
}

}  // namespace moecap::experiment
