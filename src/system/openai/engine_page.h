// What a server's /metrics (Prometheus text) tell of its engine.
#pragma once

#include <string_view>

#include "load/engine_snapshot.h"
#include "system/openai/dialect.h"

namespace moecap::openai {

// By the names that servers of that kind use (docs/watch.md has the table). Sums over label sets.
load::EngineSnapshot EngineOnPage(ServerKind kind, std::string_view metrics);

}  // namespace moecap::openai
