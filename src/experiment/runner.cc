#include "experiment/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/wall_clock.h"
#include "experiment/expert_questions.h"
#include "experiment/scoring.h"
#include "experiment/search.h"
#include "experiment/server_watch.h"
#include "experiment/warm_up.h"
#include "hardware/probe/machine_watch.h"
#include "load/event_log.h"
#include "load/load_loop.h"
#include "metrics/concurrency.h"

namespace moecap::experiment {
namespace {

constexpr int64_t kEnergyReadIntervalNs = 60'000'000'000;
constexpr double kSharedMemory = 0.5;            // of the free memory, for models that stay loaded
constexpr int64_t kReadyBeforeNs = 100'000'000;  // what is watched during the measurement is read so long before it begins

Error Interrupted() { return Error{ErrorKind::kInterrupted, "interrupted; what was measured is kept"}; }

int Threads(const Config& config, const SystemDescription& system) { return system.in_process ? 1 : config.client_threads; }

// The letters that every server takes in a salt, and not too many of them.
std::string SafeSalt(const std::string& run_id, const std::string& name) {
  std::string salt = fmt::format("{}.{}", run_id, name);
  for (char& c : salt) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  constexpr size_t kMost = 100;
  return salt.size() <= kMost ? salt : salt.substr(0, 60) + salt.substr(salt.size() - 40);
}

std::vector<std::vector<int32_t>> TokenIds(const std::vector<record::RequestRecord>& requests) {
  std::vector<std::vector<int32_t>> ids;
  ids.reserve(requests.size());
  for (const record::RequestRecord& request : requests) ids.push_back(request.token_ids);
  return ids;
}

// Equal tokens mean equal batches, pass by pass, as the engine's scheduling depends on nothing else.
bool HasSameBatches(const load::LoadResult& a, const load::LoadResult& b) {
  if (a.passes.size() != b.passes.size() || TokenIds(a.requests) != TokenIds(b.requests)) return false;
  for (size_t i = 0; i < a.passes.size(); ++i) {
    if (a.passes[i].sequences != b.passes[i].sequences) return false;
  }
  return true;
}

// Nobody reads what a server said to made-up prompts.
void DropAnswers(std::vector<record::RequestRecord>& requests) {
  for (record::RequestRecord& request : requests) {
    request.text.clear();
    request.token_ids.clear();
  }
}

}  // namespace

// One execution: measurements into `results`.
class Experiment::Session {
 public:
  Session(Experiment& experiment, Results& results, const Hooks& hooks)
      : experiment_(experiment),
        config_(experiment.config_),
        results_(results),
        hooks_(hooks),
        clock_(*experiment.clock_),
        experts_(config_.problems.has_value()) {
    if (const auto& shard = results.manifest().shard) shard_ = shard->shard;
    for (const PricedSystem& system : results.manifest().systems) {
      if (system.launch) earlier_starts_[system.description.name] = system.launch->starts;
    }
  }

  Status Run() {
    const Status measured = MeasureAll();
    UnloadOthers(nullptr);
    const Status stored = StoreLaunches();
    RETURN_IF_ERROR(measured);
    RETURN_IF_ERROR(stored);
    for (const auto& driver : experiment_.drivers_) RETURN_IF_ERROR(MeasureHeadRoom(*driver));
    return missed_ == 0 ? results_.MarkComplete() : Status();
  }

  Status AskForExperts() {
    return AskAbout([this](const Measurement& measurement) {
      return MayAskForExperts(results_.manifest().FindSystem(measurement.system)->description.model,
                              *measurement.server_passes);
    });
  }

 private:
  struct Unit {
    SystemDriver& driver;
    Measurement measurement;
    std::string activity;
    load::LoadResult records;
    OwnPasses own;          // of a server that tells them
    int64_t origin_ns = 0;  // time 0 of the records
  };

  Status MeasureAll() {
    if (config_.search) return RunSearches();
    const std::vector<Planned> order = OrderOf(config_);
    measurements_ = measurements_planned_ = static_cast<int>(order.size());
    for (const Planned& planned : order) {
      RETURN_IF_ERROR(Measure(planned));
      ++number_;
    }
    return CaptureExperts();
  }

