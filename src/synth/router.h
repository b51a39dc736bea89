// Router weights whose experts differ in popularity by a chosen amount.
//
// Row e is random with the standard deviation s_e; on a normalised input, the logit of expert e is then about normal with that
// deviation, and a larger one is among the top k more often. The s_e are lognormal with one spread parameter, found by
// bisection on a simulation of top-k choices. No bias is needed, so it works for every architecture; a row can win at most
// about half of all tokens, which bounds the coefficient of variation that can be asked for.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/rng.h"

namespace moecap::synth {

// Standard normal.
double Gaussian(Rng& rng);

// Coefficient of variation of the experts' popularity for rows of these deviations, simulated over `tokens` tokens.
double SimulatedCv(const std::vector<double>& deviations, int top_k, int tokens, uint64_t seed);

// `experts` deviations of mean 1 that give a popularity of coefficient of variation `cv` (0 = all alike, whatever chance
// leaves). Error kBadInput when it cannot be reached for this many experts; the message says what can.
Result<std::vector<double>> RowDeviations(int experts, int top_k, double cv, uint64_t seed);

}  // namespace moecap::synth
