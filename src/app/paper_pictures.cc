#include "app/paper_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/units.h"
#include "cap/paper_scores.h"
#include "report/plots.h"
#include "report/readings.h"

namespace moecap::app {
namespace {

using cap::CellSummary;
using cap::FigureId;
using cap::SystemSummary;
using report::SvgMode;

constexpr size_t kMostSystems = 6;  // as many as there are colours
constexpr double kGiga = 1e9;
// Devices whose bandwidth is drawn as a line, from a small machine to the largest of today.
constexpr const char* kLines[] = {"rtx-4090", "a100-80-sxm", "h100-sxm", "h200-sxm", "b200-sxm"};

struct Shown {
  const SystemSummary* system;
  std::string name;
};

std::vector<Shown> SystemsOf(std::span<const cap::ExperimentSummary> runs) {
  std::vector<Shown> shown;
  for (const cap::ExperimentSummary& run : runs) {
    for (const SystemSummary& system : run.systems) {
      if (shown.size() == kMostSystems) return shown;
      const bool is_taken = std::ranges::find(shown, system.name, &Shown::name) != shown.end();
      shown.push_back(
          {&system, is_taken ? fmt::format("{} ({})", system.name, system.model_id.substr(system.model_id.rfind('/') + 1))
                             : system.name});
    }
  }
  return shown;
}

bool IsBatch(const CellSummary& cell) { return cell.level.kind == record::LoadKind::kClients && cell.level.value > 0; }

// Bandwidth that memory must have, at the share of it that the system reaches, for a decode pass in that time: peak x pass /
// goal.
std::optional<double> RequiredBandwidth(const SystemSummary& system, const CellSummary& cell, double tpot_s) {
  const auto pass_s = cell.figures[FigureId::kTpotMean];
  if (!pass_s || !system.machine.peak_bandwidth_bytes_per_s || !cell.figures[FigureId::kDecodeSMbu]) return std::nullopt;
  return *system.machine.peak_bandwidth_bytes_per_s * *pass_s / tpot_s;
}

std::string DrawShares(const std::vector<Shown>& systems) {
  report::SparsityCurve curve;
  curve.frame = {"activated-share", "Activated parameters of a decode pass", "measured, against the clients at once", ""};
  curve.y_label = "activated parameters, %";
  for (size_t i = 0; i < systems.size(); ++i) {
    for (const CellSummary& cell : systems[i].system->cells) {
      const auto distinct = cell.figures[FigureId::kDistinctExperts];
      const auto share = distinct ? ActivatedShare(*systems[i].system, *distinct) : std::nullopt;
      if (share && IsBatch(cell)) curve.measured.push_back({i, systems[i].name, cell.level.value, *share, {}, {}});
    }
  }
  curve.frame.description = report::ReadSparsityCurve(curve);
  return report::DrawSparsityCurve(curve, SvgMode::kStandalone);
}

std::string DrawBandwidth(const std::vector<Shown>& systems, const hardware::Catalogue& catalogue, double tpot_s) {
  report::LinePlot plot;
  plot.frame = {"required-bandwidth", fmt::format("Memory bandwidth for a TPOT of {}", FormatSeconds(tpot_s)),
                "peak in GB/s, at the S-MBU that was measured; dotted: devices",
                "Peak bandwidth that a device needs at the measured S-MBU, against the clients at once."};
  plot.x_label = "clients (log scale)";
  double most = 0;
  for (size_t i = 0; i < systems.size(); ++i) {
    report::PlotSeries series{i, systems[i].name, {}, false, ""};
    for (const CellSummary& cell : systems[i].system->cells) {
      const auto needed = RequiredBandwidth(*systems[i].system, cell, tpot_s);
      if (!needed || !IsBatch(cell)) continue;
      series.points.push_back({cell.level.value, *needed / kGiga, {}, {}, cell.IsValid()});
      most = std::max(most, *needed / kGiga);
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  for (const char* id : kLines) {
    const auto device = catalogue.FindDevice(id);
    if (!device.ok() || !device->bandwidth_bytes_per_s) continue;
    const double bandwidth = *device->bandwidth_bytes_per_s / kGiga;
    if (bandwidth < 2 * most) plot.references.push_back({bandwidth, device->name});
  }
  return report::DrawLines(plot, SvgMode::kStandalone);
}

// Scores relative to the systems in view, at one level.
std::string DrawScores(const std::vector<Shown>& systems, double level) {
  std::vector<cap::Evidence> evidence;
  std::vector<size_t> colours;
  for (size_t i = 0; i < systems.size(); ++i) {
    const auto cell = std::ranges::find_if(systems[i].system->cells,
                                           [&](const CellSummary& c) { return IsBatch(c) && c.level.value == level; });
    if (cell == systems[i].system->cells.end()) continue;
    cap::Evidence entry;
    entry.label = systems[i].name;
    entry.cost.value = cell->figures[FigureId::kUsdPerMillionTokens];
    entry.performance.value = cell->figures[FigureId::kTpotMean];
    entry.accuracy = cell->figures[FigureId::kAccuracy];
    evidence.push_back(std::move(entry));
    colours.push_back(i);
  }
  const auto scores = cap::PaperScores(evidence);
  if (!scores) return "";
  report::RadarPlot plot;
  plot.frame = {"radar", "CAP radar", fmt::format("{:g} clients, scores 0 to 100, outer is better", level),
                "Performance by TPOT, accuracy and cost by USD per 1M tokens, relative to the systems in view."};
  plot.axes = {"performance", "accuracy", "cost"};
  for (size_t i = 0; i < scores->size(); ++i) {
    const cap::PaperScore& score = (*scores)[i];
    plot.series.push_back({colours[i], score.label, {score.performance, score.accuracy, score.cost}});
  }
  return report::DrawRadar(plot, SvgMode::kStandalone);
}

}  // namespace

std::optional<double> ActivatedShare(const SystemSummary& system, double distinct) {
  if (!system.total_params || !system.active_params || !system.experts || !system.top_k || *system.experts <= *system.top_k)
    return std::nullopt;
  const auto total = static_cast<double>(*system.total_params);
  const double unused = 1 - static_cast<double>(*system.top_k) / *system.experts;  // of the experts, by one token
  const double experts = (total - static_cast<double>(*system.active_params)) / unused;
  return 1 - experts / total * (1 - distinct / *system.experts);
}

std::vector<PaperPicture> DrawPaperPictures(std::span<const cap::ExperimentSummary> runs, const hardware::Catalogue& catalogue,
                                            double tpot_s, double level) {
  const std::vector<Shown> systems = SystemsOf(runs);
  std::vector<PaperPicture> pictures;
  const auto add = [&](const char* file, std::string svg) {
    if (!svg.empty()) pictures.push_back({file, std::move(svg)});
  };
  add("activated-share.svg", DrawShares(systems));
  add("required-bandwidth.svg", DrawBandwidth(systems, catalogue, tpot_s));
  add("radar.svg", DrawScores(systems, level));
  return pictures;
}

}  // namespace moecap::app
