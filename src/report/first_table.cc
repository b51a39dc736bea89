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
      {FigureId::kAccuracy, "", "", false, FigureId::kAccuracyLow, FigureId::kAccuracyHigh},
      {FigureId::kTtftP50, "TTFT", "p50"},
      {FigureId::kTtftP99, "TTFT", "p99"},
      {FigureId::kTpotMean, "TPOT", "mean", true},
      {FigureId::kTimePerToken, "output token", "time", true},
      {FigureId::kOutputRate, "", "output", true},
      {FigureId::kGoodput, "", "", true},
      {FigureId::kUsdPerMillionTokens, "1M tokens", "cost", true},
      {FigureId::kJoulesPerToken, "a token", "energy", true}};
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
    warnings.push_back(fmt::format("Not valid: {}: {}", JoinWords(trip.where), Sentence(trip.reason)));
  }
  return warnings;
}

}  // namespace moecap::report
