// moecap cost: what an hour and a million tokens cost on a machine, bought and rented.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "base/units.h"
#include "cost/machine_file.h"
#include "cost/tokens.h"
#include "experiment/cost_figures.h"
#include "hardware/catalogue.h"

namespace moecap::app {
namespace {

struct CostFlags {
  std::string machine;
  std::optional<double> input_rate, cached_rate, output_rate, request_rate, prefill_share, cached_share, utilisation;
  std::string pay, prices;
  bool json = false;
};

// One machine, its price and its work.
struct Costing {
  std::string name;
  cost::PricedMachine machine;
  std::vector<cost::PoolRates> pools;
  std::optional<cost::HourlyCost> owned, rented;
  std::optional<cost::Power> power;
  std::optional<cost::TokenCost> tokens;  // of an hour of all pools
  double machines = 0;                    // in all pools
};

const std::optional<cost::HourlyCost>& Paid(const Costing& costing) {
  return costing.machine.pay == cost::Pay::kRent ? costing.rented : costing.owned;
}

// The flags replace the file's work.
Result<std::vector<cost::PoolRates>> WorkOf(const CostFlags& flags, std::vector<cost::PoolRates> from_file) {
  const bool rates = flags.input_rate || flags.cached_rate || flags.output_rate || flags.request_rate;
  if (!rates) {
    if (!flags.prefill_share && !flags.cached_share) return from_file;
    return BadInput("--prefill-share and --cached-share need the rates of the work, e.g. --output-tokens-per-s 5000");
  }
  cost::PoolRates pool;
  pool.input_tokens_per_s = flags.input_rate.value_or(0);
  pool.cached_tokens_per_s = flags.cached_rate.value_or(0);
  pool.output_tokens_per_s = flags.output_rate.value_or(0);
  pool.requests_per_s = flags.request_rate.value_or(0);
  pool.prefill_share = flags.prefill_share;
  pool.cached_share = flags.cached_share;
  RETURN_IF_ERROR(cost::CheckRates(pool));
  return std::vector{pool};
}

Result<Costing> Evaluate(const CostFlags& flags) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.machine));
  ASSIGN_OR_RETURN(cost::MachineFile file, cost::ParseMachineFile(text, flags.machine));
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  const auto book_file = flags.prices.empty() ? std::nullopt : std::optional<std::filesystem::path>(flags.prices);
  ASSIGN_OR_RETURN(const cost::PriceBook book, experiment::ReadPriceBook(book_file, catalogue));
  if (!flags.pay.empty()) file.machine.pay = flags.pay == "rent" ? cost::Pay::kRent : cost::Pay::kBuy;
  if (flags.utilisation) file.machine.given["utilisation"] = *flags.utilisation;
  auto priced = cost::PriceMachine(file.machine, catalogue, book);
  if (!priced.ok()) return Annotate(flags.machine, priced.error());
  Costing costing{file.machine.name, std::move(priced).value(), {}, {}, {}, {}, {}, 0};
  const cost::CostInputs& inputs = costing.machine.inputs;
  costing.owned = cost::OwnedCostPerHour(inputs);
  costing.rented = cost::RentedCostPerHour(inputs);
  costing.power = cost::PowerUnderLoad(inputs);
  if (!Paid(costing)) {
    return BadInput(fmt::format("{}: {}", flags.machine,
                                costing.machine.pay == cost::Pay::kRent
                                    ? "no rate of rent is known; give cost: {rent_usd_per_h: ...}"
                                    : "the hardware has no price; give it under cost:, or a price list with --prices"));
  }
  ASSIGN_OR_RETURN(costing.pools, WorkOf(flags, std::move(file.pools)));
  if (costing.pools.empty()) return costing;
  std::vector<cost::Pool> hour;
  for (const cost::PoolRates& rates : costing.pools) {
    hour.push_back(cost::HourOf(rates, Paid(costing)->usd_per_useful_h));
    costing.machines += rates.machines;
  }
  costing.tokens = cost::CombinePools(hour);
  return costing;
}

// Energy at the wall of an hour of all pools, by what it is laid on; null without a power or the work.
struct EnergyFigures {
  std::optional<double> joules_per_output_token, joules_per_token, joules_per_request, kg_co2_per_million_tokens;
};

