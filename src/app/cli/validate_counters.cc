#include "app/cli/validate_counters.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "app/cli/output.h"
#include "base/fs.h"
#include "base/table.h"
#include "hardware/catalogue.h"
#include "metrics/counted_passes.h"
#include "metrics/traffic_fit.h"
#include "report/plots.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

using metrics::CountedPass;
using metrics::CountedShape;
using metrics::CountedTraffic;
using metrics::TrafficScales;

constexpr TrafficScales kAsModelled{{1, 1, 1, 1, 1, 1, 1, 1}, {}};
constexpr int64_t kSmallBatch = 16;

struct Shape {
  CountedShape counted;
  std::vector<CountedTraffic> traffic;  // of each pass
};

Result<Shape> ReadShape(const fs::path& file, const CounterFlags& flags) {
  ASSIGN_OR_RETURN(const std::string counters, ReadFile(file));
  ASSIGN_OR_RETURN(const std::string name, metrics::CountedShapeName(counters));
  ASSIGN_OR_RETURN(const std::string config, ReadFile(flags.shapes / name / "config.json"));
  Shape shape;
  ASSIGN_OR_RETURN(shape.counted, metrics::ParseCountedShape(counters, config));
  if (!flags.latencies.empty()) {
    ASSIGN_OR_RETURN(const std::string latencies, ReadFile(flags.latencies / file.filename()));
    RETURN_IF_ERROR(metrics::AddLatencies(latencies, shape.counted));
  }
  for (const CountedPass& pass : shape.counted.passes) {
    const auto traffic = metrics::TrafficOf(shape.counted.model, pass.pass);
    if (!traffic || !(pass.counted_bytes > 0)) return BadInput("a pass has no distinct experts, or no counted bytes");
    shape.traffic.push_back(metrics::MakeCountedTraffic(*traffic, pass.formula_bytes, pass.counted_bytes));
  }
  return shape;
}

Result<std::vector<Shape>> ReadShapes(const CounterFlags& flags) {
  std::error_code error;
  std::set<fs::path> files;
  for (fs::directory_iterator entry(flags.counters, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".json") files.insert(entry->path());
  }
  if (error || files.empty()) return BadInput(fmt::format("{} holds no counters (*.json)", flags.counters.string()));
  std::vector<Shape> shapes;
  for (const fs::path& file : files) {
    auto shape = ReadShape(file, flags);
    if (!shape.ok()) return Annotate(file.string(), shape.error());
    shapes.push_back(std::move(shape).value());
  }
  return shapes;
}

std::string Percent(double fraction) { return fmt::format("{:+.1f}", 100 * fraction); }

void PrintPasses(const std::vector<Shape>& shapes) {
  std::vector<TableColumn> columns = {{"", "shape", Align::kLeft, true},     {"", "context", Align::kRight, true},
                                      {"", "batch", Align::kRight, true},    {"", "counted (GB)"},
                                      {"formula less counters, %", "paper"}, {"formula less counters, %", "complete"}};
  for (const std::string_view term : metrics::kTrafficTermList)
    columns.push_back({"terms, % of the complete formula", std::string(term)});
  columns.push_back({"", "with all terms, %"});
  std::vector<std::vector<std::string>> rows;
  for (const Shape& shape : shapes) {
    for (size_t i = 0; i < shape.traffic.size(); ++i) {
      const CountedPass& pass = shape.counted.passes[i];
      const CountedTraffic& traffic = shape.traffic[i];
      std::vector<std::string> row = {shape.counted.shape,
                                      std::to_string(pass.pass.sequences[0].context_tokens),
                                      std::to_string(pass.pass.SequenceCount()),
                                      fmt::format("{:.2f}", pass.counted_bytes / 1e9),
                                      Percent(pass.paper_bytes / pass.counted_bytes - 1),
                                      Percent(pass.formula_bytes / pass.counted_bytes - 1)};
      for (const double term : traffic.terms) row.push_back(fmt::format("{:.1f}", 100 * term / pass.formula_bytes));
      row.push_back(Percent(ErrorOf(kAsModelled, traffic)));
      rows.push_back(std::move(row));
    }
  }
  fmt::print("{}", RenderTable(columns, rows, TerminalTable()));
}

// The largest error of passes up to a batch, and above it.
std::array<double, 2> LargestErrors(const Shape& shape, const TrafficScales& scales) {
  std::array<double, 2> largest{};
  for (size_t i = 0; i < shape.traffic.size(); ++i) {
    double& side = largest[shape.counted.passes[i].pass.SequenceCount() > kSmallBatch ? 1 : 0];
    const double error = ErrorOf(scales, shape.traffic[i]);
    if (std::abs(error) > std::abs(side)) side = error;
  }
  return largest;
}

double MeanError(const Shape& shape, const TrafficScales& scales) {
  double sum = 0;
  for (const CountedTraffic& traffic : shape.traffic) sum += std::abs(ErrorOf(scales, traffic));
  return sum / static_cast<double>(shape.traffic.size());
}

