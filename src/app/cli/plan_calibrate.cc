#include "app/cli/plan_calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "analysis/imported.h"
#include "analysis/transfer.h"
#include "app/cli/stored_runs.h"
#include "app/measured_levels.h"
#include "base/paths.h"
#include "foreign/result_file.h"
#include "planner/fit.h"
#include "planner/question_file.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

using planner::Observation;

// Pull of the prior for each squared logarithm by which a multiplier moves, where a level pulls by 1 for each logarithm that it
// is off: one level moves its prediction by a factor of 1.5 at the most, two that agree by 2.2, three by 3.3.
constexpr double kPull = 0.5;

planner::Multipliers FitTo(const planner::Multipliers& builtin, const std::vector<Observation>& rows) {
  planner::FitOptions options;
  options.ridge = kPull / static_cast<double>(rows.size());
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
    notes.push_back(fmt::format(
        "Levels left out: {}. Clients, lengths, TTFT and TPOT are needed, a known model on devices of one kind, and "
        "no gate that tripped.",
        unusable));
  for (const planner::Multiplier& entry : after.entries()) {
    const double ratio = entry.value / before.Find(entry.key)->value;
    if (entry.rows < 1 || std::abs(std::log(ratio)) < 0.02) continue;
    notes.push_back(fmt::format("{}: {:.3g} -> {:.3g}{}{}, on {:g} levels ({}).", entry.key, before.Find(entry.key)->value,
                                entry.value, entry.unit.empty() ? "" : " ", entry.unit, entry.rows, entry.meaning));
  }
  return notes;
}

// Rows from all sources, and what they point to.
class Sources {
 public:
  Sources(const CalibrationFlags& flags, const model::ModelSpec& spec, const hardware::Catalogue& devices)
      : flags_(flags), spec_(spec), devices_(devices), runs_(devices) {}

  Status Add(const std::string& source) {
    if (const auto dir = StoredDir(source); dir.ok() && !analysis::IsImported(*dir)) return runs_.Add(*dir);
    if (const std::vector<fs::path> folders = IsFolder(source) ? analysis::RunFolders(source) : std::vector<fs::path>();
        !folders.empty()) {
      for (const fs::path& folder : folders) {
        if (!analysis::IsImported(folder)) RETURN_IF_ERROR(runs_.Add(folder));
      }
      return {};
    }
    return AddFile(source);
  }

  std::vector<Observation> Rows() const {
    std::vector<Observation> rows = rows_;
    for (const MeasuredLevel& level : runs_.levels()) {
      if (level.valid) rows.push_back(level.observation);
    }
    return rows;
  }
  size_t unusable() const {
    return unusable_ + runs_.unusable() + static_cast<size_t>(std::ranges::count(runs_.levels(), false, &MeasuredLevel::valid));
  }

 private:
  Status AddFile(const std::string& file) {
    ASSIGN_OR_RETURN(const foreign::ResultFile results, foreign::ReadResultFile(file));
    if (flags_.device.empty() || flags_.system.empty())
      return BadInput(fmt::format("{} does not say what it was measured on: give --measured-on and --measured-with", file));
    ASSIGN_OR_RETURN(const cost::MachinePart part, planner::ParseDevices(flags_.device));
    ASSIGN_OR_RETURN(device_, devices_.FindDevice(part.id));
    if (!work_) work_ = planner::MakeModelWork(spec_);
    Observation row{
        &*work_, &device_, {static_cast<int>(part.count), 1, 1, 1}, planner::FabricOf(device_, devices_), flags_.system};
    row.most_sequences = 1e6;
    for (const foreign::Cell& cell : results.cells) {
      if (SetTimes(cell.level, cell.figures, row)) {
        rows_.push_back(row);
      } else {
        ++unusable_;
      }
    }
    return {};
  }

  const CalibrationFlags& flags_;
  const model::ModelSpec& spec_;
  const hardware::Catalogue& devices_;
  hardware::Device device_;  // of --measured-on
  std::optional<planner::ModelWork> work_;
  std::vector<Observation> rows_;
  MeasuredLevels runs_;
  size_t unusable_ = 0;
};

}  // namespace

Result<Calibration> Calibrate(const CalibrationFlags& flags, const model::ModelSpec& spec, const hardware::Catalogue& devices,
                              const planner::Multipliers& builtin) {
  Sources sources(flags, spec, devices);
  for (const std::string& source : flags.sources) RETURN_IF_ERROR(sources.Add(source));
  const std::vector<Observation> rows = sources.Rows();
  if (rows.empty()) return BadInput("--calibrate: no valid closed-loop level with lengths, TTFT and TPOT");
  planner::Multipliers fitted = FitTo(builtin, rows);
  std::vector<std::string> notes = NotesOf(builtin, fitted, rows, sources.unusable());
  return Calibration{std::move(fitted), std::move(notes)};
}

}  // namespace moecap::app
