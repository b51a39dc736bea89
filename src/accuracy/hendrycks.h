// The string rule of the MATH benchmark (Hendrycks et al. 2021, math_equivalence.py), which lm-evaluation-harness' tasks
// hendrycks_math and aime and PRM800K's grader carry on with small differences.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moecap::accuracy {

// kHarness: a slash between what are no integers makes the whole rule fail (ValueError), as any other failure does; kOriginal
// leaves such a text as it is.
enum class HendrycksVariant { kHarness, kOriginal };

// The normalised text. Null where the rule fails (raises).
std::optional<std::string> HendrycksNormalised(std::string_view text, HendrycksVariant variant);

// Whether both normalise to the same text; where either fails, whether they are the same unnormalised.
bool HendrycksEqual(std::string_view first, std::string_view second, HendrycksVariant variant = HendrycksVariant::kHarness);

}  // namespace moecap::accuracy
