// The price book (catalog/prices/) and the cost model of a host of which nothing is known but what it says about itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cost/ownership.h"
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

class PriceBook {
 public:
  // `text` is the content of catalog/prices/prices.json. Errors: kBadInput naming the entry and what is wrong with it.
  static Result<PriceBook> Parse(std::string_view text);

  // The book that ships with the program.
  static const std::string& BuiltinText();

  const std::vector<Price>& prices() const { return prices_; }
  // The typical value as a cost input; null for an unknown key or one without a typical value.
  std::optional<Input> Find(std::string_view key) const;

 private:
  std::vector<Price> prices_;
};

// Cost inputs of `host`, which has no accelerator: each from the price book by core and by GiB, or a planning value. All are
// estimates and say so. A virtual machine is charged its share of the processor: the cores and the memory that it sees.
// The SSD is left out (its size is not known); set it with SetCostInput. `processor` (Catalogue::MatchProcessor) replaces the
// price and power by core with those of that model, where it has them.
CostInputs DefaultHostInputs(const hardware::HostInfo& host, const PriceBook& book,
                             const std::optional<hardware::Device>& processor = std::nullopt);

// True for server processors (EPYC, Xeon, Neoverse, ...) and for any virtual machine.
bool IsServer(const hardware::HostInfo& host);

}  // namespace moecap::cost
