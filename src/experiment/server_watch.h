// A server's own view of one measurement: what it counted meanwhile, and whether it stayed the same server. Internal to
// experiment/.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "experiment/driver.h"
#include "experiment/iteration_log.h"
#include "experiment/results.h"

namespace moecap::experiment {

class ServerWatch {
 public:
  // Right before the first request, when the warm-up has come to rest.
  static ServerWatch Begin(SystemDriver& driver) { return {driver, driver.CountersSoFar(), driver.LogSize()}; }
  // When all requests have ended. Fills cached_tokens, server_counters and server_change. The passes in the server's own log,
  // if there is one.
  std::vector<LoggedPass> End(Measurement& measurement) const;

 private:
  ServerWatch(SystemDriver& driver, std::optional<load::ServerCounters> before, std::optional<uint64_t> log_size)
      : driver_(driver), before_(before), log_size_(log_size) {}

  SystemDriver& driver_;
  std::optional<load::ServerCounters> before_;
  std::optional<uint64_t> log_size_;
};

}  // namespace moecap::experiment
