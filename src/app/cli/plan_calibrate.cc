#include "app/cli/plan_calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "foreign/result_file.h"
#include "planner/fit.h"
#include "planner/question_file.h"

namespace moecap::app {
namespace {

using cap::FigureId;
using planner::Observation;

// As a row of the fit; null where something that it needs is not told.
std::optional<Observation> RowOf(const foreign::Cell& cell, const Observation& deployed) {
  const auto& input = cell.figures[FigureId::kInputTokens];
  const auto& output = cell.figures[FigureId::kOutputTokens];
  const auto& ttft = cell.figures[FigureId::kTtftMean];
  const auto& tpot = cell.figures[FigureId::kTpotMean];
  const int clients = record::ClientsOf(cell.level);
  if (clients < 1 || !input || !output || !ttft || !tpot || !(*ttft > 0 && *tpot > 0 && *input >= 1 && *output >= 1))
    return std::nullopt;
  Observation row = deployed;
  row.load.clients = clients;
  row.load.input_tokens = *input;
  row.load.output_tokens = *output;
  row.ttft_s = *ttft;
  row.tpot_s = *tpot;
  return row;
}

// Pull of the prior: as strong as so many measurements together.
constexpr double kPriorRows = 0.05;

planner::Multipliers FitTo(const planner::Multipliers& builtin, const std::vector<Observation>& rows) {
  planner::FitOptions options;
  options.ridge = kPriorRows / static_cast<double>(rows.size());
  const planner::Multipliers fitted = Fit(builtin, rows, FittedKeys(builtin, rows, planner::FitTarget::kTpot), options);
  options.target = planner::FitTarget::kTtft;
  return Fit(fitted, rows, FittedKeys(builtin, rows, planner::FitTarget::kTtft), options);
}

double MedianError(const std::vector<Observation>& rows, const planner::Multipliers& multipliers) {
  std::vector<double> errors;
  for (const Observation& row : rows)
    errors.push_back(std::abs(PredictTpotAt(row, multipliers.FactorsOf(row.system, *row.device)) / *row.tpot_s - 1));
  std::sort(errors.begin(), errors.end());
  return errors[errors.size() / 2];
}

std::vector<std::string> NotesOf(const planner::Multipliers& before, const planner::Multipliers& after,
                                 const std::vector<Observation>& rows, size_t unusable) {
  std::vector<std::string> notes;
  notes.push_back(fmt::format(
      "Multipliers are refitted to {} measured levels: the median error of their TPOT falls from {:.0f} to {:.0f} %.",
      rows.size(), 100 * MedianError(rows, before), 100 * MedianError(rows, after)));
  if (unusable > 0)
    notes.push_back(fmt::format("{} levels say too little: clients, lengths, TTFT and TPOT are needed.", unusable));
  for (const planner::Multiplier& entry : after.entries()) {
    const double ratio = entry.value / before.Find(entry.key)->value;
    if (std::abs(std::log(ratio)) < 0.02) continue;
    notes.push_back(fmt::format("{}: {:.3g} -> {:.3g}{}{}, on {:g} levels ({}).", entry.key, before.Find(entry.key)->value,
                                entry.value, entry.unit.empty() ? "" : " ", entry.unit, entry.rows, entry.meaning));
  }
  return notes;
}

}  // namespace

Result<Calibration> Calibrate(const CalibrationFlags& flags, const model::ModelSpec& spec, const hardware::Catalogue& devices,
                              const planner::Multipliers& builtin) {
  ASSIGN_OR_RETURN(const cost::MachinePart part, planner::ParseDevices(flags.device));
  ASSIGN_OR_RETURN(const hardware::Device device, devices.FindDevice(part.id));
  const planner::ModelWork work = planner::MakeModelWork(spec);
  Observation deployed{
      &work, &device, {static_cast<int>(part.count), 1, 1, 1}, planner::FabricOf(device, devices), flags.system};
  deployed.most_sequences = 1e6;
  std::vector<Observation> rows;
  size_t unusable = 0;
  for (const std::string& file : flags.files) {
    ASSIGN_OR_RETURN(const foreign::ResultFile results, foreign::ReadResultFile(file));
    for (const foreign::Cell& cell : results.cells) {
      if (auto row = RowOf(cell, deployed)) {
        rows.push_back(*std::move(row));
      } else {
        ++unusable;
      }
    }
  }
  if (rows.empty()) return BadInput("--calibrate: no level with clients, lengths, TTFT and TPOT");
  planner::Multipliers fitted = FitTo(builtin, rows);
  std::vector<std::string> notes = NotesOf(builtin, fitted, rows, unusable);
  return Calibration{std::move(fitted), std::move(notes)};
}

}  // namespace moecap::app
