// A server's counters in its /metrics (Prometheus text).
#pragma once

#include <string_view>

#include "load/server_counters.h"
#include "system/openai/dialect.h"

namespace moecap::openai {

// By the names that servers of that kind use; every release of them that was met is tried. Sums over label sets.
load::ServerCounters CountersOnPage(ServerKind kind, std::string_view metrics);

}  // namespace moecap::openai
