#include "analysis/index_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/imported.h"
#include "base/folder_lock.h"
#include "base/fs.h"
#include "base/paths.h"
#include "store/run_files.h"

namespace moecap::analysis {
namespace fs = std::filesystem;
namespace {

using experiment::Manifest;
using experiment::Results;

store::StoredCell ToStoredCell(const std::string& system, const cap::CellSummary& cell) {
  store::StoredCell stored{
      system, std::string(record::Name(cell.level.kind)), cell.level.value, cell.label, cell.repeats, cell.IsValid(), {}};
  for (const cap::Figure& figure : cap::Figures()) {
    const auto& value = cell.figures[figure.id];
    if (value) stored.figures.push_back({std::string(figure.key), *value, cell.estimates.Has(figure.id)});
  }
  std::ranges::sort(stored.figures, {}, &store::StoredFigure::key);
  return stored;
}

void AddCostInputs(const experiment::PricedSystem& system, store::StoredRun& run) {
  std::vector<std::string> keys = cost::CostInputKeys();
  std::ranges::sort(keys);
  for (const std::string& key : keys) {
    const auto& input = cost::GetCostInput(system.cost, key);
    if (!input) continue;
    run.cost_inputs.push_back(
        {system.description.name, key, input->value, input->low, input->high, input->source, input->date});
  }
}

// "a/b/" and "." have names, too.
std::string FolderName(const fs::path& dir) {
  const fs::path normal = Absolute(dir).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

Status AddFile(const fs::path& dir, const std::string& name, uint64_t bytes, bool hash, store::StoredRun& run) {
  store::StoredFile file{name, bytes, std::nullopt};
  if (hash) {
    ASSIGN_OR_RETURN(file.xxh3_64, store::HashFile(dir / name, bytes));
  }
  run.files.push_back(std::move(file));
  return {};
}

// The manifest and what it counts.
Status AddFiles(const Results& results, bool hash, store::StoredRun& run) {
  RETURN_IF_ERROR(AddFile(results.dir(), ManifestFileOf(results), run.manifest_json.size(), hash, run));
  ASSIGN_OR_RETURN(const std::vector<Results::File> files, results.Files());
  for (const Results::File& file : files)
    RETURN_IF_ERROR(AddFile(results.dir(), file.name.generic_string(), file.bytes, hash, run));
  std::error_code code;
  const fs::path imported = results.dir() / kImportedFolder;
  if (!fs::is_directory(imported, code)) return {};
  std::vector<fs::path> paths;
  for (auto entry = fs::recursive_directory_iterator(imported, code); !code && entry != fs::recursive_directory_iterator();
       entry.increment(code)) {
    if (entry->is_regular_file(code)) paths.push_back(entry->path());
  }
  std::ranges::sort(paths);
  for (const fs::path& path : paths)
    RETURN_IF_ERROR(
        AddFile(results.dir(), path.lexically_relative(results.dir()).generic_string(), fs::file_size(path, code), hash, run));
  return {};
}

}  // namespace

std::string ManifestFileOf(const Results& results) {
  const bool is_load01 = results.manifest().layout == Manifest::Layout::kLoad01;
  return is_load01 ? experiment::kLoadManifestName : experiment::kManifestName;
}

Result<store::StoredRun> ToStoredRun(const Results& results, store::RunStatus status,
                                     const std::optional<DerivedFigures>& figures) {
  const Manifest& manifest = results.manifest();
  const std::string dataset = manifest.config.problems ? manifest.config.problems->path.string() : "";
  store::StoredRun run;
  run.info = {manifest.run_id,         FolderName(results.dir()), status,  manifest.started_at,
              manifest.moecap_version, manifest.workload,         dataset, manifest.problems,
              manifest.host.cpu_model};
  ASSIGN_OR_RETURN(run.manifest_json, ReadFile(results.dir() / ManifestFileOf(results)));
  for (const experiment::PricedSystem& system : manifest.systems) {
    const experiment::SystemDescription& description = system.description;
    run.systems.push_back(
        {description.name, description.engine, description.model.id, description.model.weight_type, system.machine});
    AddCostInputs(system, run);
  }
  if (figures) {
    run.summary_json = figures->summary_json;
    for (const cap::SystemSummary& system : figures->summary.systems) {
      for (const cap::CellSummary& cell : system.cells) run.cells.push_back(ToStoredCell(system.name, cell));
    }
  }
  RETURN_IF_ERROR(AddFiles(results, status == store::RunStatus::kComplete, run));
  return run;
}

store::RunStatus StatusOf(const Results& results) {
  if (results.manifest().complete) return store::RunStatus::kComplete;
  return IsFolderLocked(results.dir()) ? store::RunStatus::kRunning : store::RunStatus::kInterrupted;
}

}  // namespace moecap::analysis
