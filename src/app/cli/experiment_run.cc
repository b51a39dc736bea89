#include "app/cli/experiment_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/judge.h"
#include "app/cli/interrupt.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "app/code_runner.h"
#include "app/llamacpp_driver.h"
#include "app/openai_driver.h"
#include "base/clock.h"
#include "base/folder_lock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/units.h"
#include "base/wall_clock.h"
#include "experiment/cost_figures.h"
#include "experiment/energy_meter.h"
#include "experiment/resume.h"
#include "experiment/runner.h"
#include "hardware/catalogue.h"
#include "hardware/probe/machine_watch.h"
#include "hardware/probe/probe.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

using experiment::Config;
using experiment::Experiment;
using experiment::Manifest;
using experiment::Results;

experiment::DriverFactory Drivers(LaunchRoom& room, const Clock& clock) {
  return [embedded = LlamaCppDriverFactory(clock), server = OpenAiDriverFactory(room, clock)](
             const experiment::SystemConfig& system, const Config& config) {
    return system.server ? server(system, config) : embedded(system, config);
  };
}

// The machine that the GPUs of an engine in this process make, as the driver calls them.
class GpuMachines {
 public:
  // Null: a system without GPUs here, or such as the catalogue does not have.
  std::optional<cost::MachineSpec> Of(const experiment::SystemDescription& system, const hardware::Catalogue& catalogue) {
    if (system.devices.gpus.empty() || !system.in_process) return std::nullopt;
    if (!here_) {
      here_ = hardware::DetectMachine();
      hardware::MatchCatalogue(catalogue, *here_);
    }
    return experiment::MachineOfGpus(system.devices.gpus, *here_);
  }

 private:
  std::optional<hardware::MachineInfo> here_;
};

// What is measured, on what, and what it costs; nothing is measured yet.
Result<Manifest> Describe(const Config& config, Experiment& experiment, const Invocation& invocation,
                          const experiment::EnergyMeter* energy) {
  Manifest manifest;
  manifest.run_id = WallTimeCompact() + "-" + config.name;
  manifest.started_at = WallTimeIso8601();
  manifest.moecap_version = kVersion;
  manifest.command = invocation.command;
  manifest.config = config;
  manifest.host = hardware::DetectHost();
  RETURN_IF_ERROR(experiment.Describe(manifest));
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  GpuMachines gpu_machines;
  for (size_t i = 0; i < config.systems.size(); ++i) {
    experiment::PricedSystem& priced = manifest.systems[i];
    experiment::SystemConfig system = config.systems[i];
    const auto& gpus = priced.description.devices.gpus;
    const std::optional<cost::MachineSpec> here = gpu_machines.Of(priced.description, catalogue);
    std::optional<cost::MachineSpec>& machine = system.machine.machine;
    const bool named = machine.has_value();
    if (!named) machine = here;
    ASSIGN_OR_RETURN(experiment::ResolvedCost cost, experiment::ResolveCost(manifest.host, system, config));
    priced.machine = std::move(cost.machine);
    priced.cost = std::move(cost.inputs);
    priced.pay = cost.pay;
    if (machine) {
      ASSIGN_OR_RETURN(priced.peaks, experiment::PeaksOf(*machine, priced.description.model.compute_type, catalogue));
    }
    if (!here) continue;
    if (experiment::SameAccelerators(*machine, *here, catalogue))
      experiment::TakeProbedBandwidth(gpus, hardware::ProbedGpus(manifest.host, CacheDir()), priced.peaks);
    if (named) continue;
    manifest.notes.push_back(fmt::format("{}: taken as {}, by what the driver calls {}; `machine` names another",
                                         priced.description.name, priced.machine, fmt::join(gpus, ", ")));
  }
  hardware::UsedDevices used;
  for (const experiment::PricedSystem& system : manifest.systems) {
    for (const int gpu : system.description.devices.energy.gpus) {
      if (std::ranges::count(used.gpus, gpu) == 0) used.gpus.push_back(gpu);
    }
  }
  if (energy != nullptr) manifest.energy_source = energy->Describe(used);
  return manifest;
}

// Of a server elsewhere this machine is only the client; a machine by name has its datasheet, a GPU that or its own probe,
// experts in host memory are read from here.
bool NeedsCeilings(const experiment::PricedSystem& system) {
  const experiment::SystemDevices& devices = system.description.devices;
  if (system.description.in_process) return devices.gpus.empty() || devices.cpu_experts != 0;
  return system.description.server_here && system.machine.empty();
}

