#include "report/first_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/format.h"

namespace moecap::report {
namespace {

using cap::FigureId;

constexpr size_t kMostWarnings = 6;

}  // namespace

Table FirstTable(std::span<const ShownCell> cells) {
  const std::vector<FigureColumn> columns = {
      {.id = FigureId::kAccuracy, .low = FigureId::kAccuracyLow, .high = FigureId::kAccuracyHigh},
      {.id = FigureId::kTtftP50, .group = "TTFT", .header = "p50"},
      {.id = FigureId::kTtftP99, .group = "TTFT", .header = "p99"},
      {.id = FigureId::kTpotMean},
      {.id = FigureId::kTimePerToken, .group = "output", .header = "ms/token", .spread = true, .unit_in_header = true},
      {.id = FigureId::kOutputRate, .group = "output", .header = "tokens/s", .spread = true, .unit_in_header = true},
      {.id = FigureId::kGoodput, .group = "goodput", .header = "req/s", .unit_in_header = true},
      {.id = FigureId::kUsdPerMillionTokens, .group = "cost", .header = "USD/1M tok", .spread = true, .unit_in_header = true},
      {.id = FigureId::kJoulesPerToken, .group = "energy", .header = "J/token", .unit_in_header = true}};
  Table table = CellTable("", cells, columns);
  table.name = "cells";
  return table;
}

std::vector<std::string> WarningsOf(std::span<const ShownCell> cells) {
  struct Trip {
    std::string reason;
    std::vector<std::string> where;
  };
  std::vector<Trip> trips;
  for (const ShownCell& shown : cells) {
    const std::string reason = shown.cell->IsValid() ? "" : InvalidReason(*shown.cell);
    if (reason.empty()) continue;
    auto found = std::ranges::find(trips, reason, &Trip::reason);
    if (found == trips.end()) found = trips.insert(trips.end(), {reason, {}});
    found->where.push_back(shown.Name());
  }
  std::vector<std::string> warnings;
  for (const Trip& trip : trips) {
    if (warnings.size() == kMostWarnings) {
      warnings.push_back(fmt::format("{} more: see the gates.", trips.size() - kMostWarnings));
      break;
    }
    warnings.push_back(fmt::format("Not valid: {}: {}.", JoinWords(trip.where), trip.reason));
  }
  return warnings;
}

}  // namespace moecap::report
