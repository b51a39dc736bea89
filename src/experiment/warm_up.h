// What is sent before a measurement begins: until the system does the same work in the same time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "experiment/plan.h"
#include "load/system_under_test.h"

namespace moecap::experiment {

struct WarmUpInput {
  const MeasurementPlan& plan;
  std::string system;  // its name, for messages
  record::Level level;
  std::function<bool()> stop_requested;  // may be empty
};

struct WarmUpResult {
  int bursts = 0;  // sent, of 1, 2, ... prompts at once
  int waves = 0;
  // How much the mean time per output token of the last wave differs from that of the one before: 0.1 = a tenth more or less.
  // Null for one wave.
  std::optional<double> difference;
  std::vector<std::string> control_answers;
};

// Waves that differ by more than that do not agree.
inline constexpr double kMostWaveDifference = 0.1;

// The control question alone, the bursts (none begins later than a minute after the first), then wave after wave with the
// level's requests in flight, the other questions amid the first one, until two agree, the planned waves run out, or another
// one as long as the last would end later than a minute after the first began; after that minute nothing is sent. A single
// planned wave has no limit. Error: kFailed when nothing was answered, or the server stopped answering, with what it had been
// sent; kInterrupted.
Result<WarmUpResult> WarmUp(const WarmUpInput& input, load::SystemUnderTest& system, const Clock& clock);

}  // namespace moecap::experiment
