#include "run/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "accuracy/gsm8k.h"
#include "load/closed_loop.h"

namespace moecap::run {
namespace {

constexpr int64_t kEnergyReadIntervalNs = 60'000'000'000;

std::vector<load::RequestSpec> MakeRequests(const std::vector<workload::Problem>& problems, const RunConfig& config) {
  std::vector<load::RequestSpec> requests;
  requests.reserve(problems.size());
  for (const workload::Problem& problem : problems) {
    load::RequestSpec request;
    request.id = problem.id;
    request.prompt = workload::Gsm8kPrompt(problem);
    request.max_output_tokens = config.max_output_tokens;
    request.stop = {"Question:"};  // as lm-evaluation-harness' task; its other two are end tokens
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<std::vector<int32_t>> TokenIds(const std::vector<record::RequestRecord>& requests) {
  std::vector<std::vector<int32_t>> ids;
  ids.reserve(requests.size());
  for (const record::RequestRecord& request : requests) ids.push_back(request.token_ids);
  return ids;
}

}  // namespace

Result<Experiment> Experiment::Prepare(const RunConfig& config, const DriverFactory& make_driver, const Clock& clock) {
  Experiment experiment(config, clock);
  ASSIGN_OR_RETURN(auto all, workload::ReadProblems(config.dataset));
  const int64_t wanted = config.problems == 0 ? static_cast<int64_t>(all.size()) : config.problems;
  auto problems = workload::SelectProblems(std::move(all), wanted, config.dataset_seed);
  if (!problems.ok()) return Annotate(config.dataset.string(), problems.error());
  experiment.problems_ = std::move(problems).value();
  experiment.requests_ = MakeRequests(experiment.problems_, config);
  for (const SystemConfig& system : config.systems) {
    auto driver = make_driver(system, config);
    if (!driver.ok()) return Annotate(fmt::format("system {}", system.name), driver.error());
    experiment.drivers_.push_back(std::move(driver).value());
  }
  RETURN_IF_ERROR(experiment.CheckPrompts());
  return experiment;
}

// Starts each system once at its largest concurrency, which also shows that model and context fit into memory.
Status Experiment::CheckPrompts() {
  for (const auto& driver : drivers_) {
    const std::string name = "system " + driver->description().name;
    auto instance = driver->Start(config_.concurrency.back());
    if (!instance.ok()) return Annotate(name, instance.error());
    for (const load::RequestSpec& request : requests_) {
      if (const Status valid = (*instance)->system().Validate(request); !valid.ok()) return Annotate(name, valid.error());
    }
    instance->reset();
    driver->Unload();
  }
  return {};
}

std::vector<SystemDescription> Experiment::Systems() const {
  std::vector<SystemDescription> systems;
  for (const auto& driver : drivers_) systems.push_back(driver->description());
  return systems;
}

Status Experiment::Execute(Results& results, const ExperimentHooks& hooks) {
  RETURN_IF_ERROR(LoadReferences(results));
  for (int repeat = 0; repeat < config_.repeats; ++repeat) {
    for (const auto& driver : drivers_) {
      for (const int concurrency : config_.concurrency) {
        const record::CellId cell{driver->description().name, concurrency, repeat};
        if (results.HasCompleteUnit(cell)) {
          requests_done_ += static_cast<int64_t>(requests_.size());
          continue;
        }
        RETURN_IF_ERROR(ExecuteUnit(*driver, cell, results, hooks));
        if (hooks.on_unit_stored) hooks.on_unit_stored(results);
      }
      driver->Unload();
    }
  }
  return results.MarkComplete();
}

Status Experiment::ExecuteUnit(SystemDriver& driver, const record::CellId& cell, Results& results,
                               const ExperimentHooks& hooks) {
  ASSIGN_OR_RETURN(const auto instance, driver.Start(cell.concurrency));
  ExperimentHooks unit_hooks = hooks;
  if (!driver.in_process()) unit_hooks.energy = nullptr;
  unit_hooks.used_devices = driver.description().devices.energy;
  ASSIGN_OR_RETURN(Measured measured, Measure(*instance, cell, unit_hooks));
  load::LoadResult& unit = measured.records;
  Score(unit.requests);
  if (unit.interrupted) {
    RETURN_IF_ERROR(results.AppendUnit(unit, cell, measured.energy_j));
    return Error{ErrorKind::kInterrupted, "interrupted; what was measured is kept"};
  }
  const bool is_moe = driver.description().model.MoeLayers() > 0;
  Reference* reference = FindReference(cell);
  if (is_moe && (reference == nullptr || !ShareRouting(*reference, unit))) RETURN_IF_ERROR(instance->AddRouting(unit.passes));
  if (reference == nullptr) references_.push_back({cell, TokenIds(unit.requests), unit.passes});
  requests_done_ += static_cast<int64_t>(requests_.size());
  return results.AppendUnit(unit, cell, measured.energy_j);
}

Result<Experiment::Measured> Experiment::Measure(SystemInstance& instance, const record::CellId& cell,
                                                 const ExperimentHooks& hooks) {
  load::ClosedLoopOptions options;
  options.clients = cell.concurrency;
  options.cell = cell;
  options.cell.repeat = -1;
  options.stop_requested = hooks.stop_requested;
  Report(hooks, cell, 0);
  const auto warmup_count =
      static_cast<size_t>(config_.warmup_requests == 0 ? 0 : std::max(config_.warmup_requests, cell.concurrency));
  const std::vector<load::RequestSpec> warmup(
      requests_.begin(), requests_.begin() + static_cast<ptrdiff_t>(std::min(warmup_count, requests_.size())));
  ASSIGN_OR_RETURN(const load::LoadResult warm, RunClosedLoop(instance.system(), warmup, options, *clock_));
  if (warm.interrupted) return Error{ErrorKind::kInterrupted, "interrupted; what was measured is kept"};

  options.cell = cell;
  int64_t last_read_ns = clock_->NowNs();
  options.on_progress = [&](int64_t done) {
    // Reading takes a system call or a few: often enough for counters that wrap, too seldom to cost anything.
    if (hooks.energy != nullptr && clock_->NowNs() - last_read_ns > kEnergyReadIntervalNs) {
      (void)hooks.energy->SinceBegin();
      last_read_ns = clock_->NowNs();
    }
    Report(hooks, cell, done);
  };
  instance.BeginMeasurement();
  if (hooks.energy != nullptr) hooks.energy->Begin();
  Measured measured;
  ASSIGN_OR_RETURN(measured.records, RunClosedLoop(instance.system(), requests_, options, *clock_));
  if (hooks.energy != nullptr) {
    // A part would be taken for the whole: then the nameplate estimates it.
    const hardware::CountedEnergy energy = hardware::EnergyOf(hooks.energy->SinceBegin(), hooks.used_devices);
    if (energy.complete()) measured.energy_j = energy.joules;
  }
  return measured;
}

void Experiment::Score(std::vector<record::RequestRecord>& requests) const {
  const auto filter = config_.scoring == Scoring::kGsm8kStrictMatch ? accuracy::Gsm8kFilter::kStrictMatch
                                                                    : accuracy::Gsm8kFilter::kFlexibleExtract;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].finish == record::FinishReason::kCancelled) continue;  // neither right nor wrong
    accuracy::Verdict verdict;
    if (requests[i].ok()) verdict = accuracy::ScoreGsm8k(requests[i].text, problems_[i].answer, filter);
    requests[i].score = verdict.correct ? 1.0 : 0.0;
    requests[i].extracted = std::move(verdict.extracted);
  }
}

