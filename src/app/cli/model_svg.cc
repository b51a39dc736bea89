#include "app/cli/model_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/fs.h"
#include "base/units.h"
#include "report/plots.h"
#include "report/readings.h"

namespace moecap::app {
namespace {

using Curve = std::vector<metrics::BatchPoint>;
using report::SvgMode;

std::string Sparsity(const model::ModelSpec& spec, const Curve& curve, const Curve& uniform, double cv) {
  report::SparsityCurve plot;
  plot.frame = {"activated-share", fmt::format("Activated parameters of a decode step of {}", spec.id),
                fmt::format("estimate: solid from CV {:g}, dashed with uniform popularity", cv), ""};
  plot.y_label = "activated parameters, %";
  report::ShareBand band{0, spec.id.substr(spec.id.rfind('/') + 1), {}};
  for (size_t i = 0; i < curve.size(); ++i) {
    const auto [low, high] = std::minmax(curve[i].activated_share, uniform[i].activated_share);
    band.points.push_back({static_cast<double>(curve[i].batch), low, high});
  }
  plot.bands.push_back(std::move(band));
  plot.frame.description = report::ReadSparsityCurve(plot);
  return report::DrawSparsityCurve(plot, SvgMode::kStandalone);
}

std::string RequiredBandwidth(const model::ModelSpec& spec, const Curve& curve, double tpot_s) {
  report::LinePlot plot;
  plot.frame = {"required-bandwidth", spec.id, fmt::format("memory bandwidth for a TPOT of {}, in GB/s", FormatSeconds(tpot_s)),
                "Bytes of a decode step over the time per output token, against batch size."};
  plot.x_label = "batch size";
  report::PlotSeries series;
  series.name = "required";
  for (const auto& point : curve) {
    series.points.push_back(
        {static_cast<double>(point.batch), point.bytes_per_step / tpot_s * 1e-9, std::nullopt, std::nullopt, true});
  }
  plot.series.push_back(std::move(series));
  return report::DrawLines(plot, SvgMode::kStandalone);
}

// What is needed at the smallest and the largest batch, and where a step would touch every weight.
std::vector<report::BandwidthRequirement> Requirements(const model::ModelSpec& spec, const Curve& curve, double tpot_s) {
  const std::string tpot = FormatSeconds(tpot_s);
  std::vector<report::BandwidthRequirement> lines = {
      {curve.front().bytes_per_step / tpot_s, fmt::format("batch {}, TPOT {}", curve.front().batch, tpot)}};
  if (curve.size() > 1)
    lines.push_back({curve.back().bytes_per_step / tpot_s, fmt::format("batch {}, TPOT {}", curve.back().batch, tpot)});
  if (spec.MoeLayers() > 0) lines.push_back({spec.WeightBytes() / tpot_s, fmt::format("all weights, TPOT {}", tpot)});
  return lines;
}

Result<std::string> Map(const model::ModelSpec& spec, const Curve& curve, const ModelPictures& wanted) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  std::string chosen;
  if (!wanted.device.empty()) {
    ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(wanted.device));
    chosen = device.id;
  }
  report::HardwareMap map;
  map.frame = {"hardware-map", "Memory bandwidth against power",
               fmt::format("devices of the catalogue; lines: what {} needs", spec.id), ""};
  for (const auto& device : catalogue.devices()) {
    if (!device.bandwidth_bytes_per_s || !device.tdp_w) continue;
    const auto kind = std::ranges::find(map.kinds, device.device_class);
    const auto index = static_cast<size_t>(kind - map.kinds.begin());
    if (kind == map.kinds.end()) map.kinds.push_back(device.device_class);
    const std::string price =
        device.price_usd.typical ? fmt::format("about USD {}", FormatSignificant(*device.price_usd.typical, 3)) : "";
    map.devices.push_back({device.name, index, *device.bandwidth_bytes_per_s, *device.tdp_w, device.id == chosen, price});
  }
  map.requirements = Requirements(spec, curve, wanted.tpot_s);
  map.frame.description = report::ReadHardwareMap(map);
  return report::DrawHardwareMap(map, SvgMode::kStandalone);
}

}  // namespace

Status WriteModelPictures(const model::ModelSpec& spec, const Curve& curve, const Curve& uniform, const ModelPictures& wanted) {
  std::vector<std::pair<std::string, std::string>> files;
  if (!wanted.svg.empty()) files.emplace_back(wanted.svg, Sparsity(spec, curve, uniform, wanted.cv));
  if (!wanted.bandwidth_svg.empty()) files.emplace_back(wanted.bandwidth_svg, RequiredBandwidth(spec, curve, wanted.tpot_s));
  if (!wanted.hardware_map.empty()) {
    ASSIGN_OR_RETURN(std::string map, Map(spec, curve, wanted));
    files.emplace_back(wanted.hardware_map, std::move(map));
  }
  for (const auto& [file, text] : files) RETURN_IF_ERROR(WriteFileAtomically(file, text));
  return {};
}

}  // namespace moecap::app
