#include "app/cli/trace_cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "experiment/results.h"
#include "record/level.h"
#include "trace/import.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

Result<std::vector<TraceCell>> CellsOfFile(const fs::path& file) {
  ASSIGN_OR_RETURN(const std::vector<record::CellId> ids, trace::CellsOf(file));
  std::vector<TraceCell> cells;
  for (const record::CellId& id : ids) {
    const std::string level = id.concurrency > 0 ? record::Label({record::LoadKind::kClients, double(id.concurrency)}) : "";
    cells.push_back({id.system, level, id.repeat, file, id});
  }
  return cells;
}

}  // namespace

std::string TraceCell::Label() const { return fmt::format("{}{}{}#{}", system, level.empty() ? "" : "@", level, repeat); }

Result<std::vector<TraceCell>> TraceCells(const fs::path& path, bool with_experts) {
  std::error_code code;
  if (!fs::is_directory(path, code)) {
    const auto kind = trace::DetectKind(path);
    if (!kind.ok() || *kind != trace::ImportKind::kPasses) return std::vector<TraceCell>();
    return CellsOfFile(path);
  }
  if (!experiment::Results::IsExperiment(path)) {
    return fs::exists(path / "passes.jsonl", code) ? CellsOfFile(path / "passes.jsonl") : std::vector<TraceCell>();
  }
  ASSIGN_OR_RETURN(const experiment::Results results, experiment::Results::Open(path));
  if (fs::exists(path / "passes.jsonl", code)) return CellsOfFile(path / "passes.jsonl");  // of version 0.1
  std::vector<TraceCell> cells;
  // They ran in random order.
  std::vector<experiment::Measurement> measurements = results.manifest().measurements;
  std::ranges::stable_sort(measurements, {}, [](const experiment::Measurement& measurement) {
    return std::tuple(measurement.system, measurement.level.value, measurement.repeat);
  });
  for (const experiment::Measurement& measurement : measurements) {
    if (!measurement.complete) continue;
    const std::string& name = measurement.routing_of.empty() ? measurement.name : measurement.routing_of;
    const fs::path file = path / "measurements" / name / "passes.jsonl";
    if (!fs::exists(file, code)) continue;
    if (with_experts) {
      ASSIGN_OR_RETURN(const std::vector<record::CellId> ids, trace::CellsOf(file));
      if (ids.empty()) continue;
    }
    cells.push_back({measurement.system, record::Label(measurement.level), measurement.repeat, file, std::nullopt});
  }
  if (cells.empty())
    return BadInput(fmt::format("{}: no measurement of this run holds {}", path.string(),
                                with_experts ? "the experts of its passes" : "its passes"));
  return cells;
}

Result<std::vector<TraceCell>> ChooseCells(std::vector<TraceCell> cells, const std::string& text) {
  std::string list;
  for (const TraceCell& cell : cells) list += fmt::format("{}{}", list.empty() ? "" : ", ", cell.Label());
  const size_t at = text.find('@'), hash = text.find('#', at == std::string::npos ? 0 : at);
  const std::string system = text.substr(0, std::min(at, hash));
  const std::string level =
      at == std::string::npos ? "" : text.substr(at + 1, hash == std::string::npos ? hash : hash - at - 1);
  const std::string repeat = hash == std::string::npos ? "" : text.substr(hash + 1);
  std::erase_if(cells, [&](const TraceCell& cell) {
    const bool same_level = level.empty() || cell.level == level || cell.level.starts_with(level + " ");
    return cell.system != system || !same_level || (!repeat.empty() && std::to_string(cell.repeat) != repeat);
  });
  if (cells.empty()) return BadInput(fmt::format("--cell {}: there is no such cell; there are {}", text, list));
  return cells;
}

}  // namespace moecap::app
