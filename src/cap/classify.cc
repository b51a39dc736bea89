#include "cap/classify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace moecap::cap {
namespace {

constexpr double kNearTie = 0.1;  // of the way from best to worst
constexpr size_t kClasses = static_cast<size_t>(CapClass::kUnknown) + 1;

// The largest lead that any other system has over `self`.
std::optional<Lead> LargestLead(const Leads& leads, size_t systems, size_t self, Dimension dimension) {
  std::optional<Lead> largest;
  for (size_t other = 0; other < systems; ++other) {
    const auto& lead = leads.Of(self, other, dimension);
    if (lead && (!largest || lead->difference > largest->difference)) largest = lead;
  }
  return largest;
}

// From the best to the worst in view.
double WidthOf(std::span<const Values> values, Dimension dimension) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Values& system : values) {
    const auto& value = system[static_cast<size_t>(dimension)];
    if (!value) continue;
    low = std::min(low, *value);
    high = std::max(high, *value);
  }
  return high - low;
}

// How many resamples the inputs bring; 0 = the noise of no figure is known.
size_t CountResamples(std::span<const CapInput> inputs) {
  size_t count = 0;
  for (const CapInput& input : inputs) {
    for (const Dimension dimension : kDimensions) {
      const size_t size = ResamplesOf(input, dimension).size();
      CHECK(size == 0 || count == 0 || size == count);
      count = std::max(count, size);
    }
  }
  return count;
}

}  // namespace

bool IsComplete(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](const auto& value) { return value.has_value(); });
}

std::optional<Sacrifice> FindSacrifice(std::span<const Values> values, const Leads& leads, size_t self,
                                       const ScoreOptions& options) {
  std::optional<Sacrifice> found;
  for (const Dimension dimension : kDimensions) {
    const auto lead = LargestLead(leads, values.size(), self, dimension);
    if (!lead) continue;
    const Sacrifice candidate{dimension, *lead, lead->difference / WidthOf(values, dimension)};
    const bool tie = found && std::abs(candidate.lag - found->lag) <= kNearTie;
    const bool worse =
        found && (tie ? candidate.lead.ratio > found->lead.ratio * options.meaningful_ratio : candidate.lag > found->lag);
    if (!found || worse) found = candidate;
  }
  return found;
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

std::vector<CapClass> ClassifyAll(std::span<const Values> values, const Noise& noise, const ScoreOptions& options) {
  const Leads leads(values, noise, options);
  const auto complete = std::count_if(values.begin(), values.end(), IsComplete);
  std::vector<CapClass> classes(values.size(), CapClass::kUnknown);
  for (size_t self = 0; self < values.size(); ++self) {
    if (!IsComplete(values[self]) || complete < 2) continue;
    bool dominated = false;
    for (size_t other = 0; other < values.size(); ++other)
      dominated |= other != self && IsComplete(values[other]) && leads.Dominates(other, self);
    if (dominated) {
      classes[self] = CapClass::kDominated;
      continue;
    }
    const auto sacrifice = FindSacrifice(values, leads, self, options);
    classes[self] = sacrifice ? ClassWithout(sacrifice->dimension) : CapClass::kBalanced;
  }
  return classes;
}

void AddSupport(std::span<const CapInput> inputs, const Noise& noise, const ScoreOptions& options,
                std::vector<CapScores>& scores) {
  const size_t resamples = CountResamples(inputs);
  if (resamples == 0) return;
  std::vector<Values> values;
  for (const CapInput& input : inputs) values.push_back(ValuesOf(input));
  std::vector<std::array<int64_t, kClasses>> counts(inputs.size());
  for (size_t i = 0; i < resamples; ++i) {
    for (size_t system = 0; system < inputs.size(); ++system) {
      for (const Dimension dimension : kDimensions) {
        const auto& drawn = ResamplesOf(inputs[system], dimension);
        auto& value = values[system][static_cast<size_t>(dimension)];
        if (!drawn.empty() && value) value = drawn[i];
      }
    }
    const auto classes = ClassifyAll(values, noise, options);
    for (size_t system = 0; system < inputs.size(); ++system) ++counts[system][static_cast<size_t>(classes[system])];
  }
  for (size_t system = 0; system < inputs.size(); ++system) {
    if (scores[system].cap_class == CapClass::kUnknown) continue;
    for (size_t k = 0; k < kClasses; ++k) {
      const double share = static_cast<double>(counts[system][k]) / static_cast<double>(resamples);
      if (static_cast<CapClass>(k) == scores[system].cap_class) {
        scores[system].class_support = share;
      } else if (share > 0) {
        scores[system].class_alternatives.push_back({static_cast<CapClass>(k), share});
      }
    }
    std::stable_sort(scores[system].class_alternatives.begin(), scores[system].class_alternatives.end(),
                     [](const ClassShare& a, const ClassShare& b) { return a.share > b.share; });
  }
}

}  // namespace moecap::cap
