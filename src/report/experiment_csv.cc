#include "report/experiment_csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <functional>
#include <vector>

namespace moecap::report {
namespace {

std::string Quote(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string Bool(bool value) { return value ? "true" : "false"; }

std::string Number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? fmt::format("{}", *value) : "";
}

// A cell, or one measurement of it.
struct Line {
  const cap::JudgedExperiment& experiment;
  const cap::SystemSummary& system;
  const cap::CellSummary& cell;
  const cap::MeasurementSummary* measurement = nullptr;

  const cap::FigureValues& figures() const { return measurement != nullptr ? measurement->figures : cell.figures; }
  const std::vector<metrics::Gate>& gates() const { return measurement != nullptr ? measurement->gates : cell.gates; }
  bool IsValid() const { return measurement != nullptr ? measurement->complete && measurement->IsValid() : cell.IsValid(); }
};

std::string EstimatedKeys(const cap::FigureSet& estimates) {
  std::vector<std::string_view> keys;
  for (const cap::Figure& figure : cap::Figures()) {
    if (estimates.Has(figure.id)) keys.push_back(figure.key);
  }
  return fmt::format("{}", fmt::join(keys, " "));
}

struct CsvColumn {
  const char* name;
  std::string (*text)(const Line& line);
};

constexpr CsvColumn kIdentity[] = {
    {"run_id", [](const Line& line) { return line.experiment.summary.run_id; }},
    {"started_at", [](const Line& line) { return line.experiment.summary.started_at; }},
    {"workload", [](const Line& line) { return line.experiment.summary.workload; }},
    {"system", [](const Line& line) { return line.system.name; }},
    {"engine", [](const Line& line) { return line.system.engine; }},
    {"model_id", [](const Line& line) { return line.system.model_id; }},
    {"weight_type", [](const Line& line) { return line.system.weight_type; }},
    {"machine", [](const Line& line) { return line.system.machine.name; }},
    {"level_kind", [](const Line& line) { return std::string(record::Name(line.cell.level.kind)); }},
    {"level", [](const Line& line) { return Number(line.cell.level.value); }},
    {"repetition",
     [](const Line& line) { return line.measurement == nullptr ? "" : std::to_string(line.measurement->repeat + 1); }},
    {"repetitions", [](const Line& line) { return line.measurement == nullptr ? std::to_string(line.cell.repeats) : ""; }},
    {"complete",
     [](const Line& line) {
       return Bool(line.measurement == nullptr ? line.experiment.summary.complete : line.measurement->complete);
     }},
    {"valid", [](const Line& line) { return Bool(line.IsValid()); }},
    {"invalid_reasons",
     [](const Line& line) { return fmt::format("{}", fmt::join(metrics::TrippedWords(line.gates()), "; ")); }},
    {"estimates", [](const Line& line) { return EstimatedKeys(line.cell.estimates); }},
    {"energy_is_metered", [](const Line& line) { return Bool(line.cell.energy_is_metered); }},
};

void AppendLine(const Line& line, std::string& out) {
  bool first = true;
  for (const CsvColumn& column : kIdentity) {
    out += (first ? "" : ",") + Quote(column.text(line));
    first = false;
  }
  for (const cap::Figure& figure : cap::Figures()) out += "," + Number(line.figures()[figure.id]);
  out += '\n';
}

}  // namespace

std::string ExperimentsToCsv(std::span<const cap::JudgedExperiment> experiments) {
  std::string out;
  for (const CsvColumn& column : kIdentity) out += (out.empty() ? "" : ",") + std::string(column.name);
  for (const cap::Figure& figure : cap::Figures()) out += "," + std::string(figure.key);
  out += '\n';
  for (const cap::JudgedExperiment& experiment : experiments) {
    for (const cap::SystemSummary& system : experiment.summary.systems) {
      for (const cap::CellSummary& cell : system.cells) {
        AppendLine({experiment, system, cell}, out);
        for (const cap::MeasurementSummary& measurement : cell.measurements)
          AppendLine({experiment, system, cell, &measurement}, out);
      }
    }
  }
  return out;
}

}  // namespace moecap::report
