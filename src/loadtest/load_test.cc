#include "loadtest/load_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "load/closed_loop.h"
#include "load/event_log.h"
#include "loadtest/plan.h"
#include "metrics/concurrency.h"

namespace moecap::loadtest {
namespace {

// Connections opened before an open loop begins; it opens more when it needs them.
constexpr int kOpenLoopConnections = 64;

std::string FileName(LoadKind kind, double level, int repeat) {
  switch (kind) {
    case LoadKind::kClients:
      return fmt::format("clients-{}-{}", level, repeat);
    case LoadKind::kRate:
      return fmt::format("rate-{}-{}", level, repeat);
    case LoadKind::kUsers:
      return fmt::format("users-{}-{}", level, repeat);
    case LoadKind::kReplay:
      return fmt::format("replay-{}", repeat);
  }
  CHECK(false);
}

int Connections(const LoadTestConfig& config, double level) {
  const bool closed = config.kind == LoadKind::kClients || config.kind == LoadKind::kUsers;
  const double wanted = closed ? level : std::min(level, double{kOpenLoopConnections});
  return std::max(1, static_cast<int>(wanted) / config.threads);
}

Error Interrupted() { return Error{ErrorKind::kInterrupted, "interrupted; the measurements that had ended are kept"}; }

class Runner {
 public:
  Runner(LoadResults& results, Target& target, const LoadTestHooks& hooks, const Clock& clock)
      : results_(results), target_(target), hooks_(hooks), clock_(clock), config_(results.manifest().config) {}

  // Nothing is measured twice.
  Status Measure(double level, int repeat) {
    const int number = number_++;
    if (results_.Find(level, repeat) != nullptr) return {};
    const std::string activity = fmt::format("{}{}", LevelLabel(config_.kind, level),
                                             config_.repeats > 1 ? fmt::format(", repetition {}", repeat + 1) : "");
    ASSIGN_OR_RETURN(const auto plan, MeasurementPlan::Create(config_, level, number, results_.manifest().run_id, target_));
    if (config_.flush_cache) RETURN_IF_ERROR(target_.FlushPrefixCache());
    std::vector<std::unique_ptr<load::SystemUnderTest>> systems;
    for (int thread = 0; thread < config_.threads; ++thread) {
      ASSIGN_OR_RETURN(auto system, target_.Open(Connections(config_, level), config_.kind == LoadKind::kUsers));
      systems.push_back(std::move(system));
    }
    RETURN_IF_ERROR(WarmUp(*plan, level, *systems.front(), activity));

    Measurement measurement;
    measurement.level = level;
    measurement.repeat = repeat;
    measurement.name = FileName(config_.kind, level, repeat);
    RETURN_IF_ERROR(results_.WritePlan(measurement.name, plan->entries()));
    ASSIGN_OR_RETURN(const load::LoadResult result, Drive(*plan, measurement, systems, activity));
    measurement.complete = !result.interrupted;
    measurement.ended_by = result.ended_by;
    measurement.held_back = result.held_back;
    measurement.cpu_s = result.cpu_s;
    measurement.loop_s = result.loop_s;
    RETURN_IF_ERROR(results_.End(std::move(measurement)));
    return result.interrupted ? Status(Interrupted()) : Status();
  }

  Status MeasureHeadRoom() {
    if (results_.manifest().head_room || results_.manifest().measurements.empty()) return {};
    double most = 1;
    for (const Measurement& measurement : results_.manifest().measurements) {
      ASSIGN_OR_RETURN(const load::LoadResult result, results_.ReadRecords(measurement));
      const auto steps = metrics::ConcurrencyOverTime(result.requests);
      for (const metrics::ConcurrencyStep& step : steps) most = std::max(most, static_cast<double>(step.requests));
    }
    if (hooks_.on_progress) hooks_.on_progress(0, 0, "head-room of this client");
    const int streams = static_cast<int>(most);
    const auto rate = target_.MeasureHeadRoom(streams, std::min(config_.threads, streams));
    if (rate.ok()) return results_.SetHeadRoom({*rate, streams});
    if (hooks_.on_note) hooks_.on_note(fmt::format("head-room was not measured: {}", rate.error().message));
    return {};
  }

 private:
  Status WarmUp(const MeasurementPlan& plan, double level, load::SystemUnderTest& system, const std::string& activity) {
    if (plan.warmup().empty()) return {};
    if (hooks_.on_progress) hooks_.on_progress(0, plan.requests(), activity + ", warm-up");
    load::ClosedLoopOptions options;
    options.clients = std::clamp(static_cast<int>(level), 1, static_cast<int>(plan.warmup().size()));
    options.stop_requested = hooks_.stop_requested;
    ASSIGN_OR_RETURN(const load::LoadResult result, load::RunClosedLoop(system, plan.warmup(), options, clock_));
    if (result.interrupted) return Interrupted();
    const auto failed = std::ranges::find_if(result.requests, [](const auto& request) { return !request.ok(); });
    const bool all_failed = std::ranges::none_of(result.requests, [](const auto& request) { return request.ok(); });
    if (!all_failed) return {};
    return Failed(fmt::format("every warm-up request failed, the first one with: {}", failed->error));
  }

