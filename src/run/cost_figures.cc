#include "run/cost_figures.h"

#include <fmt/format.h>

#include "hardware/catalogue.h"

namespace moecap::run {

Result<cost::CostInputs> ResolveCostInputs(const hardware::HostInfo& host, const std::map<std::string, double>& overrides) {
  ASSIGN_OR_RETURN(const cost::PriceBook book, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  cost::CostInputs inputs = cost::DefaultHostInputs(host, book, catalogue.MatchProcessor(host.cpu_model));
  for (const auto& [key, value] : overrides)
    RETURN_IF_ERROR(cost::SetCostInput(inputs, key, {value, "given in the configuration", ""}));
  return inputs;
}

CostFigures::CostFigures(const cost::CostInputs& inputs, cap::HostSummary& host) {
  power_ = cost::PowerUnderLoad(inputs);
  // A rate that somebody set is what they pay; the price book has none for a machine it does not know.
  const auto hourly = inputs.rent_usd_per_h ? cost::RentedCostPerHour(inputs) : cost::OwnedCostPerHour(inputs);
  if (hourly) usd_per_h_ = hourly->usd_per_useful_h;
  if (power_) {
    host.power_w = power_->watts;
    host.power_source = power_->words;
  }
  if (const auto hardware = cost::PriceHardware(inputs)) host.purchase_usd = hardware->known_usd;
  host.cost_inputs = cost::DescribeInputs(inputs);
  if (hourly)
    host.cost_inputs.push_back(fmt::format("result: {:.4f} USD per useful hour of this machine", hourly->usd_per_useful_h));
}

void CostFigures::Fill(double wall_s, double input_tokens, double output_tokens, cap::CellSummary& cell) const {
  if (power_) {
    cell.joules_per_output_token = cost::JoulesPerToken(power_->watts, wall_s, output_tokens);
    cell.energy_is_measured = power_->measured;
  }
  if (!usd_per_h_) return;
  cost::NodeWork work;
  work.node_s = wall_s;
  work.prefill_s = cell.utilization.prefill.latency_s;
  work.decode_s = cell.utilization.decode.latency_s;
  work.input_tokens = input_tokens;
  work.output_tokens = output_tokens;
  work.requests = static_cast<double>(cell.requests);
  const cost::TokenCost division = cost::DivideBill(*usd_per_h_, work);
  cell.usd_per_million_input_tokens = division.usd_per_million_input_tokens;
  cell.usd_per_million_output_tokens = division.usd_per_million_output_tokens;
}

}  // namespace moecap::run