Status AddCeilings(Manifest& manifest, const fs::path& cache_dir, const Clock& clock) {
  if (std::ranges::none_of(manifest.systems, NeedsCeilings)) return {};
  fmt::print(stderr, "this machine's bandwidth and FLOP ceilings (measured once a week)\n");
  ASSIGN_OR_RETURN(auto ceilings, hardware::LoadOrMeasureCeilings(manifest.host, {}, clock, cache_dir));
  manifest.ceilings = std::move(ceilings.ceilings);
  return {};
}

Result<Results> Create(Manifest manifest, const fs::path& results_dir, const fs::path& cache_dir, const Clock& clock) {
  RETURN_IF_ERROR(MakeWritableDir(results_dir));
  RETURN_IF_ERROR(AddCeilings(manifest, cache_dir, clock));
  return Results::Create(results_dir, std::move(manifest));
}

// Locked before it is read, so that no other process finishes it in between.
Result<Results> OpenToResume(const ExperimentFlags& flags, std::optional<FolderLock>& lock) {
  const fs::path results_dir = flags.results_dir.empty() ? kResultsDir : flags.results_dir;
  ASSIGN_OR_RETURN(const fs::path dir, StoredDir(flags.resume, results_dir));
  ASSIGN_OR_RETURN(FolderLock acquired, FolderLock::Acquire(dir));
  lock.emplace(std::move(acquired));
  ASSIGN_OR_RETURN(Results results, Results::Open(dir));
  if (results.manifest().complete)
    return BadInput(fmt::format("{} is complete; show it with: moecap report {}", flags.resume, flags.resume));
  return results;
}

// Half of an experiment from another machine, engine, model or configuration would be none. `refused` says what cannot be done
// then, `remedy` what can.
Status CheckUnchanged(const Manifest& stored, const Manifest& now, const char* refused, const std::string& remedy) {
  const std::vector<std::string> changes = experiment::ChangesSince(stored, now);
  if (changes.empty()) return {};
  std::string text;
  for (const std::string& change : changes) text += "\n  " + change;
  return BadInput(fmt::format("{} {}; since it began these changed:{}\n{}", stored.run_id, refused, text, remedy));
}

std::string TimeLeft(const experiment::ProgressUpdate& update, double elapsed_s) {
  if (update.measurements <= 1) return "";
  std::string text = fmt::format("; measurement {} of {}", update.measured + 1, update.measurements);
  if (update.measured > 0) {
    const double left_s = elapsed_s / update.measured * (update.measurements - update.measured);
    text += fmt::format(", about {} left in all", FormatSeconds(left_s));
  }
  return text;
}

// Progress on stderr: of the measurement, and of the whole.
class ProgressLine {
 public:
  explicit ProgressLine(const Clock& clock)
      : clock_(clock), progress_(clock, stderr, ::isatty(STDERR_FILENO) == 1, "requests"), started_ns_(clock.NowNs()) {}

  void Update(const experiment::ProgressUpdate& update) {
    const double elapsed_s = static_cast<double>(clock_.NowNs() - started_ns_) * 1e-9;
    std::string rest = TimeLeft(update, elapsed_s);
    if (update.waiting_for > 0)
      rest += fmt::format("; nothing from {} request{} for {:.0f} s", update.waiting_for, update.waiting_for == 1 ? "" : "s",
                          update.waiting_s);
    progress_.Update(update.done, update.planned, update.activity, rest);
  }

 private:
  const Clock& clock_;
  Progress progress_;
  int64_t started_ns_;
};

struct Measuring {
  experiment::EnergyMeter* energy;
  accuracy::ProgramRunner run_code;
  const std::optional<ShardRun>& shard;
  bool came_again = false;  // that shard was started before
};