// Each shape predicted from the others.
void PrintHoldOut(const std::vector<Shape>& shapes) {
  if (shapes.size() < 2) return;
  std::vector<TableColumn> columns = {{"", "held out", Align::kLeft, true},
                                      {"error as modelled, %", "mean"},
                                      {"predicted by the others, %", "mean"},
                                      {"predicted by the others, %", fmt::format("largest to {}", kSmallBatch)},
                                      {"predicted by the others, %", "largest above"}};
  for (const std::string_view term : metrics::kTrafficTermList) columns.push_back({"scales of the others", std::string(term)});
  std::vector<std::vector<std::string>> rows;
  for (const Shape& held_out : shapes) {
    std::vector<CountedTraffic> others;
    for (const Shape& shape : shapes) {
      if (&shape != &held_out) others.insert(others.end(), shape.traffic.begin(), shape.traffic.end());
    }
    const TrafficScales scales = metrics::FitTraffic(others);
    const auto largest = LargestErrors(held_out, scales);
    std::vector<std::string> row = {held_out.counted.shape, fmt::format("{:.1f}", 100 * MeanError(held_out, kAsModelled)),
                                    fmt::format("{:.1f}", 100 * MeanError(held_out, scales)), Percent(largest[0]),
                                    Percent(largest[1])};
    for (size_t i = 0; i < metrics::kTrafficTerms; ++i)
      row.push_back(scales.fitted[i] ? fmt::format("{:.2f}", scales.scale[i]) : fmt::format("({:.0f})", scales.scale[i]));
    rows.push_back(std::move(row));
  }
  fmt::print("\n{}", RenderTable(columns, rows, TerminalTable()));
  PrintParagraph("Scales in brackets were not fitted, as no other shape has the term: it counts as it is derived.");
}

// Experiment 1 of MoE-CAP: S-MBU by the formula and by what the memory really moved.
Status DrawSMbu(const Shape& shape, double bytes_per_s, const fs::path& folder) {
  std::set<int64_t> contexts;
  for (const CountedPass& pass : shape.counted.passes) {
    if (pass.latency_s) contexts.insert(pass.pass.sequences[0].context_tokens);
  }
  if (contexts.empty()) return {};
  report::LinePlot plot;
  const int64_t context = *contexts.begin();
  plot.frame = {
      shape.counted.shape + "-s-mbu", fmt::format("{}: S-MBU by formula and by counters", shape.counted.shape),
      fmt::format("share of the peak bandwidth in %, decode passes, {} tokens in the cache", context),
      "Bytes of a decode pass over its latency, as a share of the peak bandwidth, by the complete formula, the paper's "
      "formula and the counted DRAM traffic, against batch size."};
  plot.x_label = "batch size";
  plot.series = {{0, "counted", {}, false, "counted DRAM traffic"},
                 {1, "formula", {}, false, ""},
                 {2, "paper", {}, true, "formula of the paper"}};
  for (const CountedPass& pass : shape.counted.passes) {
    if (!pass.latency_s || pass.pass.sequences[0].context_tokens != context) continue;
    const auto batch = static_cast<double>(pass.pass.SequenceCount());
    const double percent = 100 / (*pass.latency_s * bytes_per_s);
    plot.series[0].points.push_back({batch, pass.counted_bytes * percent, {}, {}, true});
    plot.series[1].points.push_back({batch, pass.formula_bytes * percent, {}, {}, true});
    plot.series[2].points.push_back({batch, pass.paper_bytes * percent, {}, {}, true});
  }
  RETURN_IF_ERROR(MakeWritableDir(folder));
  return WriteFileAtomically(folder / (plot.frame.id + ".svg"), report::DrawLines(plot, report::SvgMode::kStandalone));
}

}  // namespace

void AddCounterFlags(CLI::App& app, CounterFlags& flags) {
  auto* counters = app.add_option("--counters", flags.counters,
                                  "instead of a model: a folder of what a GPU's counters saw (results/reference/h200-counters)")
                       ->check(CLI::ExistingDirectory);
  app.add_option("--latencies", flags.latencies, "a folder of the latencies of these passes, for S-MBU")
      ->check(CLI::ExistingDirectory)
      ->needs(counters);
  app.add_option("--shapes", flags.shapes, "folder of the shapes' config.json (default: tools/gpu/shapes)")->needs(counters);
  app.add_option("--device", flags.device, "whose peak bandwidth S-MBU is a share of (default: h200-sxm)")->needs(counters);
  app.add_option("--svg", flags.svg, "write SHAPE-s-mbu.svg into this folder")->needs(counters);
}

Status ValidateCounters(const CounterFlags& flags) {
  if (!flags.svg.empty() && flags.latencies.empty())
    return BadInput("--svg draws shares of a bandwidth; give --latencies, too");
  ASSIGN_OR_RETURN(const std::vector<Shape> shapes, ReadShapes(flags));
  PrintPasses(shapes);
  PrintHoldOut(shapes);
  if (flags.svg.empty()) return {};
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(flags.device));
  if (!device.bandwidth_bytes_per_s) return BadInput(fmt::format("the bandwidth of {} is not known", flags.device));
  for (const Shape& shape : shapes) RETURN_IF_ERROR(DrawSMbu(shape, *device.bandwidth_bytes_per_s, flags.svg));
  return {};
}

}  // namespace moecap::app
