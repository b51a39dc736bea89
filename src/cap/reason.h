// Why a system has its class, as a sentence with the figures. Internal to cap/.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/classify.h"

namespace moecap::cap {

// "41 % cheaper", "1.4x slower", "6.2 points more accurate (2.1 standard errors)": how the one that is ahead or behind by
// `lead` compares with the other one. `interval`: of the ratio, or of the accuracy difference.
std::string LeadInWords(Dimension dimension, const Lead& lead, bool ahead, const ScoreOptions& options);

// "PC: 41 % cheaper and 1.4x faster than F16, gives up 6.2 points of accuracy (2.1 standard errors)".
std::string SacrificeReason(std::span<const CapInput> inputs, const Leads& leads, size_t self, const Sacrifice& sacrifice,
                            const ScoreOptions& options);

// "dominated: Q8_0 is 18 % cheaper and 1.2x faster, and behind in nothing beyond noise; Q4_0 dominates it too".
std::string DominatedReason(std::span<const CapInput> inputs, const Leads& leads, size_t self,
                            const std::vector<size_t>& winners, const ScoreOptions& options);

}  // namespace moecap::cap
