// The price book (catalog/prices/) and the cost model of a host of which nothing is known but what it says about itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cost/ownership.h"
#include "hardware/catalogue.h"
#include "hardware/device.h"
#include "hardware/host.h"

namespace moecap::cost {

// A price or rate with its range. `low` and `high` bound what was seen, so that a result can be given as a range too.
struct Price {
  std::string key;  // ends in its unit: "server_dram_usd_per_gib"
  std::optional<double> low, typical, high;
  std::string source;
  std::string date;  // "2026-06"
};

// Keys are cost inputs (CostInputKeys) and prices by core, GiB and GB, each ending in its unit; beside them
// "<device id>.price_usd", ".rent_usd_per_h" and ".all_in_w" speak of one device of the catalogue and go before what that says.
// all_in_w is the power of the device with its share of the node and of the building's losses.
class PriceBook {
 public:
  // `text` is the content of catalog/prices/prices.json. Errors: kBadInput naming the entry and what is wrong with it.
  static Result<PriceBook> Parse(std::string_view text);

  // This book with the entries of a user's own laid over it, key by key. Errors: as Parse, and keys that this book does not have
  // and that name no device of `catalogue` (with the nearest known one).
  Result<PriceBook> With(std::string_view text, const hardware::Catalogue& catalogue) const;

  // The book that ships with the program.
  static const std::string& BuiltinText();

  const std::vector<Price>& prices() const { return prices_; }
  // The typical value with its range as a cost input; null for an unknown key or one without a typical value.
  std::optional<Input> Find(std::string_view key) const;
  // Of a device of the catalogue; null when neither knows it. Keys: "price_usd", "rent_usd_per_h", "all_in_w".
  std::optional<Input> FindFor(const hardware::Device& device, std::string_view key) const;

 private:
  std::vector<Price> prices_;
};

// Cost inputs of `host`, which has no accelerator: each from the price book by core and by GiB, or a planning value. All are
// estimates and say so. A virtual machine is charged its share of the processor: the cores and the memory that it sees.
// The SSD is left out (its size is not known); set it with SetCostInput. `processor` (Catalogue::MatchProcessor) replaces the
// price and power by core with those of that model, where it has them.
CostInputs DefaultHostInputs(const hardware::HostInfo& host, const PriceBook& book,
                             const std::optional<hardware::Device>& processor = std::nullopt);

// Life, discount, residual value, operation, utilisation, duty, energy, grid and PUE from the book.
void SetPlanningValues(const PriceBook& book, bool server, CostInputs& inputs);

// `input` times `factor`, range included, with `source` in place of its own.
Input Scaled(const Input& input, double factor, std::string source);

// Whether `model` names a server processor (EPYC, Xeon, Neoverse, ...).
bool IsServerProcessor(std::string_view model);

// True for server processors (EPYC, Xeon, Neoverse, ...) and for any virtual machine.
bool IsServer(const hardware::HostInfo& host);

}  // namespace moecap::cost
