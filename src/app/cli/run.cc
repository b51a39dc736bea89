// moecap run: one experiment from its configuration to the report.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "app/cli/cli.h"
#include "app/cli/interrupt.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "app/llamacpp_driver.h"
#include "app/openai_driver.h"
#include "base/clock.h"
#include "base/folder_lock.h"
#include "base/fs.h"
#include "base/progress.h"
#include "hardware/probe/probe.h"
#include "run/cost_figures.h"
#include "run/energy_meter.h"
#include "run/experiment.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

struct Flags {
  std::string config;
  std::string resume;
  std::string results_dir;
  bool json = false;
};

// Without an argument: examples/quickstart.yaml below the working directory or beside the build folder.
Result<fs::path> ConfigPath(const std::string& given) {
  if (!given.empty()) return fs::path(given);
  for (const fs::path& root : {fs::current_path(), ExecutableDir() / "../.."}) {
    const fs::path candidate = root / "examples/quickstart.yaml";
    if (fs::exists(candidate)) return candidate.lexically_normal();
  }
  return BadInput("no configuration given, and examples/quickstart.yaml is not here; run: moecap run CONFIG.yaml");
}

Status AddCeilings(run::Manifest& manifest, const Clock& clock) {
  ASSIGN_OR_RETURN(auto ceilings, hardware::LoadOrMeasureCeilings(manifest.host, {}, clock, CacheDir()));
  manifest.ceilings = std::move(ceilings.ceilings);
  return {};
}

Result<run::Results> NewResults(const run::RunConfig& config, const run::Experiment& experiment, const Invocation& invocation,
                                const run::EnergyMeter* energy, const Clock& clock) {
  run::Manifest manifest;
  manifest.run_id = WallTimeCompact() + "-" + config.name;
  manifest.started_at = WallTimeIso8601();
  manifest.moecap_version = kVersion;
  manifest.command = invocation.command;
  manifest.config = config;
  manifest.problems = experiment.problems();
  manifest.systems = experiment.Systems();
  manifest.host = hardware::DetectHost();
  ASSIGN_OR_RETURN(run::ResolvedCost cost, run::ResolveCostInputs(manifest.host, config));
  manifest.cost = std::move(cost.inputs);
  manifest.pay = cost.pay;
  hardware::UsedDevices used;
  for (const run::SystemDescription& system : manifest.systems)
    for (const int gpu : system.devices.energy.gpus) {
      if (std::ranges::find(used.gpus, gpu) == used.gpus.end()) used.gpus.push_back(gpu);
    }
  if (energy != nullptr) manifest.energy_source = energy->Describe(used);
  RETURN_IF_ERROR(MakeWritableDir(config.results_dir));
  fmt::print(stderr, "measuring this machine's bandwidth and FLOP ceilings (cached for a week)\n");
  RETURN_IF_ERROR(AddCeilings(manifest, clock));
  return run::Results::Create(config.results_dir, std::move(manifest));
}

// Locked before it is read, so that no other process finishes it in between.
Result<run::Results> StoredResults(const std::string& id_or_dir, const fs::path& results_dir, std::optional<FolderLock>& lock) {
  ASSIGN_OR_RETURN(const fs::path dir, RunDir(id_or_dir, results_dir));
  ASSIGN_OR_RETURN(FolderLock acquired, FolderLock::Acquire(dir));
  lock.emplace(std::move(acquired));
  ASSIGN_OR_RETURN(run::Results results, run::Results::Open(dir));
  if (results.manifest().complete)
    return BadInput(fmt::format("{} is complete; show it with: moecap report {}", id_or_dir, id_or_dir));
  RETURN_IF_ERROR(results.PrepareResume());
  return results;
}

Status Execute(run::Experiment& experiment, run::Results& results, RunIndex& index, run::EnergyMeter* energy,
               const Clock& clock) {
  const bool is_terminal = ::isatty(STDERR_FILENO) == 1;
  Progress progress(clock, stderr, is_terminal, "requests");
  run::ExperimentHooks hooks;
  hooks.stop_requested = [] { return InterruptRequested(); };
  hooks.energy = energy;
  hooks.on_progress = [&](const run::ProgressUpdate& update) { progress.Update(update.done, update.total, update.activity); };
  hooks.on_unit_stored = [&](const run::Results& stored) { index.Update(stored, store::RunStatus::kRunning); };
  return experiment.Execute(results, hooks);
}