  Status RunSearches() {
    for (size_t i = 0; i < experiment_.drivers_.size(); ++i) {
      const std::string& name = config_.systems[i].name;
      ASSIGN_OR_RETURN(const load::SloSearchResult found, Search(results_, name, [&](double level, int repeat) {
                         return Measure({i, {config_.load.kind, level}, repeat});
                       }));
      const bool several = experiment_.drivers_.size() > 1;
      if (hooks_.on_note) hooks_.on_note(several ? fmt::format("{}: {}", name, found.verdict) : found.verdict);
    }
    return {};
  }

  // Nothing is measured twice.
  Status Measure(const Planned& planned) {
    SystemDriver& driver = *experiment_.drivers_[planned.system];
    const std::string& name = driver.description().name;
    if (results_.Find(name, planned.level, planned.repeat) != nullptr) {
      --measurements_;
      return {};
    }
    if (hooks_.has_begun && hooks_.has_begun(number_)) {
      --measurements_;
      ++missed_;
      if (hooks_.on_note)
        hooks_.on_note(fmt::format("{}: the other shards began it before this one was started again, so that it lacks a part",
                                   Activity(planned)));
      Leave(planned, 0);
      return {};
    }
    Unit unit{driver, {}, {}, {}, {}, 0};
    unit.measurement.system = name;
    unit.measurement.level = planned.level;
    unit.measurement.repeat = planned.repeat;
    unit.measurement.threads = Threads(config_, driver.description());
    unit.activity = Activity(planned);
    UnloadOthers(&driver);
    const Status measured = MeasureUnit(planned, unit);
    RETURN_IF_ERROR(StoreLaunches());
    if (!measured.ok()) {
      const std::string end = driver.WhyItEnded();
      return end.empty() ? measured : Error{measured.error().kind, fmt::format("{}\n{}", measured.error().message, end)};
    }
    ++measured_;
    if (hooks_.on_stored) hooks_.on_stored(results_);
    if (unit.records.interrupted) return Interrupted();
    if (hooks_.leave_together) Report(unit, 0, 0, ", waiting for the other shards");
    Leave(planned, static_cast<double>(clock_.NowNs() - unit.origin_ns) * 1e-9);
    return {};
  }

  void Leave(const Planned& planned, double measured_s) const {
    if (!hooks_.leave_together) return;
    const std::string others = hooks_.leave_together(number_, number_ + 1 == measurements_planned_, measured_s);
    if (!others.empty() && hooks_.on_note)
      hooks_.on_note(fmt::format("{}: {} had not ended it when this shard went on", Activity(planned), others));
  }

  Status MeasureUnit(const Planned& planned, Unit& unit) {
    ASSIGN_OR_RETURN(const auto plan, PlanFor(planned, unit.driver));
    if (config_.flush_cache) RETURN_IF_ERROR(unit.driver.FlushPrefixCache());
    StartOptions start;
    start.threads = unit.measurement.threads;
    start.connections = Connections(config_, unit.driver.description(), planned.level, shard_);
    start.request_id_prefix = RunName() + (results_.manifest().shard ? fmt::format(".{}", shard_.index) : "");
    start.keep_text = config_.problems.has_value() || planned.level.kind == record::LoadKind::kUsers;
    ASSIGN_OR_RETURN(const auto instance, unit.driver.Start(start));
    RETURN_IF_ERROR(WarmUpFor(*plan, unit, *instance->systems().front()));
    RETURN_IF_ERROR(Drive(*plan, unit, *instance));
    if (!unit.records.interrupted) {
      if (const auto& set = config_.problems) {
        const PreparedProblems& prepared = experiment_.problems_;
        RETURN_IF_ERROR(
            Score(*set, prepared.problems, prepared.prompter->prompt().stop, hooks_.run_code, unit.records.requests));
      }
      RETURN_IF_ERROR(AddRouting(unit, *instance));
      RETURN_IF_ERROR(AddServerPasses(*plan, unit, /*capture=*/false));
    }
    unit.measurement.complete = !unit.records.interrupted;
    const bool compares = unit.measurement.server_passes && unit.measurement.server_passes->experts_due;  // with a second run
    if (!config_.problems && !unit.driver.description().in_process && !compares) DropAnswers(unit.records.requests);
    return results_.End(unit.measurement, unit.records);
  }

