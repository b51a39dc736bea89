#include "experiment/server_watch.h"

namespace moecap::experiment {

std::vector<LoggedPass> ServerWatch::End(Measurement& measurement) const {
  const auto after = before_ ? driver_.CountersSoFar() : std::nullopt;
  if (before_ && after) {
    measurement.server_change = load::WhyRestarted(*before_, *after);
    measurement.server_counters = load::GrowthOf(*before_, *after);
    measurement.cached_tokens = measurement.server_counters->cached_tokens;
  }
  if (const std::string change = driver_.WhatChanged(); !change.empty()) measurement.server_change = change;
  return log_size_ ? ReadIterationLog(driver_.LogSince(*log_size_)) : std::vector<LoggedPass>();
}

}  // namespace moecap::experiment