EnergyFigures EnergyOf(const Costing& costing) {
  EnergyFigures figures;
  if (!costing.power || costing.pools.empty()) return figures;
  double output = 0, all = 0, requests = 0;
  for (const cost::PoolRates& pool : costing.pools) {
    output += pool.machines * pool.output_tokens_per_s;
    all += pool.machines * (pool.input_tokens_per_s + pool.cached_tokens_per_s + pool.output_tokens_per_s);
    requests = std::max(requests, pool.machines * pool.requests_per_s);
  }
  const double watts = costing.power->watts * costing.machines;
  figures.joules_per_output_token = cost::JoulesPerToken(watts, 1, output);
  figures.joules_per_token = cost::JoulesPerToken(watts, 1, all);
  figures.joules_per_request = cost::JoulesPerToken(watts, 1, requests);
  if (figures.joules_per_token)
    figures.kg_co2_per_million_tokens = cost::KgCo2(costing.machine.inputs, *figures.joules_per_token * 1e6);
  return figures;
}

Json Optional(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json ToJson(const cost::Range& range) {
  return {{"low", Optional(range.low)}, {"typical", Optional(range.typical)}, {"high", Optional(range.high)}};
}

Json ToJson(const Costing& costing, cost::Pay pay) {
  const auto& hour = pay == cost::Pay::kRent ? costing.rented : costing.owned;
  if (!hour) return nullptr;
  return {{"capital_usd_per_h", hour->capital_usd_per_h},
          {"operation_usd_per_h", hour->opex_usd_per_h},
          {"energy_usd_per_h", hour->energy_usd_per_h},
          {"colocation_usd_per_h", hour->colocation_usd_per_h},
          {"rent_usd_per_h", hour->rent_usd_per_h},
          {"usd_per_h", hour->usd_per_h},
          {"usd_per_useful_h", ToJson(cost::UsdPerUsefulHour(costing.machine.inputs, pay))},
          {"missing", hour->missing}};
}

Json TokensToJson(const Costing& costing) {
  if (!costing.tokens) return nullptr;
  const cost::TokenCost& tokens = *costing.tokens;
  const EnergyFigures energy = EnergyOf(costing);
  return {{"machines", costing.machines},
          {"bill_usd_per_h", tokens.bill_usd},
          {"bill_usd_per_day", tokens.bill_usd * 24},
          {"input_usd_per_h", Optional(tokens.input_usd)},
          {"cached_usd_per_h", Optional(tokens.cached_usd)},
          {"output_usd_per_h", Optional(tokens.output_usd)},
          {"usd_per_million_input_tokens", Optional(tokens.usd_per_million_input_tokens)},
          {"usd_per_million_cached_tokens", Optional(tokens.usd_per_million_cached_tokens)},
          {"usd_per_million_output_tokens", Optional(tokens.usd_per_million_output_tokens)},
          {"usd_per_million_output_tokens_all_in", Optional(tokens.usd_per_million_output_tokens_all_in)},
          {"usd_per_million_tokens_all_in", Optional(tokens.usd_per_million_tokens_all_in)},
          {"usd_per_request", Optional(tokens.usd_per_request)},
          {"joules_per_output_token", Optional(energy.joules_per_output_token)},
          {"joules_per_token", Optional(energy.joules_per_token)},
          {"joules_per_request", Optional(energy.joules_per_request)},
          {"kg_co2_per_million_tokens", Optional(energy.kg_co2_per_million_tokens)}};
}

Json ToJson(const Costing& costing) {
  Json bill = Json::array();
  for (const cost::BillLine& line : costing.machine.lines) {
    bill.push_back({{"part", line.part},
                    {"item", line.item},
                    {"count", line.count},
                    {"unit", line.unit},
                    {"price_usd", ToJson(line.usd)},
                    {"source", line.source},
                    {"date", line.date}});
  }
  const cost::CostInputs& inputs = costing.machine.inputs;
  const auto hardware = cost::PriceHardware(inputs);
  std::optional<double> co2;
  if (costing.power) co2 = cost::KgCo2(inputs, costing.power->watts * kSecondsPerHour);
  return {{"machine", costing.name},
          {"bill_of_materials", std::move(bill)},
          {"purchase_usd", ToJson(cost::PurchaseUsd(inputs))},
          {"missing", hardware ? hardware->missing : std::vector<std::string>{}},
          {"pay", cost::Name(costing.machine.pay)},
          {"buy", ToJson(costing, cost::Pay::kBuy)},
          {"rent", ToJson(costing, cost::Pay::kRent)},
          {"break_even_utilisation", Optional(cost::BreakEvenUtilisation(inputs))},
          {"power_w", costing.power ? Json(costing.power->watts) : Json(nullptr)},
          {"power_source", costing.power ? Json(costing.power->words) : Json(nullptr)},
          {"power_is_measured", costing.power && costing.power->measured},
          {"kg_co2_per_h_under_load", Optional(co2)},
          {"tokens", TokensToJson(costing)},
          {"inputs", cost::DescribeInputs(inputs)}};
}

std::string Usd(const std::optional<double>& value) {
  if (!value) return "-";
  return *value >= 1000 ? FormatFixed(*value, 0) : FormatSignificant(*value, 4);
}

std::string Between(const cost::Range& range) {
  if (!range.low || !range.high || *range.low == *range.high) return "";
  return Usd(range.low) + " to " + Usd(range.high);
}

void PrintBill(const Costing& costing) {
  std::vector<std::vector<std::string>> rows;
  for (const cost::BillLine& line : costing.machine.lines) {
    rows.push_back({line.part, line.item, fmt::format("{:g}{}{}", line.count, line.unit.empty() ? "" : " ", line.unit),
                    Usd(line.usd.typical), Between(line.usd), line.date});
  }
  const cost::Range sum = cost::PurchaseUsd(costing.machine.inputs);
  rows.push_back({"purchase", "", "", Usd(sum.typical), Between(sum), ""});
  fmt::print("{}\n", costing.name);
  fmt::print("{}", RenderTable({{"", "part", Align::kLeft, true},
                                {"", "item", Align::kLeft},
                                {"", "count"},
                                {"", "USD"},
                                {"", "low to high"},
                                {"", "as of", Align::kLeft}},
                               rows, TerminalTable()));
  const auto hardware = cost::PriceHardware(costing.machine.inputs);
  if (hardware && !hardware->missing.empty())
    fmt::print("not included, price or amount not known: {}\n", fmt::join(hardware->missing, ", "));
}

void PrintHours(const Costing& costing) {
  const cost::CostInputs& inputs = costing.machine.inputs;
  const auto cell = [](const std::optional<cost::HourlyCost>& hour, double cost::HourlyCost::*part) {
    return hour && (*hour).*part != 0 ? Usd((*hour).*part) : std::string("-");
  };
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const char* name, double cost::HourlyCost::*part) {
    rows.push_back({name, cell(costing.owned, part), cell(costing.rented, part)});
  };
  add("capital", &cost::HourlyCost::capital_usd_per_h);
  add("operation", &cost::HourlyCost::opex_usd_per_h);
  add("energy", &cost::HourlyCost::energy_usd_per_h);
  add("colocation", &cost::HourlyCost::colocation_usd_per_h);
  add("rent", &cost::HourlyCost::rent_usd_per_h);
  add("hour", &cost::HourlyCost::usd_per_h);
  add("useful hour", &cost::HourlyCost::usd_per_useful_h);
  rows.push_back({"  low to high", Between(cost::UsdPerUsefulHour(inputs, cost::Pay::kBuy)),
                  Between(cost::UsdPerUsefulHour(inputs, cost::Pay::kRent))});
  fmt::print("\n{}",
             RenderTable({{"", "USD per hour", Align::kLeft, true}, {"", "owned"}, {"", "rented"}}, rows, TerminalTable()));
  if (const auto even = cost::BreakEvenUtilisation(inputs)) {
    fmt::print("break-even utilisation: {}{}\n", FormatPercent(*even, 0),
               *even > 1 ? ", so renting is always cheaper" : "; above it owning is cheaper");
  }
  if (!costing.power) return;
  fmt::print("power at the wall: {:.0f} W ({})\n", costing.power->watts, costing.power->words);
  if (const auto co2 = cost::KgCo2(inputs, costing.power->watts * kSecondsPerHour))
    fmt::print("CO2 under load: {} kg per hour\n", FormatSignificant(*co2, 3));
}

