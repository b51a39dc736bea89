#include "cost/prices.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/nearest_word.h"

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
  constexpr std::array<std::string_view, 6> kKnown = {"key", "low", "typical", "high", "source", "date"};
  for (const auto& [key, value] : entry.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) {
      return BadInput(fmt::format("unknown key '{}'; known are {}", key, fmt::join(kKnown, ", ")));
    }
  }
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
  return Scaled(*each, count, fmt::format("estimate: {:.4g} {} x {:.4g}; {}", count, unit, each->value, each->source));
}

// The share of `cores` in a figure of the whole processor.
std::optional<Input> ShareOf(const hardware::Device& processor, double cores, const std::optional<Input>& whole,
                             std::string_view unit) {
  if (!whole) return std::nullopt;
  return Scaled(*whole, cores / *processor.cores,
                fmt::format("estimate: {:g} of {} cores of {} {} at {:g} {}; {}", cores, *processor.cores, processor.vendor,
                            processor.name, whole->value, unit, whole->source));
}

constexpr std::array kDeviceKeys = {"price_usd", "rent_usd_per_h", "all_in_w"};

// "h100-sxm.price_usd": whether it speaks of a device.
Status CheckDeviceKey(std::string_view key, const hardware::Catalogue& catalogue) {
  const size_t dot = key.find('.');
  const std::string_view id = key.substr(0, dot), field = key.substr(dot + 1);
  if (std::find(kDeviceKeys.begin(), kDeviceKeys.end(), field) == kDeviceKeys.end()) {
    return BadInput(fmt::format("the price '{}': known of a device are {}", key, fmt::join(kDeviceKeys, ", ")));
  }
  const auto device = catalogue.FindDevice(id);
  if (!device.ok()) return Annotate(fmt::format("the price '{}'", key), device.error());
  if (device->id != id) return BadInput(fmt::format("the price '{}': the device's id is '{}'", key, device->id));
  return {};
}

// A planning value stands in for a cost input of that name, and obeys its limits.
Status CheckLimits(const Price& price) {
  const bool is_pue = price.key == "server_pue" || price.key == "desktop_pue";
  const std::string input = is_pue ? "pue" : price.key;
  const std::vector<std::string> inputs = CostInputKeys();
  if (!price.typical || std::find(inputs.begin(), inputs.end(), input) == inputs.end()) return {};
  CostInputs unused;
  return SetCostInput(unused, input, {*price.typical, "", "", price.low, price.high});
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
    if (const Status valid = CheckLimits(*price); !valid.ok()) {
      return Annotate(fmt::format("price {}", book.prices_.size() + 1), valid.error());
    }
    const auto same = [&](const Price& other) { return other.key == price->key; };
    if (std::any_of(book.prices_.begin(), book.prices_.end(), same))
      return BadInput(fmt::format("the price '{}' occurs twice", price->key));
    book.prices_.push_back(*std::move(price));
  }
  return book;
}

std::optional<Input> PriceBook::Find(std::string_view key) const {
  const auto found = std::find_if(prices_.begin(), prices_.end(), [&](const Price& price) { return price.key == key; });
  if (found == prices_.end() || !found->typical) return std::nullopt;
  return Input{*found->typical, found->source, found->date, found->low, found->high};
}

std::optional<Input> PriceBook::FindFor(const hardware::Device& device, std::string_view key) const {
  if (auto own = Find(fmt::format("{}.{}", device.id, key))) return own;
  if (key == "all_in_w") return std::nullopt;
  const hardware::PriceRange& price = key == "price_usd" ? device.price_usd : device.rent_usd_per_h;
  if (!price.typical) return std::nullopt;
  return Input{*price.typical, device.source, device.date, price.low, price.high};
}

Result<PriceBook> PriceBook::With(std::string_view text, const hardware::Catalogue& catalogue) const {
  ASSIGN_OR_RETURN(const PriceBook user, Parse(text));
  PriceBook book = *this;
  std::vector<std::string> keys;
  for (const Price& price : prices_) keys.push_back(price.key);
  for (const Price& price : user.prices_) {
    const auto found =
        std::find_if(book.prices_.begin(), book.prices_.end(), [&](const Price& entry) { return entry.key == price.key; });
    if (found != book.prices_.end()) {
      *found = price;
      continue;
    }
    if (price.key.find('.') == std::string::npos) {
      const std::string near = NearestWord(price.key, keys);
      return BadInput(fmt::format("unknown price '{}'{}; known are {}, and DEVICE_ID.price_usd, .rent_usd_per_h, .all_in_w",
                                  price.key, near.empty() ? "" : fmt::format(", did you mean '{}'?", near),
                                  fmt::join(keys, ", ")));
    }
    RETURN_IF_ERROR(CheckDeviceKey(price.key, catalogue));
    book.prices_.push_back(price);
  }
  return book;
}

Input Scaled(const Input& input, double factor, std::string source) {
  const auto times = [factor](const std::optional<double>& value) {
    return value ? std::optional(*value * factor) : std::nullopt;
  };
  return {input.value * factor, std::move(source), input.date, times(input.low), times(input.high)};
}

bool IsServerProcessor(std::string_view model) {
  constexpr std::array kServerWords = {"EPYC", "Xeon", "Neoverse", "Grace", "Graviton", "Ampere", "Threadripper PRO"};
  return std::any_of(kServerWords.begin(), kServerWords.end(),
                     [&](const char* word) { return model.find(word) != std::string_view::npos; });
}

bool IsServer(const hardware::HostInfo& host) { return IsServerProcessor(host.cpu_model) || !host.hypervisor.empty(); }

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
    if (auto share = ShareOf(*processor, cores, book.FindFor(*processor, "price_usd"), "USD"))
      inputs.cpu_usd = std::move(share);
    std::optional<Input> tdp;
    if (processor->tdp_w) tdp = Input{*processor->tdp_w, processor->source, processor->date};
    if (auto share = ShareOf(*processor, cores, tdp, "W")) inputs.nameplate_w = std::move(share);
  }
  // The kernel does not show what firmware keeps for itself: the next whole GiB is nearer to what was bought.
  if (host.dram_bytes) inputs.dram_gib = Input{std::ceil(*host.dram_bytes / kGib), "what this machine shows", ""};
  inputs.dram_usd_per_gib = book.Find(server ? "server_dram_usd_per_gib" : "desktop_dram_usd_per_gib");
  inputs.ssd_usd_per_gb = book.Find("ssd_usd_per_gb");
  SetPlanningValues(book, server, inputs);
  inputs.load_factor = book.Find("load_factor");
  inputs.wall_factor = book.Find("wall_factor");
  return inputs;
}

void SetPlanningValues(const PriceBook& book, bool server, CostInputs& inputs) {
  inputs.life_years = book.Find("life_years");
  inputs.discount_rate = book.Find("discount_rate");
  inputs.residual_fraction = book.Find("residual_fraction");
  inputs.opex_fraction_per_year = book.Find("opex_fraction_per_year");
  inputs.utilisation = book.Find("utilisation");
  inputs.duty = book.Find("duty");
  inputs.energy_usd_per_kwh = book.Find("energy_usd_per_kwh");
  inputs.grid_kg_co2_per_kwh = book.Find("grid_kg_co2_per_kwh");
  inputs.pue = book.Find(server ? "server_pue" : "desktop_pue");
}

}  // namespace moecap::cost
