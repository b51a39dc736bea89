// The YAML description of memory tiers (docs/metrics.md, "Memory tiers").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hardware/catalogue.h"
#include "metrics/tiers.h"

namespace moecap::metrics {

// What a tier is made of, for its price.
struct TierParts {
  std::optional<hardware::Device> device;  // `count` of them; the price is theirs
  std::optional<hardware::Link> memory;    // `count` channels or drives; the price is by capacity
  int64_t count = 1;
};

struct TiersFile {
  TierSystem system;
  std::vector<TierParts> parts;  // as system.tiers
};

// A tier names a `device` or a `memory` of the catalogue (a DRAM channel or an SSD), or gives bandwidth_bytes_per_s; a link of
// the catalogue in `copy_over`, or copy_bytes_per_s. What is not placed by any tier lies in the first one. Errors: kBadInput
// with `file`, line, key and remedy; whatever Validate refuses.
Result<TiersFile> ParseTiersFile(std::string_view text, const std::string& file, const hardware::Catalogue& catalogue);

}  // namespace moecap::metrics
