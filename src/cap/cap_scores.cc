#include "cap/cap_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cap/lead.h"

namespace moecap::cap {
namespace {

constexpr double kNearTie = 0.1;  // of the way from best to worst

struct Range {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
};

Range RangeOf(std::span<const CapInput> inputs, Dimension dimension) {
  Range range;
  for (const CapInput& input : inputs) {
    const auto value = ValueOf(input, dimension);
    if (!value) continue;
    range.min = std::min(range.min, *value);
    range.max = std::max(range.max, *value);
  }
  return range;
}

// baseline + share x (100 - baseline); a share of 0 / 0 means that nobody is behind.
double Score(double baseline, double numerator, double denominator) {
  const double share = denominator > 0 ? std::clamp(numerator / denominator, 0.0, 1.0) : 1.0;
  return baseline + share * (100 - baseline);
}

std::optional<double> ScoreOf(const CapInput& input, Dimension dimension, const Range& range, const ScoreOptions& options) {
  const auto value = ValueOf(input, dimension);
  if (!value) return std::nullopt;
  const double scale = options.cost_at_baseline.value_or(range.max);
  switch (dimension) {
    case Dimension::kPerformance:
      return Score(options.baseline, range.max - *value, range.max - range.min);
    case Dimension::kCost:
      return Score(options.baseline, scale - std::min(*value, scale), scale);
    case Dimension::kAccuracy:
      return Score(options.baseline, *value - range.min, 1 - range.min);
    case Dimension::kOther:
      break;
  }
  return std::nullopt;
}

// The largest lead that any other system has over `self`.
std::optional<Lead> LargestLead(std::span<const CapInput> inputs, size_t self, Dimension dimension,
                                const ScoreOptions& options) {
  std::optional<Lead> largest;
  for (size_t other = 0; other < inputs.size(); ++other) {
    auto lead = LeadOver(inputs[self], inputs[other], dimension, options);
    if (!lead || (largest && lead->difference <= largest->difference)) continue;
    largest = lead;
    largest->other = other;
  }
  return largest;
}

struct Sacrifice {
  Dimension dimension;
  Lead lead;
  double lag;  // 0..1
};

std::optional<Sacrifice> FindSacrifice(std::span<const CapInput> inputs, size_t self, const ScoreOptions& options) {
  std::optional<Sacrifice> found;
  for (const Dimension dimension : kDimensions) {
    const auto lead = LargestLead(inputs, self, dimension, options);
    if (!lead) continue;
    const Range range = RangeOf(inputs, dimension);
    const Sacrifice candidate{dimension, *lead, lead->difference / (range.max - range.min)};
    const bool tie = found && std::abs(candidate.lag - found->lag) <= kNearTie;
    const bool worse =
        found && (tie ? candidate.lead.ratio > found->lead.ratio * options.meaningful_ratio : candidate.lag > found->lag);
    if (!found || worse) found = candidate;
  }
  return found;
}

std::string ErrorsInWords(const Lead& lead) {
  if (!lead.errors) return " (standard error not known)";
  return std::isfinite(*lead.errors) ? fmt::format(" ({:.1f} standard errors)", *lead.errors) : "";
}

// "41 % cheaper", "1.4x slower", "6.2 points more accurate (2.1 standard errors)": how the one that is ahead or behind by
// `lead` compares with the other one.
std::string InWords(Dimension dimension, const Lead& lead, bool ahead) {
  switch (dimension) {
    case Dimension::kCost:
      if (!std::isfinite(lead.ratio)) return ahead ? "free of cost" : "not free of cost";
      if (ahead) return fmt::format("{:.0f} % cheaper", 100 * (1 - 1 / lead.ratio));
      return lead.ratio < 2 ? fmt::format("{:.0f} % dearer", 100 * (lead.ratio - 1))
                            : fmt::format("{:.1f}x the cost", lead.ratio);
    case Dimension::kPerformance:
      return fmt::format("{:.{}f}x {}", lead.ratio, lead.ratio < 1.1 ? 2 : 1, ahead ? "faster" : "slower");
    case Dimension::kAccuracy:
      return fmt::format("{:.1f} points {} accurate{}", 100 * lead.difference, ahead ? "more" : "less", ErrorsInWords(lead));
    case Dimension::kOther:
      break;
  }
  return "";
}

std::string GivenUpInWords(Dimension dimension, const Lead& lead) {
  switch (dimension) {
    case Dimension::kCost:
      return "cost: " + InWords(Dimension::kCost, lead, false);
    case Dimension::kPerformance:
      return "performance: " + InWords(Dimension::kPerformance, lead, false);
    case Dimension::kAccuracy:
      return fmt::format("{:.1f} points of accuracy{}", 100 * lead.difference, ErrorsInWords(lead));
    case Dimension::kOther:
      break;
  }
  return "";
}

CapClass ClassWithout(Dimension sacrificed) {
  switch (sacrificed) {
    case Dimension::kCost:
      return CapClass::kPerformanceAccuracy;
    case Dimension::kAccuracy:
      return CapClass::kPerformanceCost;
    case Dimension::kPerformance:
      return CapClass::kCostAccuracy;
    case Dimension::kOther:
      break;
  }
  return CapClass::kUnknown;
}

// "PC: 41 % cheaper and 1.4x faster than F16, gives up 6.2 points of accuracy (2.1 standard errors)".
std::string ReasonFor(const CapInput& self, const CapInput& other, const Sacrifice& sacrifice, const ScoreOptions& options) {
  std::vector<std::string> gains;
  std::vector<std::string> further_losses;
  for (const Dimension dimension : {Dimension::kCost, Dimension::kPerformance, Dimension::kAccuracy}) {
    if (dimension == sacrifice.dimension) continue;
    if (const auto gain = LeadOver(other, self, dimension, options)) gains.push_back(InWords(dimension, *gain, true));
    if (const auto loss = LeadOver(self, other, dimension, options)) further_losses.push_back(InWords(dimension, *loss, false));
  }
  const std::string lost = GivenUpInWords(sacrifice.dimension, sacrifice.lead);
  const std::string name = CapClassName(ClassWithout(sacrifice.dimension));
  std::string reason =
      gains.empty() ? fmt::format("{}: gives up {}, compared with {}, and gains nothing beyond noise", name, lost, other.system)
                    : fmt::format("{}: {} than {}, gives up {}", name, fmt::join(gains, " and "), other.system, lost);
  if (!further_losses.empty()) reason += fmt::format("; also {}", fmt::join(further_losses, " and "));
  return reason;
}

// What is not known of `input`, in words; empty when everything is.
std::string MissingInWords(const CapInput& input) {
  std::vector<std::string_view> missing;
  if (!ValueOf(input, Dimension::kCost)) missing.emplace_back("cost");
  if (!ValueOf(input, Dimension::kAccuracy)) missing.emplace_back("accuracy");
  if (!ValueOf(input, Dimension::kPerformance)) missing.emplace_back("performance");
  return missing.empty() ? "" : fmt::format("{} not known", fmt::join(missing, " and "));
}

void Classify(std::span<const CapInput> inputs, size_t self, const ScoreOptions& options, CapScores& scores) {
  const auto complete = [](const CapInput& input) { return MissingInWords(input).empty(); };
  if (!complete(inputs[self])) {
    scores.reason = "unknown: " + MissingInWords(inputs[self]);
    return;
  }
  if (std::count_if(inputs.begin(), inputs.end(), complete) < 2) {
    scores.reason = "unknown: no other system to compare with";
    return;
  }
  const auto sacrifice = FindSacrifice(inputs, self, options);
  if (!sacrifice) {
    scores.cap_class = CapClass::kBalanced;
    scores.reason = "balanced: no system in view is cheaper, faster or more accurate beyond noise";
    return;
  }
  scores.cap_class = ClassWithout(sacrifice->dimension);
  scores.reason = ReasonFor(inputs[self], inputs[sacrifice->lead.other], *sacrifice, options);
}

}  // namespace

std::string CapClassName(CapClass value) {
  switch (value) {
    case CapClass::kPerformanceAccuracy:
      return "PA";
    case CapClass::kPerformanceCost:
      return "PC";
    case CapClass::kCostAccuracy:
      return "CA";
    case CapClass::kBalanced:
      return "balanced";
    case CapClass::kDominated:
      return "dominated";
    case CapClass::kUnknown:
      break;
  }
  return "unknown";
}

std::vector<CapScores> ScoreSystems(std::span<const CapInput> inputs, const ScoreOptions& options) {
  std::vector<CapScores> result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    CapScores scores;
    scores.system = inputs[i].system;
    scores.cost = ScoreOf(inputs[i], Dimension::kCost, RangeOf(inputs, Dimension::kCost), options);
    scores.accuracy = ScoreOf(inputs[i], Dimension::kAccuracy, RangeOf(inputs, Dimension::kAccuracy), options);
    scores.performance = ScoreOf(inputs[i], Dimension::kPerformance, RangeOf(inputs, Dimension::kPerformance), options);
    Classify(inputs, i, options, scores);
    result.push_back(std::move(scores));
  }
  return result;
}

}  // namespace moecap::cap