  Result<std::unique_ptr<MeasurementPlan>> PlanFor(const Planned& planned, SystemDriver& driver) {
    const std::string salt =
        SafeSalt(RunName(), fmt::format("{}.{}.{}", planned.system, FileName(planned.level), planned.repeat));
    return MeasurementPlan::Create(experiment_.InputFor(planned.level, NumberOf(planned), salt, shard_), driver);
  }

  // The same for all shards of a load.
  const std::string& RunName() const {
    const Manifest& manifest = results_.manifest();
    return manifest.shard ? manifest.shard->group : manifest.run_id;
  }

  // Of servers that tell experts only when they were started for it: they are started once more, after all that is timed.
  Status CaptureExperts() {
    return AskAbout([](const Measurement& measurement) { return measurement.server_passes->experts_due; });
  }

  // `due`: of a measurement with server_passes.
  Status AskAbout(const std::function<bool(const Measurement&)>& due) {
    for (size_t i = 0; i < experiment_.drivers_.size(); ++i) {
      SystemDriver& driver = *experiment_.drivers_[i];
      for (const Measurement& stored : std::vector<Measurement>(results_.manifest().measurements)) {
        if (stored.system != driver.description().name || !stored.complete || !stored.server_passes || !due(stored)) continue;
        UnloadOthers(&driver);
        const Planned planned{i, stored.level, stored.repeat};
        ASSIGN_OR_RETURN(Facts facts, results_.ReadFacts(stored));
        Unit unit{driver, stored, Activity(planned), std::move(facts.records), {}, 0};
        ASSIGN_OR_RETURN(const auto plan, PlanFor(planned, driver));
        RETURN_IF_ERROR(AddServerPasses(*plan, unit, /*capture=*/true));
        RETURN_IF_ERROR(results_.End(unit.measurement, unit.records));
        RETURN_IF_ERROR(StoreLaunches());
      }
    }
    return {};
  }

  // Starts of an earlier process stay.
  Status StoreLaunches() {
    for (const auto& driver : experiment_.drivers_) {
      if (driver->launch() == nullptr) continue;
      LaunchFacts launch = *driver->launch();
      const auto& earlier = earlier_starts_[driver->description().name];
      launch.starts.insert(launch.starts.begin(), earlier.begin(), earlier.end());
      RETURN_IF_ERROR(results_.SetLaunch(driver->description().name, launch));
    }
    return {};
  }

  Status WarmUpFor(const MeasurementPlan& plan, Unit& unit, load::SystemUnderTest& system) {
    if (plan.warmup().empty() && plan.bursts().empty()) return {};
    Report(unit, plan.own_requests(), 0, ", warm-up");
    Measurement& measurement = unit.measurement;
    ASSIGN_OR_RETURN(WarmUpResult result,
                     WarmUp({plan, measurement.system, measurement.level, hooks_.stop_requested}, system, clock_));
    measurement.control_answers = std::move(result.control_answers);
    measurement.warmup_bursts = result.bursts;
    measurement.warmup_waves = result.waves;
    measurement.warmup_difference = result.difference;
    return {};
  }

