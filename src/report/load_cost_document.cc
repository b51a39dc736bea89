#include "report/load_cost_document.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "report/format.h"

namespace moecap::report {
namespace {

using planner::CostPoint;
using planner::LoadCost;

std::string PricesText(const CostPoint& point, bool given) {
  std::vector<std::string> parts;
  if (point.rent_usd) parts.push_back(MoneyText(point.rent_usd) + (given ? "" : " rented"));
  if (point.own_usd) parts.push_back(MoneyText(point.own_usd) + " owned");
  return parts.empty() ? "a price that is not known" : JoinWords(parts);
}

std::vector<std::string> LoadCostHeadline(const LoadCostAnswer& answer) {
  const LoadCost& cost = answer.cost;
  const bool given = answer.question.usd_per_h.has_value();
  std::vector<std::string> lines;
  const CostPoint &first = cost.points.front(), &last = cost.points.back();
  lines.push_back(fmt::format("1M output tokens cost {} at {} requests/s and {} at {}: a factor of {:.1f}.",
                              PricesText(first, given), NumberText(first.requests_per_s), PricesText(last, given),
                              NumberText(last.requests_per_s), cost.spread));
  lines.push_back(fmt::format("Saturated from {} requests/s on ({} to {}; {}).", NumberText(cost.greatest_per_s),
                              NumberText(cost.greatest_per_s / cost.band.high), NumberText(cost.greatest_per_s / cost.band.low),
                              cost.band.basis));
  if (cost.targets_until_per_s) {
    const double until = *cost.targets_until_per_s;
    lines.push_back(until < 1e-3 * cost.greatest_per_s
                        ? fmt::format("No rate keeps the targets: {} is missed even when nearly idle.", cost.breaks)
                        : fmt::format("The targets hold up to {} requests/s, {} of saturation; {} breaks first.",
                                      NumberText(until), ShareText(until / cost.greatest_per_s, 0), cost.breaks));
  }
  return lines;
}

Table LoadCostTable(const LoadCost& cost) {
  Table table{.name = "load", .title = "By offered load"};
  table.columns = {{.header = "requests/s", .kind = ColumnKind::kKey},
                   {.header = "used", .group = "of the time", .unit = "%"},
                   {.header = "idle", .group = "of the time", .unit = "%"},
                   {.header = "rented", .group = "1M output tokens", .unit = "USD"},
                   {.header = "owned", .group = "1M output tokens", .unit = "USD"},
                   {.header = "energy", .group = "1M output tokens ", .unit = "MJ"},
                   {.header = "TPOT", .unit = "ms"},
                   {.header = "TTFT", .unit = "ms"},
                   {.header = "targets", .kind = ColumnKind::kWord}};
  constexpr double kMega = 1e6;
  for (const CostPoint& point : cost.points) {
    const std::string kept = point.saturated ? "saturated" : (point.keeps ? "kept" : "missed");
    table.rows.push_back({NumberText(point.requests_per_s), Estimate(NumberText(point.utilisation, kPercent)),
                          Estimate(fmt::format("{:.1f}", 100 * point.idle_share)), Estimate(NumberText(point.rent_usd)),
                          Estimate(NumberText(point.own_usd)), Estimate(NumberText(point.joules, kMega)),
                          Estimate(NumberText(point.tpot_s, kMilli)), Estimate(NumberText(point.ttft_s, kMilli)),
                          cost.targets_until_per_s || point.saturated ? kept : ""});
  }
  table.notes.emplace_back(
      "Used: of the greatest rate. Idle: no request in the system. The hour's whole bill is divided by the tokens of that "
      "hour.");
  return table;
}

Figure LoadCostFigure(const LoadCost& cost) {
  LinePlot plot;
  plot.frame = {"load-cost", "The price of a token as the load grows", "USD per 1M output tokens",
                "Predicted price of a million output tokens against offered requests a second."};
  plot.x_label = "requests/s";
  PlotSeries rented{.system = 0, .name = "rented", .points = {}}, owned{.system = 1, .name = "owned", .points = {}};
  for (const CostPoint& point : cost.points) {
    const bool valid = !point.saturated && (point.keeps || !cost.targets_until_per_s);
    if (point.rent_usd) rented.points.push_back({.x = point.requests_per_s, .y = *point.rent_usd, .valid = valid});
    if (point.own_usd) owned.points.push_back({.x = point.requests_per_s, .y = *point.own_usd, .valid = valid});
  }
  for (PlotSeries* series : {&rented, &owned}) {
    if (!series->points.empty()) plot.series.push_back(std::move(*series));
  }
  return {plot, "Hollow points miss a target or are saturated."};
}

Json Nullable(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

}  // namespace

Document LoadCostDocument(const LoadCostAnswer& answer) {
  const LoadCost& cost = answer.cost;
  const planner::Load& load = answer.question.load;
  Document document;
  document.kind = "plan load";
  document.title = answer.model;
  document.about.items = {
      {"devices", fmt::format("{}, TP {} EP {}", answer.devices, cost.deployment.tensor, cost.deployment.expert)},
      {"system", answer.question.system},
      {"requests", fmt::format("{:.0f} tokens in, {:.0f} out", load.input_tokens, load.output_tokens)},
      {"run at once",
       fmt::format("{}, {}", NumberText(cost.most_running), cost.limited ? "as the launch lets" : "as memory holds")},
      {"an hour", fmt::format("{} rented, {} owned", cost.rent_usd_per_h ? MoneyText(cost.rent_usd_per_h) : "?",
                              cost.own_usd_per_h ? MoneyText(cost.own_usd_per_h) : "?")},
      {"power", cost.watts ? fmt::format("{:.0f} W under load, {} of it when idle", *cost.watts,
                                         ShareText(answer.question.idle_power_share, 0))
                           : ""}};
  if (answer.question.usd_per_h) document.about.items[4].second = MoneyText(cost.rent_usd_per_h) + ", as given";
  document.headline = LoadCostHeadline(answer);
  document.sections.push_back({.heading = "Load", .detail = Detail::kFirstScreen, .blocks = {LoadCostTable(cost)}});
  document.sections.push_back({.heading = "Curve", .detail = Detail::kFolded, .blocks = {LoadCostFigure(cost)}});
  if (!cost.notes.empty())
    document.sections.push_back({.heading = "Notes", .detail = Detail::kFirstScreen, .blocks = {Notes{"", cost.notes}}});
  return document;
}

Json LoadCostToJson(const LoadCostAnswer& answer) {
  const LoadCost& cost = answer.cost;
  Json points = Json::array();
  for (const CostPoint& point : cost.points) {
    points.push_back({{"requests_per_s", point.requests_per_s},
                      {"served_per_s", point.served_per_s},
                      {"utilisation", point.utilisation},
                      {"idle_share", point.idle_share},
                      {"tpot_s", point.tpot_s},
                      {"ttft_s", Nullable(point.ttft_s)},
                      {"keeps_targets", point.keeps},
                      {"saturated", point.saturated},
                      {"rent_usd_per_million_output_tokens", Nullable(point.rent_usd)},
                      {"own_usd_per_million_output_tokens", Nullable(point.own_usd)},
                      {"joules_per_million_output_tokens", Nullable(point.joules)}});
  }
  return {{"schema", 1},
          {"model", answer.model},
          {"devices", answer.devices},
          {"system", answer.question.system},
          {"launch", planner::Name(answer.question.launch)},
          {"max_running_requests", Nullable(answer.question.max_running)},
          {"tensor", cost.deployment.tensor},
          {"expert", cost.deployment.expert},
          {"most_running_requests", std::isfinite(cost.most_running) ? Json(cost.most_running) : Json(nullptr)},
          {"running_is_limited", cost.limited},
          {"greatest_requests_per_s", cost.greatest_per_s},
          {"targets_until_requests_per_s", Nullable(cost.targets_until_per_s)},
          {"breaks", cost.breaks.empty() ? Json(nullptr) : Json(cost.breaks)},
          {"rent_usd_per_h", Nullable(cost.rent_usd_per_h)},
          {"own_usd_per_h", Nullable(cost.own_usd_per_h)},
          {"watts", Nullable(cost.watts)},
          {"spread", cost.spread},
          {"band", {{"low", cost.band.low}, {"high", cost.band.high}, {"basis", cost.band.basis}}},
          {"points", std::move(points)},
          {"notes", cost.notes}};
}

}  // namespace moecap::report
