// A level as JSON, for json_fields.h. Heavy: include it in .cc files only.
#pragma once

#include <array>
#include <utility>

#include "base/json_fields.h"
#include "record/level.h"

namespace moecap::record {

constexpr auto JsonNames(LoadKind) {
  return std::array{std::pair{LoadKind::kClients, "clients"}, std::pair{LoadKind::kRate, "rates_per_s"},
                    std::pair{LoadKind::kUsers, "users"}, std::pair{LoadKind::kReplay, "replay"}};
}

void Fields(auto& archive, JsonFieldsOf<Level> auto& level) {
  archive("kind", level.kind);
  archive("value", level.value);
}

}  // namespace moecap::record