  // The timed part.
  Status Drive(MeasurementPlan& plan, Unit& unit, SystemInstance& instance) {
    Measurement& measurement = unit.measurement;
    const std::vector<load::SystemUnderTest*> systems = instance.systems();
    ASSIGN_OR_RETURN(const auto sources,
                     plan.MakeSources(config_, measurement.level, measurement.threads, unit.driver.TakesMessages()));
    ASSIGN_OR_RETURN(unit.origin_ns, Origin(plan, unit));
    ASSIGN_OR_RETURN(measurement.name, results_.MakeFolder(measurement, plan.entries()));
    const load::LoadOptions options = OptionsFor(plan, unit);
    const load::EventLogHeader header{options.cell, *options.origin_ns, measurement.started_at};
    std::vector<load::EventLogWriter> logs;
    for (int thread = 0; thread < measurement.threads; ++thread) {
      ASSIGN_OR_RETURN(load::EventLogWriter log,
                       load::EventLogWriter::Create(results_.EventLogFile(measurement.name, thread), header, clock_));
      logs.push_back(std::move(log));
    }
    RETURN_IF_ERROR(results_.List(measurement));
    std::vector<load::LoadShard> shards;
    for (size_t i = 0; i < systems.size(); ++i) shards.push_back({systems[i], sources[i].get(), &logs[i]});
    EnergyMeter* energy = unit.driver.description().RunsHere() ? hooks_.energy : nullptr;
    instance.BeginMeasurement();
    const ServerWatch server = ServerWatch::Begin(unit.driver, clock_, *options.origin_ns);
    SleepUntil(clock_, unit.origin_ns - kReadyBeforeNs, hooks_.stop_requested);
    const hardware::MachineWatch watch = hardware::MachineWatch::Begin(clock_);
    if (energy != nullptr) energy->Begin();
    ASSIGN_OR_RETURN(unit.records, load::RunLoadOnThreads(shards, options, clock_));
    if (energy != nullptr) {
      // A part would be taken for the whole: then the nameplate estimates what was not counted.
      const auto counted = hardware::EnergyOf(energy->SinceBegin(), unit.driver.description().devices.energy);
      if (counted.complete()) measurement.energy_j = counted.joules;
      measurement.gpu_energy_j = counted.gpus_j;
    }
    measurement.machine_use = watch.End();
    unit.own = server.End(measurement);
    for (load::EventLogWriter& log : logs) RETURN_IF_ERROR(log.Close());
    KeepEnd(unit.records, measurement);
    return {};
  }

  static void KeepEnd(const load::LoadResult& records, Measurement& measurement) {
    measurement.ended_by = records.ended_by;
    measurement.held_back = records.held_back;
    measurement.cpu_s = records.cpu_s;
    measurement.loop_s = records.loop_s;
    measurement.ran_ahead = records.ran_ahead;
    for (ShardPart& part : measurement.parts) {
      part.start_late_s = records.began_s;
      part.longest_stall_s = records.longest_stall_s;
      part.missing = records.interrupted ? "it was interrupted" : "";
    }
  }

  // Time 0 of the records: now, or when all shards begin.
  Result<int64_t> Origin(const MeasurementPlan& plan, Unit& unit) {
    Measurement& measurement = unit.measurement;
    if (!hooks_.shared_start) {
      measurement.started_at = WallTimeIso8601();
      return clock_.NowNs();
    }
    Report(unit, plan.own_requests(), 0, ", waiting for the other shards");
    ASSIGN_OR_RETURN(SharedStart start, hooks_.shared_start(number_));
    measurement.started_at = Iso8601(start.wall_ns);
    measurement.shards = shard_.count;
    measurement.parts = {{.index = shard_.index, .missing = "it was killed, or goes on", .clock = std::move(start.clock)}};
    return SteadyTimeOf(start.wall_ns, clock_);
  }

  load::LoadOptions OptionsFor(const MeasurementPlan& plan, const Unit& unit) {
    const Measurement& measurement = unit.measurement;
    load::LoadOptions options;
    options.cell = {measurement.system, record::ClientsOf(measurement.level), measurement.repeat};
    options.duration_s = config_.duration_s;
    options.drain_s = config_.drain_s;
    options.most_error_share = config_.most_error_share;
    const int threads = measurement.threads * shard_.count;
    options.most_in_flight = (config_.load.most_in_flight + threads - 1) / threads;
    options.stop_requested = hooks_.stop_requested;
    options.origin_ns = unit.origin_ns;
    const SystemDescription& system = unit.driver.description();
    options.ahead_of_others = !system.in_process && system.on_this_machine;
    options.logged_only = IsLeftToLog(system);
    EnergyMeter* energy = unit.driver.description().RunsHere() ? hooks_.energy : nullptr;
    options.on_progress = [this, &plan, &unit, energy,
                           last_read_ns = clock_.NowNs()](const load::LoadProgress& progress) mutable {
      // Reading takes a system call or a few: often enough for counters that wrap, too seldom to cost anything.
      if (energy != nullptr && clock_.NowNs() - last_read_ns > kEnergyReadIntervalNs) {
        (void)energy->SinceBegin();
        last_read_ns = clock_.NowNs();
      }
      Report(unit, plan.own_requests(), progress.ended, "", progress);
    };
    return options;
  }

  // Whether nobody looks at the records before the report, which reads the event logs.
  bool IsLeftToLog(const SystemDescription& system) const {
    const bool shows_passes = !system.model.layers.empty() && !results_.manifest().shard;
    return !system.in_process && !config_.problems && !shows_passes;
  }

