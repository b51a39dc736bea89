// A server's own view of one measurement: what it counted meanwhile, and whether it stayed the same server. Internal to
// experiment/.
#pragma once

#include <optional>

#include "experiment/driver.h"
#include "experiment/results.h"

namespace moecap::experiment {

class ServerWatch {
 public:
  // Right before the first request, when the warm-up has come to rest.
  static ServerWatch Begin(SystemDriver& driver) { return {driver, driver.CountersSoFar()}; }
  // When all requests have ended. Fills cached_tokens, server_counters and server_change.
  void End(Measurement& measurement) const;

 private:
  ServerWatch(SystemDriver& driver, std::optional<load::ServerCounters> before) : driver_(driver), before_(before) {}

  SystemDriver& driver_;
  std::optional<load::ServerCounters> before_;
};

}  // namespace moecap::experiment
