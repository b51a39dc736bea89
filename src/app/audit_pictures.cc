#include "app/audit_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/units.h"
#include "cap/paper_scores.h"
#include "metrics/batch_curve.h"
#include "report/plots.h"

namespace moecap::app {
namespace {

// Lower-case letters and digits; everything else becomes '-'. `taken` makes it unique.
std::string FileName(std::string_view prefix, std::string_view id, std::set<std::string>& taken) {
  std::string name(prefix);
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    name += std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '-';
  }
  std::string unique = name;
  for (int i = 2; !taken.insert(unique).second; ++i) unique = fmt::format("{}-{}", name, i);
  return unique;
}

std::string DrawRadar(const audit::CapRadar& inputs, const std::string& name, const std::string& title) {
  report::RadarPlot plot;
  plot.frame = {name, title, "scores 0 to 100, outer is better", "Performance, accuracy and cost scores of each system."};
  plot.axes = {"performance", "accuracy", "cost"};
  const std::vector<cap::PaperScore> scores = audit::RadarScores(inputs);
  for (size_t i = 0; i < scores.size(); ++i)
    plot.series.push_back({i, scores[i].label, {scores[i].performance, scores[i].accuracy, scores[i].cost}});
  return report::DrawRadar(plot, report::SvgMode::kStandalone);
}

std::string DrawMap(const audit::RequiredBandwidth& inputs, const std::string& name, const std::string& title,
                    const hardware::Catalogue& catalogue) {
  report::HardwareMap map;
  map.frame = {name, title, "peak memory bandwidth against nameplate power, single devices",
               "Devices of the catalogue with the bandwidth that the published time per output token needs."};
  for (const hardware::Device& device : catalogue.devices()) {
    if (!device.bandwidth_bytes_per_s || !device.tdp_w) continue;
    auto kind = std::find(map.kinds.begin(), map.kinds.end(), device.device_class);
    if (kind == map.kinds.end()) kind = map.kinds.insert(map.kinds.end(), device.device_class);
    report::HardwareMark mark{device.name, static_cast<size_t>(kind - map.kinds.begin()), *device.bandwidth_bytes_per_s,
                              *device.tdp_w};
    for (const audit::DeviceOnLine& row : inputs.devices) {
      const auto named = catalogue.FindDevice(row.device.text);
      mark.chosen = mark.chosen || (named.ok() && named->id == device.id);
    }
    map.devices.push_back(std::move(mark));
  }
  const std::string tpot = FormatSeconds(inputs.tpot_s);
  map.requirements = {{inputs.full_activation_bytes_per_s.value, fmt::format("all experts, TPOT {}", tpot)},
                      {inputs.batch_1_bytes_per_s.value, fmt::format("batch 1, TPOT {}", tpot)}};
  return report::DrawHardwareMap(map, report::SvgMode::kStandalone);
}

Status AddShare(const audit::ActivatedShare& inputs, const audit::Sources& sources, report::SparsityCurve& curve) {
  ASSIGN_OR_RETURN(const model::CatalogueModel entry, sources.models.Find(inputs.model.text));
  ASSIGN_OR_RETURN(const model::ModelSpec spec, model::SpecOf(entry, inputs.model.text));
  const std::vector<int64_t> batches = {1, 2, 4, 8, 16, 32, 64, 128};
  const auto high = metrics::DecodeCurve(spec, batches, {.context_tokens = 0, .cv = audit::kUniformCv});
  const auto low = metrics::DecodeCurve(spec, batches, {.context_tokens = 0, .cv = audit::kStrongCv});
  const std::string name = inputs.model.text.substr(inputs.model.text.find('/') + 1);
  report::ShareBand band{curve.bands.size(), name, {}};
  for (size_t i = 0; i < batches.size(); ++i)
    band.points.push_back({static_cast<double>(batches[i]), low[i].activated_share, high[i].activated_share});
  curve.measured.push_back(
      {band.system, name, static_cast<double>(inputs.batch), inputs.activated_share.value, std::nullopt, std::nullopt});
  curve.bands.push_back(std::move(band));
  return {};
}

}  // namespace

Result<std::vector<AuditPicture>> DrawAuditPictures(const std::vector<audit::ClaimFile>& files, const audit::Sources& sources) {
  std::vector<AuditPicture> pictures;
  std::set<std::string> taken;
  for (const audit::ClaimFile& file : files) {
    report::SparsityCurve curve;
    for (const audit::Claim& claim : file.claims) {
      const std::string title = fmt::format("{} ({})", claim.id, claim.source);
      if (const auto* radar = std::get_if<audit::CapRadar>(&claim.inputs)) {
        const std::string name = FileName("radar-", claim.id, taken);
        pictures.push_back({name, DrawRadar(*radar, name, title)});
      } else if (const auto* bandwidth = std::get_if<audit::RequiredBandwidth>(&claim.inputs)) {
        const std::string name = FileName("hardware-map-", claim.id, taken);
        pictures.push_back({name, DrawMap(*bandwidth, name, title, sources.devices)});
      } else if (const auto* share = std::get_if<audit::ActivatedShare>(&claim.inputs)) {
        RETURN_IF_ERROR(AddShare(*share, sources, curve));
      }
    }
    if (curve.bands.empty()) continue;
    const std::string name = FileName("sparsity-curve-", file.name, taken);
    curve.frame = {name, file.title,
                   "share of the parameters that a decode step activates; bands: estimates, marks: traced by the paper",
                   "Bands from uniform routing to popularity of CV 1; marks are the published shares."};
    curve.y_label = "activated parameters, %";
    pictures.push_back({name, report::DrawSparsityCurve(curve, report::SvgMode::kStandalone)});
  }
  return pictures;
}

}  // namespace moecap::app
