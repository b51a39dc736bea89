// The answer to a request that scores continuations, as a text: what a scorer reads where a model writes nothing.
#pragma once

#include <span>
#include <string>

namespace moecap::load {

// "[-1.25,-3.5]": the log-likelihood (natural logarithm, <= 0 but for rounding) of each continuation, in the request's order,
// to 6 decimals: what single precision tells of sums of this size.
std::string LikelihoodText(std::span<const double> log_likelihoods);

}  // namespace moecap::load
