// From claims to reports: every computed figure comes from the formulas of model/, routing/, metrics/, cap/ and cost/ applied
// to the inputs of the claim and to the catalogues.
#pragma once

#include <vector>

#include "audit/claim.h"
#include "base/result.h"
#include "cap/paper_scores.h"
#include "cost/prices.h"
#include "hardware/catalogue.h"
#include "model/catalogue.h"

namespace moecap::audit {

// The ends of an estimate of distinct experts: uniform routing, and expert popularity as skewed as is seen in practice.
inline constexpr double kUniformCv = 0;
inline constexpr double kStrongCv = 1;

struct Sources {
  const model::ModelCatalogue& models;
  const hardware::Catalogue& devices;
  const cost::PriceBook& prices;
};

// Error kBadInput with file, line and the nearest known name when the catalogues do not have a model or device of the claim.
Result<ClaimReport> Evaluate(const Claim& claim, const Sources& sources);

// The scores behind a radar claim, in the order of its rows: the paper's normalisation with the cost axis of the claim.
std::vector<cap::PaperScore> RadarScores(const CapRadar& inputs);

}  // namespace moecap::audit