  // Repetitions that generate the same tokens run the same batches and share one instrumented execution.
  Status AddRouting(Unit& unit, SystemInstance& instance) {
    if (unit.driver.description().model.MoeLayers() == 0 || unit.records.passes.empty()) return {};
    const Measurement* reference = nullptr;
    for (const Measurement& measurement : results_.manifest().measurements) {
      if (measurement.complete && measurement.system == unit.measurement.system &&
          measurement.level == unit.measurement.level && measurement.routing_of.empty())
        reference = &measurement;
    }
    if (reference != nullptr) {
      ASSIGN_OR_RETURN(const Facts facts, results_.ReadFacts(*reference));
      if (HasSameBatches(facts.records, unit.records)) {
        unit.measurement.routing_of = reference->name;
        for (size_t i = 0; i < unit.records.passes.size(); ++i)
          unit.records.passes[i].distinct_experts = facts.records.passes[i].distinct_experts;
        return {};
      }
    }
    ASSIGN_OR_RETURN(unit.measurement.replay_same_tokens, instance.AddRouting(unit.records.passes));
    return {};
  }

  // What a server computed: as it wrote it down itself, or as far as it shows, and then its experts come from a second run of
  // the same requests, since the timed one streams. `capture`: the server runs so that it tells them.
  Status AddServerPasses(const MeasurementPlan& plan, Unit& unit, bool capture) {
    const SystemDescription& system = unit.driver.description();
    if (system.in_process || system.model.layers.empty()) return {};
    const ServerPassFacts timed = unit.measurement.server_passes.value_or(ServerPassFacts());  // where experts were due
    ServerPassFacts& facts = unit.measurement.server_passes.emplace();
    facts.logged = timed.logged;
    facts.logged_alike = timed.logged_alike;
    facts.recorded_missing = capture ? timed.recorded_missing : unit.own.missing;
    const std::vector<record::RequestRecord>& requests = unit.records.requests;
    const auto known = unit.driver.PassesOf();
    if (known) {
      facts.prefill = known->rule.prefill;
      facts.most_tokens = known->rule.most_tokens;
      facts.most_tokens_source = known->limit_is_assumed ? "assumed: " + known->limit_source : known->limit_source;
    }
    if (results_.manifest().shard) {
      facts.missing = "one shard sees its own requests only";
      return {};
    }
    metrics::PassReconstruction passes =
        ReconstructServerPasses(requests, known ? &known->rule : nullptr, unit.own.logged, facts);
    const auto& given = results_.manifest().FindSystem(unit.measurement.system)->sheet;
    const routing::ActivationSheet* sheet = given ? &*given : nullptr;
    if (UseRecordedPasses(system.model, sheet, unit.own.recorded, passes, facts)) {
      KeepPasses(std::move(passes.passes), unit);
      return {};
    }
    if (!facts.missing.empty()) return {};
    facts.fit = passes.fit;
    std::vector<const ToldExperts*> told(requests.size());
    if (system.model.MoeLayers() > 0) {
      facts.capture_flags = unit.driver.CaptureFlags();
      if (!capture && !facts.capture_flags.empty()) {
        facts.experts_due = !config_.search;
        facts.experts_missing = facts.experts_due
                                    ? fmt::format("they are asked for later, of a server started with {}", facts.capture_flags)
                                    : fmt::format("a search does not start its server anew with {}", facts.capture_flags);
      } else {
        const ExpertQuestions::Asker asker{unit.driver, Connections(config_, system, unit.measurement.level, shard_),
                                           hooks_.stop_requested,
                                           [&] { Report(unit, plan.requests(), 0, ", asking for experts"); }};
        ASSIGN_OR_RETURN(told, experts_.Tell(plan.specs(), unit.measurement, requests, asker, facts));
      }
    }
    const auto add_experts = [&] { return AddExperts(system.model, sheet, requests, told, passes, facts); };
    if (const Status joined = add_experts(); !joined.ok()) {
      facts.experts_missing = joined.error().message;
      std::ranges::fill(told, nullptr);
      RETURN_IF_ERROR(add_experts());
    }
    KeepPasses(std::move(passes.passes), unit);
    return {};
  }

