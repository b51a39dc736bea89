#include "experiment/server_watch.h"

#include <fmt/format.h>

#include <utility>

#include "experiment/server_records.h"

namespace moecap::experiment {

ServerWatch ServerWatch::Begin(SystemDriver& driver, const Clock& clock, int64_t origin_ns) {
  ServerWatch watch(driver, clock, origin_ns);
  watch.before_ = driver.CountersSoFar();
  watch.log_size_ = driver.LogSize();
  if (const auto& file = driver.description().pass_records; !file.empty()) {
    const auto size = SizeOfServerRecords(file);
    watch.records_begin_ = size.ok() ? *size : 0;
    if (!size.ok()) watch.records_missing_ = size.error().message;
  }
  return watch;
}

OwnPasses ServerWatch::End(Measurement& measurement) const {
  const auto after = before_ ? driver_.CountersSoFar() : std::nullopt;
  if (before_ && after) {
    measurement.server_change = load::WhyRestarted(*before_, *after);
    measurement.server_counters = load::GrowthOf(*before_, *after);
    measurement.cached_tokens = measurement.server_counters->cached_tokens;
  }
  if (const std::string change = driver_.WhatChanged(); !change.empty()) measurement.server_change = change;
  OwnPasses own;
  if (log_size_) own.logged = ReadIterationLog(driver_.LogSince(*log_size_));
  if (!driver_.description().pass_records.empty()) AddRecorded(own);
  return own;
}

void ServerWatch::AddRecorded(OwnPasses& own) const {
  own.missing = records_missing_;
  if (!own.missing.empty()) return;
  const std::filesystem::path& file = driver_.description().pass_records;
  auto passes = ReadServerRecords(file, records_begin_, {1e-9 * static_cast<double>(origin_ns_), clock_.NowS()});
  if (!passes.ok()) {
    own.missing = passes.error().message;
  } else if (passes->empty()) {
    own.missing = fmt::format("{}: holds no pass that began during the measurement", file.string());
  } else {
    own.recorded = std::move(passes).value();
  }
}

}  // namespace moecap::experiment