void Experiment::Report(const ExperimentHooks& hooks, const record::CellId& cell, int64_t done_in_unit) const {
  if (!hooks.on_progress) return;
  ProgressUpdate update;
  update.done = requests_done_ + done_in_unit;
  update.total = static_cast<int64_t>(requests_.size() * config_.concurrency.size() * drivers_.size()) * config_.repeats;
  update.activity = fmt::format("{}, {} client{}, repetition {} of {}", cell.system, cell.concurrency,
                                cell.concurrency == 1 ? "" : "s", cell.repeat + 1, config_.repeats);
  hooks.on_progress(update);
}

// Equal tokens mean equal batches, pass by pass, as scheduling depends on nothing else.
bool Experiment::ShareRouting(const Reference& reference, load::LoadResult& unit) {
  if (reference.passes.size() != unit.passes.size() || reference.token_ids != TokenIds(unit.requests)) return false;
  for (size_t i = 0; i < unit.passes.size(); ++i) {
    unit.passes[i].distinct_experts = reference.passes[i].distinct_experts;
    unit.passes[i].expert_counts = reference.passes[i].expert_counts;
  }
  return true;
}

Experiment::Reference* Experiment::FindReference(const record::CellId& cell) {
  for (Reference& reference : references_) {
    if (reference.cell.system == cell.system && reference.cell.concurrency == cell.concurrency) return &reference;
  }
  return nullptr;
}

// When a run is resumed, the repetitions it already holds serve as references.
Status Experiment::LoadReferences(const Results& results) {
  if (results.manifest().units.empty()) return {};
  ASSIGN_OR_RETURN(const auto requests, results.ReadRequests());
  ASSIGN_OR_RETURN(auto passes, results.ReadPasses());
  for (const Unit& unit : results.manifest().units) {
    if (!unit.complete || FindReference(unit.cell) != nullptr) continue;
    Reference reference{unit.cell, {}, {}};
    for (const auto& request : requests) {
      if (request.cell == unit.cell) reference.token_ids.push_back(request.token_ids);
    }
    for (auto& pass : passes) {
      if (pass.cell == unit.cell) reference.passes.push_back(std::move(pass));
    }
    references_.push_back(std::move(reference));
  }
  return {};
}

}  // namespace moecap::run
