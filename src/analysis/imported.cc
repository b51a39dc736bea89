#include "analysis/imported.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/fs.h"
#include "base/hash.h"
#include "base/paths.h"
#include "experiment/summarize.h"
#include "foreign/result_file.h"

namespace moecap::analysis {
namespace fs = std::filesystem;
namespace {

using foreign::Cell;
using foreign::ResultFile;

// The configuration that a manifest must have; nothing of it is measured or judged.
constexpr const char* kConfig =
    "name: imported\nserver:\n  url: http://imported.invalid\nworkload:\n  input_tokens: 1\n  output_tokens: 1\nload:\n  "
    "clients: [1]\n";

// Two digits, as the means of random lengths differ a little from run to run.
double Rounded(double value) {
  const double unit = std::pow(10, std::max(0.0, std::floor(std::log10(std::max(value, 1.0))) - 1));
  return std::round(value / unit) * unit;
}

// "1000 tokens in": of all cells that tell, when they agree.
std::string Lengths(const std::vector<ResultFile>& files, cap::FigureId id, const char* which) {
  std::set<double> lengths;
  for (const ResultFile& file : files) {
    for (const Cell& cell : file.cells) {
      if (cell.figures[id]) lengths.insert(Rounded(*cell.figures[id]));
    }
  }
  if (lengths.empty()) return fmt::format("lengths {} not told", which);
  if (lengths.size() == 1) return fmt::format("about {:g} tokens {}", *lengths.begin(), which);
  return fmt::format("about {:g} to {:g} tokens {}", *lengths.begin(), *lengths.rbegin(), which);
}

std::string WorkloadOf(const std::vector<ResultFile>& files) {
  return fmt::format("{}, {}", Lengths(files, cap::FigureId::kInputTokens, "in"),
                     Lengths(files, cap::FigureId::kOutputTokens, "out"));
}

// A name that RUN:SYSTEM@LEVEL can hold.
std::string SystemName(const ResultFile& file, const Cell& cell) {
  std::string name =
      cell.model.empty() ? std::string(foreign::Name(file.tool)) : fmt::format("{} ({})", cell.model, foreign::Name(file.tool));
  if (!cell.variant.empty()) name += ", " + cell.variant;
  for (char& c : name) {
    if (c == ':' || c == '@' || c == '#' || static_cast<unsigned char>(c) < 0x20) c = '-';
  }
  return name;
}

// Sums where a figure counts, else means over the repetitions that have it.
cap::FigureValues Pooled(const std::vector<cap::MeasurementSummary>& measurements) {
  using cap::FigureId;
  cap::FigureValues pooled;
  for (const cap::Figure& figure : cap::Figures()) {
    double sum = 0, count = 0;
    for (const cap::MeasurementSummary& measurement : measurements) {
      const auto& value = measurement.figures[figure.id];
      sum += value.value_or(0);
      count += value ? 1 : 0;
    }
    if (count == 0) continue;
    const bool counts = figure.id == FigureId::kRequests || figure.id == FigureId::kCompleted ||
                        figure.id == FigureId::kFailed || figure.id == FigureId::kCancelled;
    pooled[figure.id] = counts ? sum : sum / count;
  }
  return pooled;
}

cap::CellSummary& CellOf(cap::SystemSummary& system, const Cell& cell) {
  const auto found =
      std::ranges::find_if(system.cells, [&](const cap::CellSummary& known) { return known.level == cell.level; });
  if (found != system.cells.end()) return *found;
  cap::CellSummary& added = system.cells.emplace_back();
  added.level = cell.level;
  added.label = cell.label.empty() ? record::Label(cell.level) : cell.label;
  return added;
}

void AddCell(const ResultFile& file, const Cell& cell, cap::ExperimentSummary& summary) {
  const std::string name = SystemName(file, cell);
  auto found = std::ranges::find(summary.systems, name, &cap::SystemSummary::name);
  if (found == summary.systems.end()) {
    cap::SystemSummary system;
    system.name = name;
    system.engine = cell.engine;
    system.description =
        fmt::format("measured by {}{}", foreign::Name(file.tool), file.version.empty() ? "" : " " + file.version);
    system.in_process = false;
    system.model_id = cell.model;
    system.weight_type = cell.weight_type;
    system.machine.name = cell.machine;
    summary.systems.push_back(std::move(system));
    found = summary.systems.end() - 1;
  }
  cap::CellSummary& into = CellOf(*found, cell);
  cap::MeasurementSummary measurement;
  measurement.repeat = static_cast<int>(into.repeats++);
  measurement.name = fmt::format("{}-{}", record::FileName(cell.level), measurement.repeat);
  measurement.started_at = cell.started_at;
  measurement.ended_by = "all requests sent";
  measurement.figures = cell.figures;
  into.measurements.push_back(std::move(measurement));
  for (const std::string& note : cell.notes) {
    if (std::ranges::find(into.notes, note) == into.notes.end()) into.notes.push_back(note);
  }
}

cap::ExperimentSummary SummaryOf(const std::vector<ResultFile>& files, const experiment::Manifest& manifest) {
  cap::ExperimentSummary summary;
  summary.run_id = manifest.run_id;
  summary.started_at = manifest.started_at;
  summary.moecap_version = manifest.moecap_version;
  summary.name = manifest.run_id;
  summary.complete = manifest.complete;
  summary.workload = manifest.workload;
  summary.load = "as the tool says";
  for (const ResultFile& file : files) {
    for (const Cell& cell : file.cells) AddCell(file, cell, summary);
  }
  for (cap::SystemSummary& system : summary.systems) {
    std::ranges::stable_sort(system.cells, {}, [](const cap::CellSummary& cell) { return cell.level.value; });
    for (cap::CellSummary& cell : system.cells) cell.figures = Pooled(cell.measurements);
  }
  const foreign::Tool tool = files.front().tool;
  summary.notes.push_back(
      fmt::format("measured by {}, not by moecap; every figure is under that tool's definition", foreign::Name(tool)));
  for (const std::string& definition : foreign::DefinitionsOf(tool))
    summary.notes.push_back(fmt::format("{}: {}", foreign::Name(tool), definition));
  return summary;
}

Result<std::vector<ResultFile>> ReadAll(const std::vector<fs::path>& paths) {
  std::vector<ResultFile> files;
  for (const fs::path& path : paths) {
    ASSIGN_OR_RETURN(ResultFile file, foreign::ReadResultFile(path));
    if (!files.empty() && file.tool != files.front().tool)
      return BadInput(fmt::format("{} is of {}, {} of {}; import them one tool at a time", paths.front().string(),
                                  foreign::Name(files.front().tool), path.string(), foreign::Name(file.tool)));
    files.push_back(std::move(file));
  }
  return files;
}

// The files themselves, of folders all that lies in them.
Result<std::vector<fs::path>> FilesBelow(const std::vector<fs::path>& paths) {
  std::vector<fs::path> files;
  for (const fs::path& path : paths) {
    std::error_code code;
    if (!fs::is_directory(path, code)) {
      files.push_back(path);
      const std::string name = path.filename().string();
      const fs::path beside = path.parent_path() / ("metadata" + name.substr(std::min<size_t>(name.size(), 7)));
      if (name.starts_with("metrics") && fs::exists(beside, code)) files.push_back(beside);
      continue;
    }
    for (auto entry = fs::recursive_directory_iterator(path, code); !code && entry != fs::recursive_directory_iterator();
         entry.increment(code)) {
      const std::string name = entry->path().filename().string();
      if (name.ends_with(".json") && (name.starts_with("metrics") || name.starts_with("metadata")))
        files.push_back(entry->path());
    }
  }
  std::ranges::sort(files);
  return files;
}

// "20260428-105748-vllm-bench-serve-1a2b3c4d".
Result<std::string> RunId(const std::vector<fs::path>& files, foreign::Tool tool, const std::string& started_at) {
  uint64_t hash = 0;
  for (const fs::path& file : files) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
    hash = HashOf(text, hash);
  }
  std::string slug;
  for (const char c : foreign::Name(tool)) {
    if (c >= 'A' && c <= 'Z') {
      slug += static_cast<char>(c - 'A' + 'a');
    } else {
      slug += (c >= 'a' && c <= 'z') ? c : '-';
    }
  }
  std::string date;
  for (const char c : started_at.substr(0, 10)) {
    if (c != '-') date += c;
  }
  return fmt::format("{}{}-{:08x}", date.empty() ? "" : date + "-", slug, static_cast<uint32_t>(hash));
}

// NNN-NAME of each file, so that names may repeat; metadata keeps its place beside its metrics.
Status CopyFiles(const std::vector<fs::path>& files, const fs::path& to) {
  std::map<std::string, int> folders;
  for (const fs::path& file : files) {
    const auto [found, is_new] = folders.emplace(file.parent_path().string(), static_cast<int>(folders.size()));
    const fs::path folder = to / fmt::format("{:03}", found->second);
    RETURN_IF_ERROR(MakeWritableDir(folder));
    ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
    RETURN_IF_ERROR(WriteFileAtomically(folder / file.filename(), text));
  }
  return {};
}

experiment::Manifest ManifestOf(const cap::ExperimentSummary& summary, std::string run_id) {
  experiment::Manifest manifest;
  manifest.run_id = std::move(run_id);
  manifest.started_at = summary.started_at;
  manifest.workload = summary.workload;
  manifest.notes = summary.notes;
  for (const cap::SystemSummary& system : summary.systems) {
    experiment::PricedSystem& priced = manifest.systems.emplace_back();
    priced.description.name = system.name;
    priced.description.engine = system.engine;
    priced.description.description = system.description;
    priced.description.in_process = false;
    priced.description.on_this_machine = false;
    priced.description.model.id = system.model_id;
    priced.description.model.weight_type = system.weight_type;
    priced.machine = system.machine.name;
  }
  return manifest;
}

std::string FirstTime(const std::vector<ResultFile>& files) {
  std::string first;
  for (const ResultFile& file : files) {
    for (const Cell& cell : file.cells) {
      if (!cell.started_at.empty() && (first.empty() || cell.started_at < first)) first = cell.started_at;
    }
  }
  return first;
}

}  // namespace

