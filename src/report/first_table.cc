#include "report/first_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/format.h"

namespace moecap::report {
namespace {

using cap::FigureId;

constexpr size_t kMostWarnings = 3;
constexpr size_t kMostNamed = 3;  // cells

}  // namespace

Table FirstTable(std::span<const ShownCell> cells) {
  std::vector<FigureColumn> columns = {
      {.id = FigureId::kAccuracy, .low = FigureId::kAccuracyLow, .high = FigureId::kAccuracyHigh},
      {.id = FigureId::kTtftP50, .group = "TTFT", .header = "p50"},
      {.id = FigureId::kTtftP99, .group = "TTFT", .header = "p99"},
      {.id = FigureId::kTpotMean},
      {.id = FigureId::kTimePerToken, .group = "output", .header = "ms/token", .spread = true, .unit_in_header = true},
      {.id = FigureId::kOutputRate, .group = "output", .header = "tokens/s", .spread = true, .unit_in_header = true},
      {.id = FigureId::kGoodput, .group = "goodput", .header = "req/s", .unit_in_header = true},
      {.id = FigureId::kUsdPerMillionTokens, .group = "cost", .header = "USD/1M tok", .spread = true, .unit_in_header = true},
      {.id = FigureId::kJoulesPerToken, .group = "energy", .header = "J/token", .unit_in_header = true},
      {.id = FigureId::kGpuJoulesPerToken, .group = "energy", .header = "GPU J/token", .unit_in_header = true}};
  // Memory is what systems with experts on disk trade.
  const auto on_disk = [](const ShownCell& shown) { return shown.cell->figures[FigureId::kExpertHits].has_value(); };
  if (std::ranges::any_of(cells, on_disk)) {
    columns.push_back({.id = FigureId::kMemory, .group = "memory", .header = "needed"});
    columns.push_back({.id = FigureId::kMemoryUsd, .group = "memory", .header = "USD", .unit_in_header = true});
    columns.push_back({.id = FigureId::kExpertHits, .group = "experts", .header = "in memory"});
  }
  Table table = CellTable("", cells, columns);
  table.name = "cells";
  return table;
}

// One sentence a gate: the cells that it spoils, and what its worst trip says. A machine that others use spoils many cells at
// once, and is said once.
std::vector<std::string> WarningsOf(std::span<const ShownCell> cells) {
  struct Trip {
    const metrics::Gate* worst;
    std::vector<std::string> where;
  };
  std::vector<Trip> trips;
  for (const ShownCell& shown : cells) {
    for (const metrics::Gate& gate : shown.cell->gates) {
      if (!gate.tripped()) continue;
      const auto same = [&](const Trip& trip) { return trip.worst->name == gate.name; };
      auto found = std::ranges::find_if(trips, same);
      if (found == trips.end()) found = trips.insert(trips.end(), {&gate, {}});
      if (metrics::Excess(gate) > metrics::Excess(*found->worst)) found->worst = &gate;
      found->where.push_back(shown.Name());
    }
  }
  std::vector<std::string> warnings;
  for (const Trip& trip : trips) {
    if (warnings.size() == kMostWarnings) {
      warnings.push_back(fmt::format("{} more: see the gates.", trips.size() - kMostWarnings));
      break;
    }
    const std::string where = trip.where.size() == cells.size() && cells.size() > 1 ? fmt::format("all {} cells", cells.size())
                              : trip.where.size() > kMostNamed ? fmt::format("{} of {} cells", trip.where.size(), cells.size())
                                                               : JoinWords(trip.where);
    warnings.push_back(fmt::format("Not valid: {}: {}: {}.", where, trip.worst->name, trip.worst->explanation));
  }
  return warnings;
}

}  // namespace moecap::report
