// The tiers part of `moecap metrics`: what --tiers FILE adds to the figures of one bandwidth.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cost/ownership.h"
#include "metrics/tiers.h"
#include "metrics/tiers_file.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::app {

struct TierReport {
  metrics::TiersFile file;
  metrics::TierUtilization figures;
  std::vector<std::optional<cost::Input>> price_usd;  // of each tier; null = not known
};

// Errors: kBadInput of the file.
Result<TierReport> ReportTiers(const std::string& file, const model::ModelSpec& model,
                               std::span<const record::PassRecord> passes);

Json ToJson(const TierReport& report);
void Print(const TierReport& report);

}  // namespace moecap::app
