#include "cost/prices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace moecap::cost {
namespace {

Result<std::optional<double>> ReadAmount(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || found->is_null()) return std::optional<double>();
  if (!found->is_number()) return BadInput(fmt::format("'{}' is not a number", key));
  const auto value = found->get<double>();
  if (value < 0) return BadInput(fmt::format("'{}' is negative", key));
  return std::optional(value);
}

Result<std::string> ReadWords(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_string() || found->get<std::string>().empty()) {
    return BadInput(fmt::format("'{}' is missing: every price names its key, source and date", key));
  }
  return found->get<std::string>();
}

Result<Price> ReadPrice(const Json& entry) {
  if (!entry.is_object()) return BadInput("a price is an object");
  Price price;
  ASSIGN_OR_RETURN(price.key, ReadWords(entry, "key"));
  ASSIGN_OR_RETURN(price.source, ReadWords(entry, "source"));
  ASSIGN_OR_RETURN(price.date, ReadWords(entry, "date"));
  ASSIGN_OR_RETURN(price.low, ReadAmount(entry, "low"));
  ASSIGN_OR_RETURN(price.typical, ReadAmount(entry, "typical"));
  ASSIGN_OR_RETURN(price.high, ReadAmount(entry, "high"));
  const double typical = price.typical.value_or(price.low.value_or(0));
  if (price.low.value_or(typical) > typical || price.high.value_or(typical) < typical) {
    return BadInput(fmt::format("'{}': not low <= typical <= high", price.key));
  }
  return price;
}

// `count` of something at `key` each, with the sum spelled out in the source.
std::optional<Input> PriceOf(const PriceBook& book, double count, std::string_view unit, std::string_view key) {
  const auto each = book.Find(key);
  if (!each) return std::nullopt;
  return Input{count * each->value, fmt::format("estimate: {:.4g} {} x {:.4g}; {}", count, unit, each->value, each->source),
               each->date};
}

// The share of `cores` in a figure of the whole processor; null when the catalogue has no such figure.
std::optional<Input> ShareOf(const hardware::Device& processor, double cores, std::optional<double> whole,
                             std::string_view unit) {
  if (!whole) return std::nullopt;
  return Input{*whole * cores / *processor.cores,
               fmt::format("estimate: {:g} of {} cores of {} {} at {:g} {}; {}", cores, *processor.cores, processor.vendor,
                           processor.name, *whole, unit, processor.source),
               processor.date};
}

}  // namespace

Result<PriceBook> PriceBook::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  if (!json.is_object() || !json.contains("prices") || !json["prices"].is_array()) {
    return BadInput("the price book is an object with a list 'prices'");
  }
  PriceBook book;
  for (const Json& entry : json["prices"]) {
    auto price = ReadPrice(entry);
    if (!price) return Annotate(fmt::format("price {}", book.prices_.size() + 1), price.error());
    if (book.Find(price->key)) return BadInput(fmt::format("the price '{}' occurs twice", price->key));
    book.prices_.push_back(*std::move(price));
  }
  return book;
}

std::optional<Input> PriceBook::Find(std::string_view key) const {
  const auto found = std::find_if(prices_.begin(), prices_.end(), [&](const Price& price) { return price.key == key; });
  if (found == prices_.end() || !found->typical) return std::nullopt;
  return Input{*found->typical, found->source, found->date};
}

bool IsServer(const hardware::HostInfo& host) {
  constexpr std::array kServerWords = {"EPYC", "Xeon", "Neoverse", "Grace", "Graviton", "Ampere", "Threadripper PRO"};
  const bool named = std::any_of(kServerWords.begin(), kServerWords.end(),
                                 [&](const char* word) { return host.cpu_model.find(word) != std::string::npos; });
  return named || !host.hypervisor.empty();
}

CostInputs DefaultHostInputs(const hardware::HostInfo& host, const PriceBook& book,
                             const std::optional<hardware::Device>& processor) {
  const bool server = IsServer(host);
  constexpr double kGib = 1024.0 * 1024 * 1024;
  const double cores = host.physical_cores;
  CostInputs inputs;
  inputs.accelerators_usd = Input{0, "no accelerator is used", ""};
  inputs.network_usd = Input{0, "one machine", ""};
  inputs.cpu_usd = PriceOf(book, cores, "cores", server ? "server_cpu_usd_per_core" : "desktop_cpu_usd_per_core");
  inputs.board_usd = PriceOf(book, cores, "cores", server ? "server_board_usd_per_core" : "desktop_board_usd_per_core");
  inputs.nameplate_w = PriceOf(book, cores, "cores", server ? "server_cpu_w_per_core" : "desktop_cpu_w_per_core");
  if (processor && processor->cores.value_or(0) > 0) {
    if (auto share = ShareOf(*processor, cores, processor->price_usd.typical, "USD")) inputs.cpu_usd = std::move(share);
    if (auto share = ShareOf(*processor, cores, processor->tdp_w, "W")) inputs.nameplate_w = std::move(share);
  }
  // The kernel does not show what firmware keeps for itself: the next whole GiB is nearer to what was bought.
  inputs.dram_gib = Input{std::ceil(host.dram_bytes / kGib), "what this machine shows", ""};
  inputs.dram_usd_per_gib = book.Find(server ? "server_dram_usd_per_gib" : "desktop_dram_usd_per_gib");
  inputs.ssd_usd_per_gb = book.Find("ssd_usd_per_gb");
  for (const char* key : {"life_years", "discount_rate", "residual_fraction", "opex_fraction_per_year", "utilisation", "duty",
                          "load_factor", "wall_factor", "energy_usd_per_kwh"}) {
    if (auto input = book.Find(key)) (void)SetCostInput(inputs, key, *std::move(input)).ok();
  }
  inputs.pue = book.Find(server ? "server_pue" : "desktop_pue");
  return inputs;
}

}  // namespace moecap::cost