  Result<load::LoadResult> Drive(MeasurementPlan& plan, const Measurement& measurement,
                                 const std::vector<std::unique_ptr<load::SystemUnderTest>>& systems,
                                 const std::string& activity) {
    ASSIGN_OR_RETURN(const auto sources, plan.MakeSources(config_, measurement.level, target_.TakesMessages()));
    load::LoadOptions options;
    options.cell.system = target_.description().model;
    options.cell.concurrency =
        config_.kind == LoadKind::kRate || config_.kind == LoadKind::kReplay ? 0 : static_cast<int>(measurement.level);
    options.cell.repeat = measurement.repeat;
    options.duration_s = config_.duration_s;
    options.drain_s = config_.drain_s;
    options.most_error_share = config_.most_error_share;
    options.most_in_flight = (config_.most_in_flight + config_.threads - 1) / config_.threads;
    options.stop_requested = hooks_.stop_requested;
    if (hooks_.on_progress) options.on_progress = [&](int64_t done) { hooks_.on_progress(done, plan.requests(), activity); };
    options.origin_ns = clock_.NowNs();
    const load::EventLogHeader header{options.cell, *options.origin_ns, WallTimeIso8601()};
    std::vector<load::EventLogWriter> logs;
    for (int thread = 0; thread < config_.threads; ++thread) {
      ASSIGN_OR_RETURN(load::EventLogWriter log,
                       load::EventLogWriter::Create(results_.EventLogFile(measurement.name, thread), header, clock_));
      logs.push_back(std::move(log));
    }
    RETURN_IF_ERROR(results_.Begin(measurement));
    std::vector<load::LoadShard> shards;
    for (size_t i = 0; i < systems.size(); ++i) shards.push_back({systems[i].get(), sources[i].get(), &logs[i]});
    ASSIGN_OR_RETURN(load::LoadResult result, load::RunLoadOnThreads(shards, options, clock_));
    for (load::EventLogWriter& log : logs) RETURN_IF_ERROR(log.Close());
    return result;
  }

  LoadResults& results_;
  Target& target_;
  const LoadTestHooks& hooks_;
  const Clock& clock_;
  const LoadTestConfig& config_;
  int number_ = 0;  // of the measurements begun, stored ones included
};

}  // namespace

Status Describe(LoadManifest& manifest, Target& target) {
  const LoadTestConfig& config = manifest.config;
  const double level = config.search ? config.search->start : config.levels.front();
  ASSIGN_OR_RETURN(const auto plan, MeasurementPlan::Create(config, level, 0, manifest.run_id, target));
  manifest.workload = plan->description();
  for (const std::string& note : plan->notes()) manifest.notes.push_back(note);
  return {};
}

Result<load::SloCounts> CountMet(const LoadResults& results, const Measurement& measurement) {
  ASSIGN_OR_RETURN(const load::LoadResult records, results.ReadRecords(measurement));
  load::SloCounts counts;
  counts.offered = std::ssize(records.requests);
  counts.met = std::ranges::count_if(records.requests, [&](const record::RequestRecord& request) {
    return metrics::MeetsObjectives(request, results.manifest().config.objectives).value_or(false);
  });
  return counts;
}

Result<load::SloSearchResult> Search(const LoadResults& results,
                                     const std::function<Status(double level, int repeat)>& measure) {
  std::map<double, int> probes;
  return load::SearchHighestLoad(*results.manifest().config.search, [&](double level) -> Result<load::SloCounts> {
    const int repeat = probes[level]++;
    RETURN_IF_ERROR(measure(level, repeat));
    const Measurement* measurement = results.Find(level, repeat);
    CHECK(measurement != nullptr);
    return CountMet(results, *measurement);
  });
}

Status Execute(LoadResults& results, Target& target, const LoadTestHooks& hooks, const Clock& clock) {
  Runner runner(results, target, hooks, clock);
  const LoadTestConfig& config = results.manifest().config;
  if (config.search) {
    ASSIGN_OR_RETURN(const load::SloSearchResult found,
                     Search(results, [&](double level, int repeat) { return runner.Measure(level, repeat); }));
    if (hooks.on_note) hooks.on_note(found.verdict);
  } else {
    for (int repeat = 0; repeat < config.repeats; ++repeat) {
      for (const double level : config.levels) RETURN_IF_ERROR(runner.Measure(level, repeat));
    }
  }
  RETURN_IF_ERROR(runner.MeasureHeadRoom());
  return results.MarkComplete();
}

std::string LevelLabel(LoadKind kind, double level) {
  switch (kind) {
    case LoadKind::kClients:
      return fmt::format("{} client{}", level, level == 1 ? "" : "s");
    case LoadKind::kRate:
      return fmt::format("{:.4g} requests/s", level);
    case LoadKind::kUsers:
      return fmt::format("{} user{}", level, level == 1 ? "" : "s");
    case LoadKind::kReplay:
      return "replayed trace";
  }
  CHECK(false);
}

}  // namespace moecap::loadtest