run::DriverFactory Drivers(const Clock& clock) {
  return [embedded = LlamaCppDriverFactory(clock), server = OpenAiDriverFactory(clock)](const run::SystemConfig& system,
                                                                                        const run::RunConfig& config) {
    return system.server ? server(system, config) : embedded(system, config);
  };
}

// A system that answered nothing has no figures, so the run has failed for it. Everything is stored all the same.
Status CheckAnswered(const cap::RunSummary& summary, const run::Results& results) {
  for (const cap::SystemSummary& system : summary.systems) {
    int64_t requests = 0, failed = 0;
    for (const cap::CellSummary& cell : system.cells) {
      requests += cell.requests;
      failed += cell.failed;
    }
    if (requests == 0 || failed < requests) continue;
    ASSIGN_OR_RETURN(const auto records, results.ReadRequests());
    const auto first =
        std::ranges::find_if(records, [&](const record::RequestRecord& request) { return request.cell.system == system.name; });
    return Failed(fmt::format("system {}: all {} requests failed, the first one with: {}; the run is stored in {}", system.name,
                              requests, first != records.end() ? first->error : "", results.dir().string()));
  }
  return {};
}

// The meter of this machine when any system runs here; without one `why_not` says why, and is empty when only servers run.
std::unique_ptr<run::EnergyMeter> OpenMeter(const run::RunConfig& config, std::string& why_not) {
  if (std::ranges::all_of(config.systems, [](const run::SystemConfig& system) { return system.server.has_value(); }))
    return nullptr;
  return run::OpenEnergyMeter(why_not);
}

Status Run(const Flags& flags, const Invocation& invocation) {
  InstallInterruptHandler();
  RaiseOpenFileLimit();
  const SteadyClock clock;
  std::optional<FolderLock> lock;
  std::optional<run::Results> results;
  run::RunConfig config;
  if (!flags.resume.empty()) {
    ASSIGN_OR_RETURN(results, StoredResults(flags.resume, flags.results_dir.empty() ? kResultsDir : flags.results_dir, lock));
    config = results->manifest().config;
  } else {
    ASSIGN_OR_RETURN(const fs::path path, ConfigPath(flags.config));
    ASSIGN_OR_RETURN(config, run::ReadRunConfig(path));
    if (!flags.results_dir.empty()) config.results_dir = flags.results_dir;
  }
  ASSIGN_OR_RETURN(run::Experiment experiment, run::Experiment::Prepare(config, Drivers(clock), clock));
  std::string no_energy;
  const auto energy = OpenMeter(config, no_energy);
  if (!results) {
    ASSIGN_OR_RETURN(results, NewResults(config, experiment, invocation, energy.get(), clock));
    ASSIGN_OR_RETURN(FolderLock acquired, FolderLock::Acquire(results->dir()));
    lock.emplace(std::move(acquired));
  }
  if (!no_energy.empty()) fmt::print(stderr, "energy is an estimate: {}\n", no_energy);
  RunIndex index;
  index.Update(*results, store::RunStatus::kRunning);
  const Status executed = Execute(experiment, *results, index, energy.get(), clock);
  const store::RunStatus status = executed.ok() ? store::RunStatus::kComplete : store::RunStatus::kInterrupted;
  if (!executed.ok() && executed.error().kind != ErrorKind::kInterrupted) {
    index.Update(*results, status);
    return executed;
  }
  ASSIGN_OR_RETURN(const run::DerivedFigures figures, MakeFigures(*results));
  index.Update(*results, status, figures);
  const cap::RunSummary& summary = figures.summary;
  RETURN_IF_ERROR(WriteReports(summary, results->dir()));
  PrintSummary(summary, flags.json);
  fmt::print(stderr, "\nreport: {}\n", (results->dir() / "report.html").string());
  if (!executed.ok()) {
    return Error{ErrorKind::kInterrupted,
                 fmt::format("{}; finish it with: moecap run --resume {}", executed.error().message, results->dir().string())};
  }
  return CheckAnswered(summary, *results);
}

}  // namespace

Action AddRun(CLI::App& app, const Invocation& invocation) {
  auto flags = std::make_shared<Flags>();
  app.add_option("config", flags->config, "YAML file (default: examples/quickstart.yaml)");
  app.add_option("--resume", flags->resume, "finish an interrupted run, by id or folder")->excludes("config");
  app.add_option("--results-dir", flags->results_dir, "where runs are stored (default: results)");
  app.add_flag("--json", flags->json, "print the summary as JSON");
  app.footer("Example:\n  moecap run examples/quickstart.yaml\n\nConfiguration keys: docs/config.md");
  return [flags, &invocation] { return Run(*flags, invocation); };
}

}  // namespace moecap::app
