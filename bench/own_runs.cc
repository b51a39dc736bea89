#include "own_runs.h"

#include <fmt/format.h>

#include <map>
#include <span>

#include "analysis/transfer.h"
#include "app/measured_levels.h"
#include "planner/fit.h"
#include "planner/question.h"
#include "planner_errors.h"

namespace moecap::bench {

using planner::Observation;

namespace {

// Multipliers of llama.cpp that rest on our own runs, and which levels tell of them.
struct OwnFit {
  const char* name;
  planner::FitTarget target;
  std::vector<std::string> keys;
  bool (*tells)(const app::MeasuredLevel&);
};

bool RunsOn(const app::MeasuredLevel& level, std::string_view kernels) {
  return level.valid && planner::Multipliers::KernelsOf(level.observation.system, *level.observation.device) == kernels;
}

// Of one processor, so that others stay a test.
bool TellsOfProcessors(const app::MeasuredLevel& level) {
  constexpr double kFreshS = 3600;  // a shared machine's bandwidth is another tomorrow
  return RunsOn(level, "llama-cpu") && level.observation.device->name == "AMD EPYC" &&
         level.ceilings_age_s.value_or(kFreshS) < kFreshS;
}

bool TellsOfReplays(const app::MeasuredLevel& level) {
  return RunsOn(level, "llama-cuda") && *level.observation.load.clients == 1;
}

bool TellsOfWidening(const app::MeasuredLevel& level) {
  return TellsOfReplays(level) && planner::RateOf(*level.observation.device, level.observation.work->expert_type).widened;
}

double RatioOf(const Observation& o, const planner::Multipliers& multipliers, planner::FitTarget target) {
  const planner::Serving serving = Predict(o, multipliers.FactorsOf(o.system, *o.device));
  return target == planner::FitTarget::kTpot ? serving.tpot_s / *o.tpot_s : serving.ttft_s / *o.ttft_s;
}

void PrintOwnFit(const OwnFit& fit, const planner::Multipliers& priors, std::span<const app::MeasuredLevel> levels) {
  std::map<std::string, std::vector<Observation>> by_model;
  std::vector<Observation> all;
  for (const app::MeasuredLevel& level : levels) {
    if (!fit.tells(level)) continue;
    by_model[level.architecture].push_back(level.observation);
    all.push_back(level.observation);
  }
  if (by_model.size() < 2) return;
  planner::FitOptions options;
  options.target = fit.target;
  const auto values = [&](const planner::Multipliers& fitted) {
    std::string text;
    for (const std::string& key : fit.keys) text += fmt::format("  {} {:.3g}", key, fitted.Find(key)->value);
    return text;
  };
  Errors left_out;
  fmt::print("  {}: {} levels of {} models\n   {}\n", fit.name, all.size(), by_model.size(),
             values(Fit(priors, all, fit.keys, options)));
  for (const auto& [model, rows] : by_model) {
    std::vector<Observation> others;
    for (const auto& [other, of_other] : by_model) {
      if (other != model) others.insert(others.end(), of_other.begin(), of_other.end());
    }
    const planner::Multipliers fitted = Fit(priors, others, fit.keys, options);
    Errors errors;
    for (const Observation& row : rows) errors.ratio.push_back(RatioOf(row, fitted, fit.target));
    left_out.ratio.insert(left_out.ratio.end(), errors.ratio.begin(), errors.ratio.end());
    errors.Print("  without " + model);
    fmt::print("     {}\n", values(fitted));
  }
  left_out.Print("  each model left out");
}

}  // namespace

Status PrintOwnRuns(const std::string& folder, const planner::Multipliers& multipliers, const hardware::Catalogue& devices) {
  app::MeasuredLevels measured(devices);
  for (const std::filesystem::path& run : analysis::RunFolders(folder)) RETURN_IF_ERROR(measured.Add(run));
  fmt::print("\nOur own runs ({} levels left out: experts in host memory, a system that is not planned, an open loop)\n",
             measured.unusable());
  fmt::print("  {:<46} {:<13} {:<11} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}\n", "run", "system", "level", "TPOT, ms", "predicted",
             "%", "TTFT, ms", "predicted", "%");
  std::map<std::string, std::pair<Errors, Errors>> by_system;
  std::map<planner::Launch, std::pair<int, int>> inside;  // bands of a launch: TPOT, TTFT
  int told = 0;                                           // of systems whose launches are told apart
  for (const app::MeasuredLevel& level : measured.levels()) {
    const Observation& o = level.observation;
    const planner::Serving serving = Predict(o, multipliers.FactorsOf(o.system, *o.device));
    const double tpot = serving.tpot_s / *o.tpot_s, ttft = serving.ttft_s / *o.ttft_s;
    fmt::print("  {:<46.46} {:<13} {:<11} {:>9.2f} {:>9.2f} {:>+7.0f} {:>9.1f} {:>9.1f} {:>+7.0f}{}\n", level.run, o.system,
               level.level, 1e3 * *o.tpot_s, 1e3 * serving.tpot_s, 100 * (tpot - 1), 1e3 * *o.ttft_s, 1e3 * serving.ttft_s,
               100 * (ttft - 1), level.valid ? "" : "  not valid");
    if (!level.valid) continue;
    const std::string key = o.system + " on " + o.device->name;
    by_system[key].first.ratio.push_back(tpot);
    by_system[key].second.ratio.push_back(ttft);
    if (!multipliers.TellsLaunches(o.system)) continue;
    ++told;
    for (const planner::Launch launch : {planner::Launch::kTuned, planner::Launch::kDefault, planner::Launch::kEither}) {
      const planner::StepFactors factors = multipliers.FactorsOf(o.system, *o.device, launch);
      const auto holds = [&](const planner::ErrorBand& band, double shown, double truth) {
        return band.low * shown <= truth && truth <= band.high * shown;
      };
      inside[launch].first +=
          holds(multipliers.BandOf(o.system, *o.device, false, false, launch), factors.tpot_time * serving.tpot_s, *o.tpot_s);
      inside[launch].second += holds(multipliers.TtftBandOf(o.system, *o.device, false, false, launch),
                                     factors.ttft_time * serving.ttft_s, *o.ttft_s);
    }
  }
  fmt::print("  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}   {}\n", "valid levels, %", "rows", "median", "mean", "P90", "bias",
             "predicted / measured, P10 to P90");
  for (const auto& [system, errors] : by_system) {
    errors.first.Print("TPOT, " + system);
    errors.second.Print("TTFT, " + system);
  }
  fmt::print("  fitted to our own runs, each model left out, %\n");
  const OwnFit fits[] = {
      {"TPOT on a processor", planner::FitTarget::kTpot, {"vector_time.llama-cpu", "packed_time.llama-cpu"}, TellsOfProcessors},
      {"TPOT of one client of a GPU", planner::FitTarget::kTpot, {"replay_time.llama-cuda"}, TellsOfReplays},
      {"TTFT of one client of a GPU, widened types",
       planner::FitTarget::kTtft,
       {"widened_prompt_time.llama-cuda"},
       TellsOfWidening}};
  for (const OwnFit& fit : fits) PrintOwnFit(fit, multipliers.AtPriors(), measured.levels());
  for (const auto& [launch, held] : inside)
    fmt::print("  launched with default settings; inside the band of \"{}\": TPOT {} of {}, TTFT {} of {}\n",
               planner::Name(launch), held.first, told, held.second, told);
  return {};
}

}  // namespace moecap::bench