void PrintTokens(const Costing& costing) {
  if (!costing.tokens) return;
  const cost::TokenCost& tokens = *costing.tokens;
  const std::vector<std::vector<std::string>> rows = {
      {"input tokens", Usd(tokens.usd_per_million_input_tokens), Usd(tokens.input_usd)},
      {"cached input tokens", Usd(tokens.usd_per_million_cached_tokens), Usd(tokens.cached_usd)},
      {"output tokens", Usd(tokens.usd_per_million_output_tokens), Usd(tokens.output_usd)},
      {"whole bill on output tokens", Usd(tokens.usd_per_million_output_tokens_all_in), Usd(tokens.bill_usd)},
      {"whole bill on all tokens", Usd(tokens.usd_per_million_tokens_all_in), Usd(tokens.bill_usd)}};
  fmt::print("\n{}", RenderTable({{"",
                                   fmt::format("{:g} machine{}, {}", costing.machines, costing.machines == 1 ? "" : "s",
                                               costing.machine.pay == cost::Pay::kRent ? "rented" : "owned"),
                                   Align::kLeft, true},
                                  {"", "USD per 1M"},
                                  {"", "USD per useful hour"}},
                                 rows, TerminalTable()));
  if (!tokens.input_usd)
    fmt::print("how the time divides between prefill and decode is not known: give --prefill-share, or pools in the file\n");
  if (tokens.input_usd && !tokens.cached_usd)
    fmt::print("what the cached tokens cost is inside the other two: give --cached-share\n");
  if (tokens.usd_per_request) fmt::print("a request: {} USD\n", Usd(tokens.usd_per_request));
  fmt::print("a day of this: {} USD\n", Usd(tokens.bill_usd * 24));
  const EnergyFigures energy = EnergyOf(costing);
  if (energy.joules_per_output_token)
    fmt::print("energy: {} J per output token at the wall{}\n", FormatSignificant(*energy.joules_per_output_token, 3),
               costing.power->measured ? "" : " (estimate)");
  if (energy.kg_co2_per_million_tokens)
    fmt::print("CO2: {} kg per 1M tokens, building included\n", FormatSignificant(*energy.kg_co2_per_million_tokens, 3));
}