// `index` may be null.
Status Measure(Experiment& experiment, Results& results, RunIndex* index, Measuring with, const Clock& clock) {
  std::vector<std::string> notes;
  Status status;
  {
    ProgressLine progress(clock);
    experiment::Hooks hooks;
    hooks.stop_requested = [] { return InterruptRequested(); };
    hooks.energy = with.energy;
    hooks.run_code = std::move(with.run_code);
    hooks.on_progress = [&](const experiment::ProgressUpdate& update) { progress.Update(update); };
    hooks.on_note = [&](const std::string& note) { notes.push_back(note); };
    if (index != nullptr) hooks.on_stored = [&](const Results& stored) { index->Update(stored, store::RunStatus::kRunning); };
    if (with.shard)
      hooks.shared_start = [&](int number) {
        return experiment::MeetForStart(with.shard->start, number, hooks.stop_requested);
      };
    if (with.shard)
      hooks.leave_together = [&](int number, bool is_last, double measured_s) {
        constexpr double kLeastPatienceS = 10;
        const experiment::ShardStartOptions& start = with.shard->start;
        const double patience_s = measured_s > 0 ? std::min(start.wait_s, std::max(kLeastPatienceS, measured_s)) : start.wait_s;
        return experiment::LeaveTogether(start, number, is_last, patience_s, hooks.stop_requested);
      };
    if (with.shard && with.came_again)
      hooks.has_begun = [&](int number) { return experiment::HasBegun(with.shard->start, number); };
    status = experiment.Execute(results, hooks);
  }
  for (const std::string& note : notes) fmt::print(stderr, "{}\n", note);
  return status;
}

Status Report(const Results& results, const Status& executed, const ExperimentFlags& flags, const char* verb, RunIndex& index) {
  ASSIGN_OR_RETURN(const cap::JudgedExperiment judged,
                   analysis::JudgeStored(results, {.include_invalid = flags.include_invalid}));
  index.Update(results, executed.ok() ? store::RunStatus::kComplete : store::RunStatus::kInterrupted, judged);
  RETURN_IF_ERROR(WriteReports(judged, results.dir()));
  PrintReport(judged, flags.json, flags.all);
  NameReports(results.dir());
  if (executed.ok()) return CheckAnswered(judged.summary, "; the run is stored in " + results.dir().string());
  return Error{ErrorKind::kInterrupted, fmt::format("{}; finish it with: moecap {} --resume {}", executed.error().message, verb,
                                                    results.dir().string())};
}

// What one shard saw is no figure of the load, so it makes no report.
Status ReportShard(const Results& results, const Status& executed, const ShardRun& run, const ExperimentFlags& flags) {
  if (!executed.ok()) return executed;
  const fs::path group = results.dir().parent_path();
  if (flags.json) {
    PrintText(DumpJsonPretty({{"shard", run.shard.shard.index},
                              {"shards", run.shard.shard.count},
                              {"group", run.shard.group},
                              {"folder", results.dir().string()}}));
  }
  fmt::print(stderr, "{} is in {}; when all have ended, join them with: moecap runs merge {}\n", InWords(run.shard.shard),
             results.dir().string(), group.string());
  return {};
}

// The folder of this shard, beside those of the others, locked. Of two processes that were given the same shard the second one
// is refused here, and tells nobody that it ended.
Result<FolderLock> ClaimShard(const ShardRun& run, const fs::path& dir) {
  RETURN_IF_ERROR(MakeWritableDir(dir));
  ASSIGN_OR_RETURN(FolderLock lock, FolderLock::Acquire(dir));
  if (const auto before = Results::Open(dir); before.ok() && before->manifest().complete) {
    return BadInput(fmt::format("{} is there already: {} of the load {} was made; give the new load another --shard-group",
                                dir.string(), InWords(run.shard.shard), run.shard.group));
  }
  return lock;
}

// One that was killed goes on in the folder that it has.
Result<Results> OpenShard(Manifest manifest, const ShardRun& run, const fs::path& dir, const Clock& clock) {
  manifest.shard = run.shard;
  if (!Results::IsExperiment(dir)) {
    RETURN_IF_ERROR(AddCeilings(manifest, CacheDir(), clock));
    return Results::CreateIn(dir, std::move(manifest));
  }
  ASSIGN_OR_RETURN(Results results, Results::Open(dir));
  RETURN_IF_ERROR(CheckUnchanged(
      results.manifest(), manifest, "cannot go on here",
      fmt::format("make the load anew, with another --shard-group than {} for all of its shards", run.shard.group)));
  RETURN_IF_ERROR(results.PrepareResume());
  fmt::print(stderr, "{} was begun before and goes on: {} measurements are there\n", InWords(run.shard.shard),
             results.manifest().measurements.size());
  return results;
}

