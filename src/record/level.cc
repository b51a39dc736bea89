#include "record/level.h"

#include <fmt/format.h>

namespace moecap::record {

std::string_view Name(LoadKind kind) {
  constexpr std::string_view kNames[] = {"clients", "rates_per_s", "users", "replay"};
  return kNames[static_cast<size_t>(kind)];
}

bool IsOpenLoop(LoadKind kind) { return kind == LoadKind::kRate || kind == LoadKind::kReplay; }

std::string Label(const Level& level) {
  const char* plural = level.value == 1 ? "" : "s";
  switch (level.kind) {
    case LoadKind::kClients:
      return fmt::format("{} client{}", level.value, plural);
    case LoadKind::kRate:
      return fmt::format("{:.4g} requests/s", level.value);
    case LoadKind::kUsers:
      return fmt::format("{} user{}", level.value, plural);
    case LoadKind::kReplay:
      break;
  }
  return "replayed trace";
}

std::string FileName(const Level& level) {
  if (level.kind == LoadKind::kReplay) return "replay";
  return fmt::format("{}-{}", level.kind == LoadKind::kRate ? "rate" : Name(level.kind), level.value);
}

int ClientsOf(const Level& level) { return IsOpenLoop(level.kind) ? 0 : static_cast<int>(level.value); }

}  // namespace moecap::record