bool IsImported(const fs::path& dir) {
  std::error_code code;
  return fs::is_directory(dir / kImportedFolder, code);
}

Result<fs::path> StoreResultFiles(const std::vector<fs::path>& paths, const fs::path& results_dir) {
  ASSIGN_OR_RETURN(const std::vector<ResultFile> files, ReadAll(paths));
  ASSIGN_OR_RETURN(const std::vector<fs::path> sources, FilesBelow(paths));
  experiment::Manifest base;
  base.started_at = FirstTime(files);
  base.workload = WorkloadOf(files);
  ASSIGN_OR_RETURN(const std::string run_id, RunId(sources, files.front().tool, base.started_at));
  std::error_code code;
  if (fs::exists(results_dir / run_id, code)) return results_dir / run_id;
  base.run_id = run_id;
  experiment::Manifest manifest = ManifestOf(SummaryOf(files, base), run_id);
  ASSIGN_OR_RETURN(manifest.config, experiment::ParseConfig(kConfig, "the imported run", Absolute(results_dir)));
  ASSIGN_OR_RETURN(experiment::Results results, experiment::Results::Create(results_dir, std::move(manifest)));
  RETURN_IF_ERROR(CopyFiles(sources, results.dir() / kImportedFolder));
  RETURN_IF_ERROR(results.MarkComplete());
  return results.dir();
}

Result<cap::ExperimentSummary> SummarizeStored(const experiment::Results& results) {
  if (!IsImported(results.dir())) return experiment::Summarize(results);
  std::vector<fs::path> paths;
  std::error_code code;
  for (auto entry = fs::recursive_directory_iterator(results.dir() / kImportedFolder, code);
       !code && entry != fs::recursive_directory_iterator(); entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (entry->is_regular_file(code) && !name.starts_with("metadata")) paths.push_back(entry->path());
  }
  std::ranges::sort(paths);
  if (paths.empty()) return BadInput(fmt::format("{}: the imported files are gone", results.dir().string()));
  ASSIGN_OR_RETURN(const std::vector<ResultFile> files, ReadAll(paths));
  return SummaryOf(files, results.manifest());
}

}  // namespace moecap::analysis
