#include "app/cli/stored_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "analysis/imported.h"
#include "analysis/judge.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/paths.h"
#include "report/experiment_json.h"
#include "store/run_files.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

using experiment::Results;

constexpr const char* kLatest = "latest";

// Null when the folder cannot be read.
std::optional<std::string> StartOf(const fs::path& dir) {
  const auto results = Results::Open(dir);
  return results.ok() ? std::optional(results->manifest().started_at) : std::nullopt;
}

struct NamedRun {
  std::string run_id;
  fs::path dir;
  std::string started_at;  // empty until it is asked for
};

// Indexed runs and folders that are not indexed. An index that cannot be read leaves the folders.
std::vector<NamedRun> NamedRuns(const fs::path& results_dir) {
  std::vector<NamedRun> runs;
  std::set<std::string> indexed;
  if (store::RunStore::Exists(results_dir)) {
    const auto index = store::RunStore::Open(results_dir, store::Access::kRead);
    const auto listed = index.ok() ? index->List({}) : index.error();
    if (listed.ok()) {
      for (const store::RunListing& run : *listed) {
        const auto dir = store::FolderBelow(results_dir, run.info.path);
        if (!dir.ok() || !Results::IsExperiment(*dir)) continue;
        indexed.insert(run.info.path);
        runs.push_back({run.info.run_id, *dir, run.info.started_at});
      }
    }
  }
  for (const fs::path& dir : analysis::RunFolders(results_dir)) {
    if (!indexed.contains(dir.filename().string())) runs.push_back({dir.filename().string(), dir, ""});
  }
  return runs;
}

Result<fs::path> LatestRun(std::vector<NamedRun> runs, const fs::path& results_dir) {
  std::erase_if(runs, [](NamedRun& run) {
    if (!run.started_at.empty()) return false;
    const auto started_at = StartOf(run.dir);
    run.started_at = started_at.value_or("");
    return !started_at;
  });
  if (runs.empty()) return BadInput(fmt::format("there is no run in {}; make one with: moecap run", results_dir.string()));
  return std::max_element(runs.begin(), runs.end(),
                          [](const NamedRun& a, const NamedRun& b) {
                            return std::pair(a.started_at, a.run_id) < std::pair(b.started_at, b.run_id);
                          })
      ->dir;
}

Error Ambiguous(const std::string& name, std::vector<std::string> ids) {
  constexpr size_t kMost = 5;
  std::sort(ids.begin(), ids.end());
  const size_t more = ids.size() > kMost ? ids.size() - kMost : 0;
  ids.resize(ids.size() - more);
  return BadInput(fmt::format("\"{}\" is the beginning of several run ids: {}{}; give more of it", name, fmt::join(ids, ", "),
                              more > 0 ? fmt::format(" and {} more", more) : ""));
}

analysis::DerivedFigures FiguresOf(const cap::JudgedExperiment& judged) {
  return {judged.summary, DumpJsonPretty(report::ExperimentToJson(judged))};
}

}  // namespace

Result<fs::path> StoredDir(const std::string& name, const fs::path& results_dir) {
  if (Results::IsExperiment(name)) {
    const fs::path dir = fs::path(name).lexically_normal();
    return dir.has_filename() ? dir : dir.parent_path();
  }
  if (!name.empty() && name.find('/') == std::string::npos) {
    if (Results::IsExperiment(results_dir / name)) return results_dir / name;
    std::vector<NamedRun> runs = NamedRuns(results_dir);
    if (name == kLatest) return LatestRun(std::move(runs), results_dir);
    std::erase_if(runs, [&](const NamedRun& run) { return !run.run_id.starts_with(name); });
    if (runs.size() == 1) return runs.front().dir;
    std::vector<std::string> ids;
    for (const NamedRun& run : runs) ids.push_back(run.run_id);
    if (!ids.empty()) return Ambiguous(name, std::move(ids));
  }
  if (IsFolder(name)) return BadInput(fmt::format("{} is no run's folder: it has no {}", name, experiment::kManifestName));
  return BadInput(
      fmt::format("{} is not a stored run: neither a run's folder, nor an id in {} or the beginning of one; list them "
                  "with: moecap runs",
                  name, results_dir.string()));
}

Result<std::string> RunIdOf(const store::RunStore& store, const std::string& name) {
  store::RunFilter filter;
  if (name == kLatest) {
    filter.limit = 1;
  } else {
    filter.id_begin = name;
  }
  ASSIGN_OR_RETURN(const std::vector<store::RunListing> runs, store.List(filter));
  std::vector<std::string> ids;
  for (const store::RunListing& run : runs) {
    if (run.info.run_id == name) return name;
    ids.push_back(run.info.run_id);
  }
  if (name.empty() || ids.empty())
    return BadInput(fmt::format("no run \"{}\" in {}; list them with: moecap runs", name, store.database().path().string()));
  if (ids.size() > 1) return Ambiguous(name, std::move(ids));
  return ids.front();
}

Result<cap::ExperimentSummary> SummaryOf(const Results& results) {
  if (!results.manifest().figures_only) return analysis::SummarizeStored(results);
  const fs::path file = results.dir() / experiment::kSummaryName;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  auto json = ParseJson(text);
  if (!json.ok()) return Annotate(file.string(), json.error());
  auto judged = report::ExperimentFromJson(*json);
  if (!judged.ok()) return Annotate(file.string(), judged.error());
  return std::move(judged->summary);
}

Result<analysis::DerivedFigures> MakeFigures(const Results& results) {
  ASSIGN_OR_RETURN(cap::JudgedExperiment judged, analysis::JudgeStored(results, {}, SummaryOf));
  return FiguresOf(judged);
}

void RunIndex::Update(const Results& results, store::RunStatus status, const std::optional<cap::JudgedExperiment>& judged) {
  const auto update = [&]() -> Status {
    std::optional<analysis::DerivedFigures> figures;
    if (judged) figures = FiguresOf(*judged);
    ASSIGN_OR_RETURN(const store::StoredRun run, analysis::ToStoredRun(results, status, figures));
    ASSIGN_OR_RETURN(store::RunStore index,
                     store::RunStore::Open(Absolute(results.dir()).parent_path(), store::Access::kCreate));
    return index.Put(run);
  };
  const Status updated = update();
  if (updated.ok() || warned_) return;
  warned_ = true;
  fmt::print(
      stderr,
      "\nwarning: this run is not in the index: {}\nIts folder holds everything; index it later with: moecap runs import {}\n",
      updated.error().message, results.dir().string());
}

Status CheckAnswered(const cap::ExperimentSummary& summary, const std::string& where) {
  using cap::FigureId;
  for (const cap::SystemSummary& system : summary.systems) {
    double offered = 0, completed = 0;
    std::string why;
    for (const cap::CellSummary& cell : system.cells) {
      offered += cell.figures[FigureId::kRequests].value_or(0);
      completed += cell.figures[FigureId::kCompleted].value_or(0);
      for (const cap::MeasurementSummary& measurement : cell.measurements) {
        const auto& errors = measurement.load.errors;
        if (why.empty() && !errors.empty() && !errors.front().messages.empty()) why = errors.front().messages.front();
      }
    }
    if (offered == 0 || completed > 0) continue;
    return Failed(fmt::format("{}: none of {:.0f} requests was answered{}{}{}", system.name, offered,
                              why.empty() ? "" : ", the first failed with: ", why, where));
  }
  return {};
}

}  // namespace moecap::app
