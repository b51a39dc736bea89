// The first screen in sentences. Internal to cap/.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cap/evidence.h"
#include "cap/verdict.h"

namespace moecap::cap {

// At most ten, the most important first. Requires everything else in `verdicts`.
std::vector<std::string> HeadlineOf(std::span<const Evidence> evidence, const JudgeOptions& options, const Verdicts& verdicts);

}  // namespace moecap::cap
