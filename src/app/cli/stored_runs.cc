#include "app/cli/stored_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/json.h"
#include "loadtest/results.h"
#include "report/summary_json.h"
#include "run/summarize.h"
#include "store/run_files.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLatest = "latest";

bool IsRun(const fs::path& dir) {
  std::error_code error;
  return fs::exists(dir / "manifest.json", error) || loadtest::LoadResults::IsLoadTest(dir);
}

// Null when the folder cannot be read.
std::optional<std::string> StartOf(const fs::path& dir) {
  if (loadtest::LoadResults::IsLoadTest(dir)) {
    const auto results = loadtest::LoadResults::Open(dir);
    return results.ok() ? std::optional(results->manifest().started_at) : std::nullopt;
  }
  const auto results = run::Results::Open(dir);
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
        if (!dir.ok() || !IsRun(*dir)) continue;
        indexed.insert(run.info.path);
        runs.push_back({run.info.run_id, *dir, run.info.started_at});
      }
    }
  }
  for (const fs::path& dir : run::RunFolders(results_dir)) {
    if (!indexed.contains(dir.filename().string())) runs.push_back({dir.filename().string(), dir, ""});
  }
  for (const fs::path& dir : LoadTestFolders(results_dir)) runs.push_back({dir.filename().string(), dir, ""});
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

}  // namespace

std::vector<fs::path> LoadTestFolders(const fs::path& results_dir) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(results_dir, error)) {
    if (loadtest::LoadResults::IsLoadTest(entry.path())) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

Result<fs::path> StoredDir(const std::string& name, const fs::path& results_dir) {
  if (IsRun(name)) {
    const fs::path dir = fs::path(name).lexically_normal();
    return dir.has_filename() ? dir : dir.parent_path();
  }
  if (!name.empty() && name.find('/') == std::string::npos) {
    if (IsRun(results_dir / name)) return results_dir / name;
    std::vector<NamedRun> runs = NamedRuns(results_dir);
    if (name == kLatest) return LatestRun(std::move(runs), results_dir);
    std::erase_if(runs, [&](const NamedRun& run) { return !run.run_id.starts_with(name); });
    if (runs.size() == 1) return runs.front().dir;
    std::vector<std::string> ids;
    for (const NamedRun& run : runs) ids.push_back(run.run_id);
    if (!ids.empty()) return Ambiguous(name, std::move(ids));
  }
  if (fs::is_directory(name)) return BadInput(fmt::format("{} is no run's folder: it has no manifest.json", name));
  return BadInput(
      fmt::format("{} is not a stored run: neither a run's folder, nor an id in {} or the beginning of one; list them "
                  "with: moecap runs",
                  name, results_dir.string()));
}

Result<fs::path> RunDir(const std::string& name, const fs::path& results_dir) {
  ASSIGN_OR_RETURN(fs::path dir, StoredDir(name, results_dir));
  if (loadtest::LoadResults::IsLoadTest(dir))
    return BadInput(
        fmt::format("{} is a load test; it has latencies and no accuracy: show it with moecap report", dir.string()));
  return dir;
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

Result<run::DerivedFigures> MakeFigures(const run::Results& results) {
  ASSIGN_OR_RETURN(cap::RunSummary summary, run::SummarizeStored(results));
  std::string text = DumpJsonPretty(report::SummaryToJson(summary));
  return run::DerivedFigures{std::move(summary), std::move(text)};
}

void RunIndex::Update(const run::Results& results, store::RunStatus status, const std::optional<run::DerivedFigures>& figures) {
  const auto update = [&]() -> Status {
    ASSIGN_OR_RETURN(const store::StoredRun run, run::ToStoredRun(results, status, figures));
    ASSIGN_OR_RETURN(store::RunStore index,
                     store::RunStore::Open(fs::absolute(results.dir()).parent_path(), store::Access::kCreate));
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

}  // namespace moecap::app
