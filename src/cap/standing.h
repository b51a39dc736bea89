// What the pairs together say of each system: who is dominated, and which letters are kept. Internal to cap/.
#pragma once

#include <span>
#include <vector>

#include "cap/evidence.h"
#include "cap/verdict.h"

namespace moecap::cap {

// Whether `winner` dominates `loser` in `dimensions`.
enum class Dominance { kYes, kNo, kUndecided, kNotJudged };
Dominance DominatesIn(const Verdicts& verdicts, size_t winner, size_t loser, std::span<const Dimension> dimensions);

// Fills domination, letters and their reasons from the pairs and the dimensions in play.
void JudgeSystems(std::span<const Evidence> evidence, const JudgeOptions& options, Verdicts& verdicts);

// What decides the letters: not dominated by a system that is itself in it. By system.
std::vector<bool> Kernel(std::span<const Evidence> evidence, const JudgeOptions& options, const Verdicts& verdicts);

}  // namespace moecap::cap