// In its own folder `dir`, of which the caller has the lock.
Status RunShard(const Config& config, const ShardRun& run, const fs::path& dir, const ExperimentFlags& flags,
                const Invocation& invocation, const Clock& clock) {
  LaunchRoom room(config.results_dir, config.launch_together, InterruptRequested, [](const std::string&) {});
  accuracy::ProgramRunner run_code;
  if (config.problems && config.problems->run_code) {
    ASSIGN_OR_RETURN(run_code, MakeCodeRunner());
  }
  ASSIGN_OR_RETURN(Experiment experiment, Experiment::Prepare(config, Drivers(room, clock), clock));
  ASSIGN_OR_RETURN(Manifest manifest, Describe(config, experiment, invocation, nullptr));
  const bool came_again = Results::IsExperiment(dir);
  ASSIGN_OR_RETURN(Results results, OpenShard(std::move(manifest), run, dir, clock));
  experiment::ComeAfterAll(run.start);
  const std::optional<ShardRun> shard = run;
  const Status executed = Measure(experiment, results, nullptr, {nullptr, std::move(run_code), shard, came_again}, clock);
  return ReportShard(results, executed, run, flags);
}

// Shards that wait for this one learn that it failed.
Status RunOneOfSeveral(const Config& config, const ShardRun& run, const ExperimentFlags& flags, const Invocation& invocation,
                       const Clock& clock) {
  RETURN_IF_ERROR(experiment::CheckShards(config, run.shard.shard));  // all of them fail here, and none leaves a folder
  const fs::path dir = run.start.folder / experiment::ShardFolderName(run.shard.shard);
  ASSIGN_OR_RETURN(const FolderLock lock, ClaimShard(run, dir));
  const Status status = RunShard(config, run, dir, flags, invocation, clock);
  if (!status.ok()) experiment::GiveUp(run.start, status.error().message);
  return status;
}

}  // namespace

void AddExperimentFlags(CLI::App& app, ExperimentFlags& flags) {
  app.add_option("--resume", flags.resume, "finish an interrupted run, by id or folder");
  app.add_option("--results-dir", flags.results_dir, "where runs are stored (default: results)");
  app.add_flag("--all", flags.all, "print the whole report, not just its first screen");
  app.add_flag("--json", flags.json, "print the summary as JSON");
  app.add_flag("--include-invalid", flags.include_invalid, "judge cells in which a gate tripped, too");
  AddShardFlags(app, flags.shard);
}

Status RunExperiment(const std::optional<Config>& given, const ExperimentFlags& flags, const char* verb,
                     const Invocation& invocation) {
  InstallInterruptHandler();
  RaiseOpenFileLimit();
  const SteadyClock clock;
  std::optional<FolderLock> lock;
  std::optional<Results> results;
  if (!flags.resume.empty()) {
    if (!flags.shard.shard.empty()) return BadInput("a shard that is started again goes on by itself; leave out --resume");
    ASSIGN_OR_RETURN(results, OpenToResume(flags, lock));
    if (results->manifest().shard || results->manifest().merged_shards > 0)
      return BadInput(fmt::format(
          "{} is a part of a load or was merged from parts; a shard goes on when its own command is given again, and "
          "what all of them began without it, another load must measure",
          flags.resume));
  }
  Config config = given ? *given : results->manifest().config;
  if (!flags.results_dir.empty()) config.results_dir = flags.results_dir;
  ASSIGN_OR_RETURN(const std::optional<ShardRun> shard, ShardOf(flags.shard, config.results_dir));
  if (shard) return RunOneOfSeveral(config, *shard, flags, invocation, clock);
  LaunchRoom room(config.results_dir, config.launch_together, InterruptRequested,
                  [](const std::string& line) { fmt::print(stderr, "{}\n", line); });
  if (results) RETURN_IF_ERROR(room.MoveTo(results->dir()));
  accuracy::ProgramRunner run_code;
  if (config.problems && config.problems->run_code) {
    ASSIGN_OR_RETURN(run_code, MakeCodeRunner());
  }
  ASSIGN_OR_RETURN(Experiment experiment, Experiment::Prepare(config, Drivers(room, clock), clock));
  std::string no_energy;
  const auto energy = experiment.RunsHere() ? experiment::OpenEnergyMeter(no_energy) : nullptr;
  ASSIGN_OR_RETURN(Manifest manifest, Describe(config, experiment, invocation, energy.get()));
  if (results) {
    RETURN_IF_ERROR(CheckUnchanged(results->manifest(), manifest, "cannot be finished here", "start a new one instead"));
    RETURN_IF_ERROR(results->PrepareResume());
  } else {
    ASSIGN_OR_RETURN(results, Create(std::move(manifest), config.results_dir, CacheDir(), clock));
    ASSIGN_OR_RETURN(FolderLock acquired, FolderLock::Acquire(results->dir()));
    lock.emplace(std::move(acquired));
    RETURN_IF_ERROR(room.MoveTo(results->dir()));
  }
  for (const std::string& note : results->manifest().notes) fmt::print(stderr, "{}\n", note);
  if (!no_energy.empty()) fmt::print(stderr, "energy is an estimate: {}\n", no_energy);
  if (const auto busy = hardware::BusyMachineNow(clock)) fmt::print(stderr, "warning: {}\n", *busy);
  RunIndex index;
  index.Update(*results, store::RunStatus::kRunning);
  const Status executed = Measure(experiment, *results, &index, {energy.get(), std::move(run_code), shard}, clock);
  if (!executed.ok() && executed.error().kind != ErrorKind::kInterrupted) {
    index.Update(*results, store::RunStatus::kInterrupted);
    return executed;
  }
  return Report(*results, executed, flags, verb, index);
}

