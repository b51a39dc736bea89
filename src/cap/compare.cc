#include "cap/compare.h"

#include <cmath>
#include <limits>

namespace moecap::cap {
namespace {

std::optional<double> Finite(std::optional<double> value) { return value && std::isfinite(*value) ? value : std::nullopt; }

double RatioOf(double larger, double smaller) {
  return smaller > 0 ? larger / smaller : std::numeric_limits<double>::infinity();
}

}  // namespace

std::optional<double> ValueOf(const CapInput& input, Dimension dimension) {
  switch (dimension) {
    case kPerformance:
      return Finite(input.performance);
    case kCost:
      return Finite(input.cost);
    case kAccuracy:
      return Finite(input.accuracy);
  }
  return std::nullopt;
}

std::optional<Lead> LeadOver(const CapInput& self, const CapInput& other, Dimension dimension, const ScoreOptions& options) {
  const auto mine = ValueOf(self, dimension);
  const auto theirs = ValueOf(other, dimension);
  if (!mine || !theirs) return std::nullopt;
  Lead lead;
  lead.difference = dimension == kAccuracy ? *theirs - *mine : *mine - *theirs;
  if (lead.difference <= 0) return std::nullopt;
  if (dimension != kAccuracy) {
    lead.ratio = RatioOf(*mine, *theirs);
    return lead.ratio > options.meaningful_ratio ? std::optional(lead) : std::nullopt;
  }
  lead.ratio = RatioOf(1 - *mine, 1 - *theirs);
  const auto error = Finite(self.accuracy_stderr);
  const auto other_error = Finite(other.accuracy_stderr);
  if (!error || !other_error) {
    return lead.difference >= options.accuracy_step_without_error ? std::optional(lead) : std::nullopt;
  }
  lead.errors = RatioOf(lead.difference, std::hypot(*error, *other_error));
  return *lead.errors >= options.significant_errors ? std::optional(lead) : std::nullopt;
}

}  // namespace moecap::cap
