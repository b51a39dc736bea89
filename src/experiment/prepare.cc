// What is checked and described before anything is measured.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/fs.h"
#include "base/hash.h"
#include "experiment/runner.h"
#include "metrics/estimate.h"

namespace moecap::experiment {
namespace {

std::string HashOfProblems(const std::vector<workload::Problem>& problems) {
  uint64_t hash = 0;
  for (const workload::Problem& problem : problems)
    hash = HashOf(problem.answer, HashOf(problem.question, HashOf(problem.id, hash)));
  return problems.empty() ? "" : fmt::format("{:016x}", hash);
}

// Null where the configuration names none.
Result<std::optional<routing::ActivationSheet>> ReadSheet(const SystemConfig& config, const model::ModelSpec& model) {
  if (config.activation_sheet.empty()) return std::optional<routing::ActivationSheet>();
  const auto annotate = [&](const Error& error) { return Annotate(config.activation_sheet.string(), error); };
  if (model.layers.empty())
    return annotate(BadInput(fmt::format("which model {} runs is not known; name it with `model` (--serves)", config.name)));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(config.activation_sheet));
  auto sheet = routing::ParseActivationSheet(text);
  if (!sheet.ok()) return annotate(sheet.error());
  if (const Status fits = metrics::CheckSheet(model, *sheet); !fits.ok()) return annotate(fits.error());
  return std::optional(std::move(sheet).value());
}

}  // namespace

Result<Experiment> Experiment::Prepare(const Config& config, const DriverFactory& make_driver, const Clock& clock) {
  Experiment experiment(config, clock);
  if (config.problems) {
    ASSIGN_OR_RETURN(experiment.problems_, PrepareProblems(*config.problems, config.base_dir));
  }
  for (const SystemConfig& system : config.systems) {
    auto driver = make_driver(system, config);
    if (!driver.ok()) return config.systems.size() == 1 ? driver.error() : Annotate("system " + system.name, driver.error());
    experiment.drivers_.push_back(std::move(driver).value());
  }
  if (!config.problems) {
    ASSIGN_OR_RETURN(experiment.ids_, ChoosePromptIds(config.workload, experiment.drivers_));
  }
  RETURN_IF_ERROR(experiment.CheckPrompts());
  return experiment;
}

// Starts each engine once at its largest level, which also shows that model and context fit into memory.
Status Experiment::CheckPrompts() {
  for (const auto& driver : drivers_) {
    const SystemDescription& system = driver->description();
    const double largest = config_.search ? config_.search->start : config_.load.levels.back();
    const record::Level level{config_.load.kind, largest};
    const auto annotate = [&](const Error& error) {
      return drivers_.size() == 1 ? error : Annotate("system " + system.name, error);
    };
    const auto plan = MeasurementPlan::Create(InputFor(level, 0, "check"), *driver);
    if (!plan.ok()) return annotate(plan.error());
    const int remote = driver->launch() != nullptr ? 0 : 1;  // a launched server answered a moment ago, and may be down again
    auto instance = driver->Start({.connections = system.in_process ? Connections(config_, system, level, {}) : remote});
    if (!instance.ok()) return annotate(instance.error());
    for (const load::RequestSpec& request : (*plan)->specs()) {
      if (const Status valid = (*instance)->systems().front()->Validate(request); !valid.ok()) return annotate(valid.error());
    }
    instance->reset();
    if (system.in_process) driver->Unload();
  }
  return {};
}

bool Experiment::RunsHere() const {
  return std::ranges::any_of(drivers_, [](const auto& driver) { return driver->description().RunsHere(); });
}

Status Experiment::Describe(Manifest& manifest) {
  manifest.problems = std::ssize(problems_.problems);
  manifest.problems_xxh3 = HashOfProblems(problems_.problems);
  manifest.notes.insert(manifest.notes.end(), problems_.notes.begin(), problems_.notes.end());
  const record::Level level{config_.load.kind, config_.search ? config_.search->start : config_.load.levels.front()};
  // An engine in this process tells its vocabulary with its model.
  const bool any_server = std::ranges::any_of(drivers_, [](const auto& driver) { return !driver->description().in_process; });
  if (any_server) manifest.notes.insert(manifest.notes.end(), ids_.notes.begin(), ids_.notes.end());
  for (size_t i = 0; i < drivers_.size(); ++i) {
    const auto& driver = drivers_[i];
    PricedSystem system;
    system.description = driver->description();
    ASSIGN_OR_RETURN(system.sheet, ReadSheet(config_.systems[i], system.description.model));
    manifest.systems.push_back(std::move(system));
    ASSIGN_OR_RETURN(const auto plan, MeasurementPlan::Create(InputFor(level, 0, "check"), *driver));
    manifest.workload = plan->description();
    for (const std::string& note : plan->notes()) {
      if (std::ranges::count(manifest.notes, note) == 0) manifest.notes.push_back(note);
    }
  }
  return {};
}

}  // namespace moecap::experiment
