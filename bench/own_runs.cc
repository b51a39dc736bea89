#include "own_runs.h"

#include <fmt/format.h>

#include <map>

#include "analysis/transfer.h"
#include "app/measured_levels.h"
#include "planner/fit.h"
#include "planner/question.h"
#include "planner_errors.h"

namespace moecap::bench {

using planner::Observation;

Status PrintOwnRuns(const std::string& folder, const planner::Multipliers& multipliers, const hardware::Catalogue& devices) {
  app::MeasuredLevels measured(devices);
  for (const std::filesystem::path& run : analysis::RunFolders(folder)) RETURN_IF_ERROR(measured.Add(run));
  fmt::print(
      "\nOur own runs, never fitted ({} levels left out: experts in host memory, a system that is not planned, an open loop)\n",
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
          holds(multipliers.BandOf(*o.device, false, false, launch), factors.tpot_time * serving.tpot_s, *o.tpot_s);
      inside[launch].second +=
          holds(multipliers.TtftBandOf(*o.device, false, false, launch), factors.ttft_time * serving.ttft_s, *o.ttft_s);
    }
  }
  fmt::print("  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}   {}\n", "valid levels, %", "rows", "median", "mean", "P90", "bias",
             "predicted / measured, P10 to P90");
  for (const auto& [system, errors] : by_system) {
    errors.first.Print("TPOT, " + system);
    errors.second.Print("TTFT, " + system);
  }
  for (const auto& [launch, held] : inside)
    fmt::print("  launched with default settings; inside the band of \"{}\": TPOT {} of {}, TTFT {} of {}\n",
               planner::Name(launch), held.first, told, held.second, told);
  return {};
}

}  // namespace moecap::bench
