// From leads to classes. Internal to cap/.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "cap/lead.h"

namespace moecap::cap {

// Whether cost, accuracy and performance are all known.
bool IsComplete(const Values& values);

struct Sacrifice {
  Dimension dimension;
  Lead lead;
  double lag;  // 0..1 of the way from the best to the worst in view
};

// Where `self` lags most; null when it is behind nowhere beyond noise.
std::optional<Sacrifice> FindSacrifice(std::span<const Values> values, const Leads& leads, size_t self,
                                       const ScoreOptions& options);

CapClass ClassWithout(Dimension sacrificed);

// The classes of all systems, of the values as they are.
std::vector<CapClass> ClassifyAll(std::span<const Values> values, const Noise& noise, const ScoreOptions& options);

// Class support and alternatives from the resamples of `inputs`, into `scores`, whose classes are set.
void AddSupport(std::span<const CapInput> inputs, const Noise& noise, const ScoreOptions& options,
                std::vector<CapScores>& scores);

}  // namespace moecap::cap
