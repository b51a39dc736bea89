#include "experiment/driver.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap::experiment {

double SystemDescription::ResidentWeightBytes() const {
  const double on_disk = experts_on_disk ? std::max(0.0, experts_on_disk->total_bytes - experts_on_disk->budget_bytes) : 0;
  return model.WeightBytes() - on_disk;
}

Result<int64_t> SystemDriver::CountTokens(const std::string&) {
  return BadInput(fmt::format("{} has no interface that counts tokens", description().name));
}

Status SystemDriver::FlushPrefixCache() {
  return BadInput(fmt::format("{} has no interface that empties a prefix cache", description().name));
}

Result<SystemDriver::Experts> SystemDriver::AskForExperts(std::span<const load::RequestSpec>, int,
                                                          const std::function<bool()>&) {
  return BadInput(fmt::format("{} has no interface that tells experts", description().name));
}

Result<double> SystemDriver::MeasureHeadRoom(int, int) {
  return BadInput(
      fmt::format("{} runs in this process: there is no client whose head-room could be measured", description().name));
}

}  // namespace moecap::experiment