  static void KeepPasses(std::vector<record::PassRecord> passes, Unit& unit) {
    for (record::PassRecord& pass : passes)
      pass.cell = {unit.measurement.system, record::ClientsOf(unit.measurement.level), unit.measurement.repeat};
    unit.records.passes = std::move(passes);
  }

  // Models that fit into half of the free memory together stay loaded; launched servers run as the configuration says.
  void UnloadOthers(const SystemDriver* keep) {
    double bytes = 0;
    for (const auto& driver : experiment_.drivers_) bytes += static_cast<double>(driver->description().model_file_bytes);
    const bool fit = keep != nullptr && bytes < kSharedMemory * results_.manifest().host.available_bytes.value_or(0);
    for (const auto& driver : experiment_.drivers_) {
      const bool stays = driver->launch() != nullptr ? keep != nullptr && config_.launch_together : fit;
      if (driver.get() != keep && !stays) driver->Unload();
    }
  }

  // Equal for all systems.
  int NumberOf(const Planned& planned) {
    if (config_.search) return searched_++;
    const auto level = std::ranges::find(config_.load.levels, planned.level.value) - config_.load.levels.begin();
    return planned.repeat * static_cast<int>(config_.load.levels.size()) + static_cast<int>(level);
  }

  std::string Activity(const Planned& planned) const {
    std::string text = Label(planned.level);
    if (config_.systems.size() > 1) text = fmt::format("{}, {}", config_.systems[planned.system].name, text);
    if (config_.repeats > 1) text += fmt::format(", repetition {} of {}", planned.repeat + 1, config_.repeats);
    return text;
  }

  void Report(const Unit& unit, int64_t planned, int64_t done, const char* suffix,
              const load::LoadProgress& progress = {}) const {
    if (!hooks_.on_progress) return;
    ProgressUpdate update;
    update.activity = unit.activity + suffix;
    update.done = done;
    update.planned = planned;
    update.measured = measured_;
    update.measurements = measured_ < measurements_ ? measurements_ : 0;  // 0: all are made, and only questions are left
    update.waiting_for = progress.waiting_for;
    update.waiting_s = progress.waiting_s;
    hooks_.on_progress(update);
  }

  Status MeasureHeadRoom(SystemDriver& driver) {
    const std::string& name = driver.description().name;
    if (driver.description().in_process || results_.manifest().FindSystem(name)->head_room) return {};
    int64_t most = 0;
    for (const Measurement& measurement : results_.manifest().measurements) {
      if (measurement.system != name) continue;
      std::vector<metrics::Window> in_flight;  // not the requests: those of a long load fill the memory
      for (int thread = 0; thread < measurement.threads; ++thread) {
        RETURN_IF_ERROR(load::VisitRequests(
            results_.EventLogFile(measurement.name, thread),
            [&](const record::RequestRecord& request) { in_flight.push_back(metrics::InFlight(request)); }));
      }
      for (const metrics::ConcurrencyStep& step : metrics::ConcurrencyOverTime(in_flight)) most = std::max(most, step.requests);
    }
    if (most == 0) return {};
    const int streams = static_cast<int>(most);
    const auto rate = driver.MeasureHeadRoom(streams, std::min(config_.client_threads, streams));
    if (rate.ok()) return results_.SetHeadRoom(name, {*rate, streams});
    if (hooks_.on_note) hooks_.on_note(fmt::format("head-room was not measured: {}", rate.error().message));
    return {};
  }

  Experiment& experiment_;
  const Config& config_;
  Results& results_;
  const Hooks& hooks_;
  const Clock& clock_;
  Shard shard_;
  int number_ = 0;                // of the measurement in the order of all
  int missed_ = 0;                // that the other shards began without this one
  int measured_ = 0;              // by this process
  int measurements_ = 0;          // that are due; 0: not known before, a search
  int measurements_planned_ = 0;  // and those that were made before
  int searched_ = 0;
  ExpertQuestions experts_;
  std::map<std::string, std::vector<ServerStart>> earlier_starts_;  // by system
};

Status Experiment::Execute(Results& results, const Hooks& hooks) { return Session(*this, results, hooks).Run(); }

Status Experiment::AskForExperts(Results& results, const Hooks& hooks) {
  return Session(*this, results, hooks).AskForExperts();
}

}  // namespace moecap::experiment
