#include "cap/reason.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "stats/summary.h"

namespace moecap::cap {
namespace {

constexpr double kConfidence = 0.95;

std::string ErrorsInWords(const Lead& lead) {
  if (!lead.errors) return "standard error not known";
  return std::isfinite(*lead.errors) ? fmt::format("{:.1f} standard errors", *lead.errors) : "";
}

// What less and more of a cost is called.
struct CostWords {
  const char* less;
  const char* more;
  const char* what;
};

CostWords WordsOf(AxisId axis) {
  switch (axis) {
    case AxisId::kPowerW:
      return {"% less power", "% more power", "the power"};
    case AxisId::kJoulesPerOutputToken:
      return {"% less energy", "% more energy", "the energy"};
    case AxisId::kPurchaseUsd:
      return {"% cheaper to buy", "% dearer to buy", "the price"};
    default:
      return {"% cheaper", "% dearer", "the cost"};
  }
}

std::string CostInWords(const Lead& lead, bool ahead, const ScoreOptions& options) {
  const CostWords words = WordsOf(options.cost_axis);
  if (!std::isfinite(lead.ratio)) return ahead ? "free of cost" : "not free of cost";
  if (ahead) return fmt::format("{:.0f} {}", 100 * (1 - 1 / lead.ratio), words.less);
  return lead.ratio < 2 ? fmt::format("{:.0f} {}", 100 * (lead.ratio - 1), words.more)
                        : fmt::format("{:.1f}x {}", lead.ratio, words.what);
}

// The central 95 % of the resamples of self's lag behind `other`: a ratio, or a difference of accuracies.
std::optional<stats::Interval> LagInterval(const CapInput& self, const CapInput& other, Dimension dimension,
                                           const ScoreOptions& options) {
  const auto& mine = ResamplesOf(self, dimension);
  const auto& theirs = ResamplesOf(other, dimension);
  const auto my_value = ValuesOf(self)[static_cast<size_t>(dimension)];
  const auto their_value = ValuesOf(other)[static_cast<size_t>(dimension)];
  std::vector<double> lags;
  for (size_t i = 0; i < std::max(mine.size(), theirs.size()); ++i) {
    const double a = mine.empty() ? *my_value : mine[i];
    const double b = theirs.empty() ? *their_value : theirs[i];
    if (dimension == Dimension::kAccuracy) {
      lags.push_back(b - a);
    } else {
      lags.push_back(HigherIsBetter(dimension, options) ? b / a : a / b);
    }
    if (!std::isfinite(lags.back())) return std::nullopt;
  }
  if (lags.empty()) return std::nullopt;
  std::sort(lags.begin(), lags.end());
  const double tail = (1 - kConfidence) / 2;
  return stats::Interval{stats::Quantile(lags, tail), stats::Quantile(lags, 1 - tail)};
}

// "performance: 1.4x slower (95 %: 1.38 to 1.43x)", "6.2 points of accuracy (2.1 standard errors; 95 %: 0.8 to 11.6)"
std::string GivenUpInWords(const CapInput& self, const CapInput& other, Dimension dimension, const Lead& lead,
                           const ScoreOptions& options) {
  const auto interval = LagInterval(self, other, dimension, options);
  if (dimension != Dimension::kAccuracy) {
    std::string words = fmt::format("{}: {}", DimensionName(dimension), LeadInWords(dimension, lead, false, options));
    if (interval) words += fmt::format(" (95 %: {:.2f} to {:.2f}x)", interval->low, interval->high);
    return words;
  }
  std::vector<std::string> details;
  if (const std::string errors = ErrorsInWords(lead); !errors.empty()) details.push_back(errors);
  if (interval) details.push_back(fmt::format("95 %: {:.1f} to {:.1f}", 100 * interval->low, 100 * interval->high));
  return fmt::format("{:.1f} points of accuracy{}", 100 * lead.difference,
                     details.empty() ? "" : fmt::format(" ({})", fmt::join(details, "; ")));
}

// In which respects `other` is ahead of `self`, without `except`.
std::vector<std::string> LeadsInWords(const Leads& leads, size_t self, size_t other, std::optional<Dimension> except,
                                      bool ahead, const ScoreOptions& options) {
  std::vector<std::string> words;
  for (const Dimension dimension : {Dimension::kCost, Dimension::kPerformance, Dimension::kAccuracy}) {
    if (dimension == except) continue;
    if (const auto& lead = leads.Of(self, other, dimension)) words.push_back(LeadInWords(dimension, *lead, ahead, options));
  }
  return words;
}

}  // namespace

std::string LeadInWords(Dimension dimension, const Lead& lead, bool ahead, const ScoreOptions& options) {
  switch (dimension) {
    case Dimension::kCost:
      return CostInWords(lead, ahead, options);
    case Dimension::kPerformance:
      return fmt::format("{:.{}f}x {}", lead.ratio, lead.ratio < 1.1 ? 2 : 1, ahead ? "faster" : "slower");
    case Dimension::kAccuracy: {
      const std::string errors = ErrorsInWords(lead);
      return fmt::format("{:.1f} points {} accurate{}", 100 * lead.difference, ahead ? "more" : "less",
                         errors.empty() ? "" : " (" + errors + ")");
    }
    case Dimension::kOther:
      break;
  }
  return "";
}

std::string SacrificeReason(std::span<const CapInput> inputs, const Leads& leads, size_t self, const Sacrifice& sacrifice,
                            const ScoreOptions& options) {
  const size_t other = sacrifice.lead.other;
  const auto gains = LeadsInWords(leads, other, self, sacrifice.dimension, true, options);
  const auto further_losses = LeadsInWords(leads, self, other, sacrifice.dimension, false, options);
  const std::string lost = GivenUpInWords(inputs[self], inputs[other], sacrifice.dimension, sacrifice.lead, options);
  const std::string name = CapClassName(ClassWithout(sacrifice.dimension));
  CHECK(!gains.empty());  // else this one would dominate it
  std::string reason = fmt::format("{}: {} than {}, gives up {}", name, fmt::join(gains, " and "), inputs[other].system, lost);
  if (!further_losses.empty()) reason += fmt::format("; also {}", fmt::join(further_losses, " and "));
  return reason;
}

std::string DominatedReason(std::span<const CapInput> inputs, const Leads& leads, size_t self,
                            const std::vector<size_t>& winners, const ScoreOptions& options) {
  const auto wins = LeadsInWords(leads, self, winners.front(), std::nullopt, true, options);
  std::string reason = fmt::format("dominated: {} is {}, and behind in nothing beyond noise", inputs[winners.front()].system,
                                   fmt::join(wins, " and "));
  std::vector<std::string> others;
  for (size_t i = 1; i < winners.size(); ++i) others.push_back(inputs[winners[i]].system);
  if (!others.empty())
    reason += fmt::format("; {} {} it too", fmt::join(others, " and "), others.size() == 1 ? "dominates" : "dominate");
  return reason;
}

}  // namespace moecap::cap
