// A server's own view of one measurement: what it counted and wrote down meanwhile, and whether it stayed the same server.
// Internal to experiment/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "experiment/driver.h"
#include "experiment/iteration_log.h"
#include "experiment/results.h"
#include "record/pass_record.h"

namespace moecap::experiment {

// Passes as the server tells them; empty where it does not.
struct OwnPasses {
  std::vector<LoggedPass> logged;            // in the log of a launched server
  std::vector<record::PassRecord> recorded;  // in the file of its configuration
  std::string missing;  // why there are none in that file, one sentence; "" = there are, or there is no file
};

class ServerWatch {
 public:
  // Right before the first request, when the warm-up has come to rest. `origin_ns`: the measurement's zero on `clock`, which
  // must be CLOCK_MONOTONIC where the server records its passes.
  static ServerWatch Begin(SystemDriver& driver, const Clock& clock, int64_t origin_ns);
  // When all requests have ended. Fills cached_tokens, server_counters and server_change.
  OwnPasses End(Measurement& measurement) const;

 private:
  ServerWatch(SystemDriver& driver, const Clock& clock, int64_t origin_ns)
      : driver_(driver), clock_(clock), origin_ns_(origin_ns) {}
  void AddRecorded(OwnPasses& own) const;

  SystemDriver& driver_;
  const Clock& clock_;
  int64_t origin_ns_;
  std::optional<load::ServerCounters> before_;
  std::optional<uint64_t> log_size_;
  uint64_t records_begin_ = 0;
  std::string records_missing_;
};

}  // namespace moecap::experiment
