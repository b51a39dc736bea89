#include "load/likelihood_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace moecap::load {

std::string LikelihoodText(std::span<const double> log_likelihoods) {
  return fmt::format("[{:.6f}]", fmt::join(log_likelihoods, ","));
}

}  // namespace moecap::load