Status AskForExperts(Results& results, const Invocation& invocation) {
  InstallInterruptHandler();
  RaiseOpenFileLimit();
  const SteadyClock clock;
  ASSIGN_OR_RETURN(const FolderLock lock, FolderLock::Acquire(results.dir()));
  const Config config = results.manifest().config;
  LaunchRoom room(config.results_dir, config.launch_together, InterruptRequested, [](const std::string&) {});
  ASSIGN_OR_RETURN(Experiment experiment, Experiment::Prepare(config, Drivers(room, clock), clock));
  ASSIGN_OR_RETURN(Manifest now, Describe(config, experiment, invocation, nullptr));
  now.host = results.manifest().host;  // any client may ask
  RETURN_IF_ERROR(CheckUnchanged(results.manifest(), now, "cannot be asked about: the experts would be those of something else",
                                 "merge again where they are as they were"));
  ProgressLine progress(clock);
  experiment::Hooks hooks;
  hooks.stop_requested = [] { return InterruptRequested(); };
  hooks.on_progress = [&](const experiment::ProgressUpdate& update) { progress.Update(update); };
  return experiment.AskForExperts(results, hooks);
}

Result<cap::JudgedExperiment> MeasureInScratch(Config config, const fs::path& scratch, const Invocation& invocation) {
  InstallInterruptHandler();
  RaiseOpenFileLimit();
  const SteadyClock clock;
  config.results_dir = scratch / kResultsDir;
  LaunchRoom room(config.results_dir, config.launch_together, InterruptRequested, [](const std::string&) {});
  ASSIGN_OR_RETURN(Experiment experiment, Experiment::Prepare(config, Drivers(room, clock), clock));
  std::string no_energy;
  const auto energy = experiment.RunsHere() ? experiment::OpenEnergyMeter(no_energy) : nullptr;
  ASSIGN_OR_RETURN(Manifest manifest, Describe(config, experiment, invocation, energy.get()));
  std::error_code none_cached;
  const std::string fingerprint = hardware::HostFingerprint(manifest.host);
  fs::copy_file(hardware::CeilingsCacheFile(CacheDir(), fingerprint), hardware::CeilingsCacheFile(scratch, fingerprint),
                none_cached);
  ASSIGN_OR_RETURN(Results results, Create(std::move(manifest), config.results_dir, scratch, clock));
  const std::optional<ShardRun> alone;
  const Status executed = Measure(experiment, results, nullptr, {energy.get(), {}, alone}, clock);
  if (!executed.ok() && executed.error().kind == ErrorKind::kInterrupted)
    return Error{ErrorKind::kInterrupted, "interrupted; nothing is kept"};
  RETURN_IF_ERROR(executed);
  ASSIGN_OR_RETURN(cap::JudgedExperiment judged, analysis::JudgeStored(results, {}));
  RETURN_IF_ERROR(CheckAnswered(judged.summary, ""));
  return judged;
}

}  // namespace moecap::app
