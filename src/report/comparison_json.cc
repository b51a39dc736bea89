#include "report/comparison_json.h"

#include <nlohmann/json.hpp>

namespace moecap::report {
namespace {

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json ToJson(const std::optional<stats::Interval>& interval) {
  if (!interval) return nullptr;
  return {{"low", interval->low}, {"high", interval->high}};
}

Json ToJson(const cap::ComparedRun& run) {
  return {{"run_id", run.run_id},   {"started_at", run.started_at}, {"moecap_version", run.moecap_version},
          {"engine", run.engine},   {"model", run.model},           {"dataset", run.dataset},
          {"contract", run.contract}, {"hardware", run.hardware},   {"complete", run.complete}};
}

Json ToJson(const cap::ComparedAxis& compared) {
  const cap::Axis& axis = cap::AxisOf(compared.axis);
  Json limit = nullptr;
  if (compared.limit) limit = {{"value", compared.limit->value}, {"source", compared.limit->source}};
  return {{"axis", axis.key},
          {"name", axis.name},
          {"unit", axis.unit},
          {"dimension", cap::DimensionName(axis.dimension)},
          {"better", axis.higher_is_better ? "higher" : "lower"},
          {"scale", axis.log_scale ? "log" : "linear"},
          {"limit", std::move(limit)},
          {"decades", axis.log_scale ? Json(axis.decades) : Json(nullptr)}};
}

Json ToJson(const cap::ComparedFigure& figure) {
  return {{"value", OrNull(figure.value)},
          {"interval", ToJson(figure.interval)},
          {"difference", OrNull(figure.difference)},
          {"difference_interval", ToJson(figure.difference_interval)},
          {"relative_difference", OrNull(figure.relative_difference)},
          {"p_value", OrNull(figure.p_value)},
          {"verdict", cap::VerdictName(figure.verdict)},
          {"noise", figure.noise},
          {"paper_score", OrNull(figure.paper_score)},
          {"robust_score", OrNull(figure.robust_score)}};
}

Json ToJson(const cap::ComparedSystem& system, const cap::Comparison& comparison) {
  Json figures = Json::object();
  for (size_t k = 0; k < system.figures.size(); ++k)
    figures[std::string(cap::AxisOf(comparison.axes[k].axis).key)] = ToJson(system.figures[k]);
  Json alternatives = Json::array();
  for (const cap::ClassShare& other : system.scores.class_alternatives)
    alternatives.push_back({{"class", cap::CapClassName(other.cap_class)}, {"share", other.share}});
  return {{"label", system.label},
          {"run_id", system.run_id},
          {"system", system.system},
          {"description", system.description},
          {"model_id", system.model_id},
          {"weight_type", system.weight_type},
          {"host", system.host},
          {"concurrency", system.concurrency},
          {"invalid", system.invalid},
          {"figures", std::move(figures)},
          {"class", cap::CapClassName(system.scores.cap_class)},
          {"class_support", OrNull(system.scores.class_support)},
          {"class_alternatives", std::move(alternatives)},
          {"reason", system.scores.reason},
          {"on_front", OrNull(system.on_front)},
          {"dominated_by", system.dominated_by},
          {"hypervolume_share", OrNull(system.hypervolume_share)}};
}

Json ToJson(const cap::DecisionAdvice& advice) {
  Json rows = Json::array();
  for (const cap::Advice& entry : advice.rows) {
    rows.push_back({{"primary", entry.row.primary},
                    {"secondary", entry.row.secondary},
                    {"recommended_system", entry.row.system},
                    {"configuration", entry.row.configuration},
                    {"reason", entry.row.reason},
                    {"use_case", entry.row.use_case},
                    {"written_for", entry.row.hardware},
                    {"axis", cap::AxisOf(entry.axis).key},
                    {"measured_ranking", entry.measured_ranking}});
  }
  return {{"source", advice.source},
          {"tier", advice.tier.empty() ? Json(nullptr) : Json(advice.tier)},
          {"tier_source", advice.tier_source},
          {"batch", advice.batch},
          {"rows", std::move(rows)}};
}

template <typename T>
Json ListOf(const std::vector<T>& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(ToJson(value));
  return list;
}

}  // namespace

Json ComparisonToJson(const cap::Comparison& comparison) {
  Json mismatches = Json::array();
  for (const cap::Mismatch& mismatch : comparison.mismatches)
    mismatches.push_back({{"what", mismatch.what}, {"values", mismatch.values}, {"intended", mismatch.intended}});
  Json systems = Json::array();
  for (const cap::ComparedSystem& system : comparison.systems) systems.push_back(ToJson(system, comparison));
  Json planes = Json::array();
  for (const cap::PlaneFront& plane : comparison.planes) {
    planes.push_back({{"x", cap::AxisOf(plane.x).key},
                      {"y", cap::AxisOf(plane.y).key},
                      {"front", plane.systems},
                      {"area", OrNull(plane.area)}});
  }
  return {{"schema", kComparisonSchema},
          {"warnings", comparison.warnings},
          {"runs", ListOf(comparison.runs)},
          {"mismatches", std::move(mismatches)},
          {"scenario", comparison.scenario},
          {"cost_axis", cap::AxisOf(comparison.cost).key},
          {"performance_axis", cap::AxisOf(comparison.performance).key},
          {"normalisation", comparison.normalisation},
          {"axes", ListOf(comparison.axes)},
          {"baseline", comparison.systems.empty() ? Json(nullptr) : Json(comparison.systems[comparison.baseline].label)},
          {"systems", std::move(systems)},
          {"resamples", comparison.resamples},
          {"margin_ratio", comparison.margin_ratio},
          {"hypervolume", OrNull(comparison.hypervolume)},
          {"planes", std::move(planes)},
          {"advice", ToJson(comparison.advice)},
          {"notes", comparison.notes}};
}

}  // namespace moecap::report
