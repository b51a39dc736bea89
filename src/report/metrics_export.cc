#include "report/metrics_export.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/gauge_page.h"
#include "base/json.h"
#include "base/wall_clock.h"

namespace moecap::report {
namespace {

using Labels = GaugePage::Labels;

Labels LabelsOf(const cap::SystemSummary& system, const cap::CellSummary& cell) {
  return {{"system", system.name},
          {"engine", system.engine},
          {"model", system.model_id},
          {"weights", system.weight_type},
          {"level_kind", std::string(record::Name(cell.level.kind))},
          {"level", fmt::format("{}", cell.level.value)},
          {"valid", cell.IsValid() ? "true" : "false"}};
}

// Calls `use(cell's labels, value)` for each cell that has the figure.
void ForEachValue(const cap::ExperimentSummary& summary, cap::FigureId id, const auto& use) {
  for (const cap::SystemSummary& system : summary.systems) {
    for (const cap::CellSummary& cell : system.cells) {
      const std::optional<double>& value = cell.figures[id];
      if (value && std::isfinite(*value)) use(LabelsOf(system, cell), *value);
    }
  }
}

Json Attribute(const std::string& key, const std::string& value) { return {{"key", key}, {"value", {{"stringValue", value}}}}; }

// UCUM, as OpenTelemetry writes units: "{requests}" for what is counted.
std::string OtlpUnit(std::string_view unit) {
  if (unit.empty()) return "1";
  return unit == "s" ? "s" : fmt::format("{{{}}}", unit);
}

Json GaugeOf(const cap::Figure& figure, const cap::ExperimentSummary& summary, const std::string& time) {
  Json points = Json::array();
  ForEachValue(summary, figure.id, [&](const Labels& labels, double value) {
    Json attributes = Json::array();
    for (const auto& [key, label] : labels) attributes.push_back(Attribute(std::string(key), label));
    points.push_back({{"attributes", std::move(attributes)}, {"timeUnixNano", time}, {"asDouble", value}});
  });
  if (points.empty()) return nullptr;
  return {{"name", fmt::format("moecap.{}", figure.key)},
          {"description", std::string(figure.definition)},
          {"unit", OtlpUnit(figure.unit)},
          {"gauge", {{"dataPoints", std::move(points)}}}};
}

Json ResourceOf(const cap::ExperimentSummary& summary) {
  const auto started = ParseIso8601(summary.started_at);
  const std::string time = std::to_string(started.ok() ? *started : 0);
  Json gauges = Json::array();
  for (const cap::Figure& figure : cap::Figures()) {
    Json gauge = GaugeOf(figure, summary, time);
    if (!gauge.is_null()) gauges.push_back(std::move(gauge));
  }
  const Json attributes = {Attribute("service.name", "moecap"), Attribute("moecap.run_id", summary.run_id),
                           Attribute("moecap.workload", summary.workload)};
  const Json scope = {{"name", "moecap"}, {"version", summary.moecap_version}};
  return {{"resource", {{"attributes", attributes}}},
          {"scopeMetrics", Json::array({{{"scope", scope}, {"metrics", std::move(gauges)}}})}};
}

}  // namespace

std::string ToPrometheus(std::span<const cap::JudgedExperiment> experiments) {
  GaugePage page;
  for (const cap::Figure& figure : cap::Figures()) {
    page.Begin(figure.key,
               fmt::format("{}{}", figure.definition, figure.unit.empty() ? "" : fmt::format(" ({})", figure.unit)));
    for (const cap::JudgedExperiment& experiment : experiments) {
      ForEachValue(experiment.summary, figure.id, [&](Labels labels, double value) {
        labels.emplace(labels.begin(), "run_id", experiment.summary.run_id);
        page.Add(labels, value);
      });
    }
  }
  return page.text();
}

std::string ToOtlpJson(std::span<const cap::JudgedExperiment> experiments) {
  Json resources = Json::array();
  for (const cap::JudgedExperiment& experiment : experiments) resources.push_back(ResourceOf(experiment.summary));
  return DumpJson({{"resourceMetrics", std::move(resources)}}) + "\n";
}

}  // namespace moecap::report