Status Cost(const CostFlags& flags) {
  ASSIGN_OR_RETURN(const Costing costing, Evaluate(flags));
  if (flags.json) {
    fmt::print("{}", DumpJsonPretty(ToJson(costing)));
    return {};
  }
  PrintBill(costing);
  PrintHours(costing);
  PrintTokens(costing);
  fmt::print("\n");
  PrintParagraph("inputs (everything not measured is an estimate; low to high takes all of them at one end):");
  for (const std::string& line : cost::DescribeInputs(costing.machine.inputs)) PrintParagraph("  " + line, 4);
  return {};
}

}  // namespace

Action AddCost(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<CostFlags>();
  app.add_option("machine", flags->machine, "YAML file of a machine (docs/cost.md, examples/machines)")->required();
  app.add_option("--input-tokens-per-s", flags->input_rate, "computed input tokens a second, in useful time");
  app.add_option("--cached-tokens-per-s", flags->cached_rate, "input tokens a second that a prefix cache serves");
  app.add_option("--output-tokens-per-s", flags->output_rate, "output tokens a second");
  app.add_option("--requests-per-s", flags->request_rate, "requests a second");
  app.add_option("--prefill-share", flags->prefill_share, "share of the busy time that prefill takes; splits the bill");
  app.add_option("--cached-share", flags->cached_share, "share of the busy time that reading cached tokens takes");
  app.add_option("--pay", flags->pay, "how the machine is paid for (default: as the file says)")
      ->check(CLI::IsMember({"buy", "rent"}));
  app.add_option("--prices", flags->prices, "your own price list, laid over the built-in one");
  app.add_option("--utilisation", flags->utilisation, "share of all hours with paying work");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap cost examples/machines/8xh100.yaml --pay rent");
  return [flags] { return Cost(*flags); };
}

}  // namespace moecap::app
