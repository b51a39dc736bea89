#include "report/balance_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/format.h"

namespace moecap::report {
namespace {

using planner::BalanceVerdict;
using planner::BalanceWay;

std::string GainText(const BalanceWay& way) {
  return fmt::format("{:.3f} ({:.3f} to {:.3f} by the trace's sampling)", way.gain, way.gain_low, way.gain_high);
}

std::vector<std::string> BalanceHeadline(const BalanceAnswer& answer) {
  const planner::Balance& balance = answer.balance;
  const BalanceWay &today = balance.ways.front(), &chosen = balance.ways[balance.chosen];
  std::vector<std::string> lines;
  switch (balance.verdict) {
    case BalanceVerdict::kEnable:
      lines.push_back(fmt::format("Enable it: {} makes the experts {} times as fast on passes that it was not fitted on.",
                                  chosen.name, GainText(chosen)));
      break;
    case BalanceVerdict::kLeave:
      lines.push_back(fmt::format("Leave it: {} makes the experts only {} times as fast on passes that it was not fitted on.",
                                  chosen.name, GainText(chosen)));
      break;
    case BalanceVerdict::kUndecided:
      lines.push_back(fmt::format("Undecided: {} makes the experts {} times as fast, and {:g} is worth it: record more passes.",
                                  chosen.name, GainText(chosen), planner::kWorthwhileGain));
      break;
  }
  lines.push_back(fmt::format(
      "As today the busiest of {} ranks has {:.2f} times the mean tokens of a step and reads {:.2f} times the mean experts.",
      answer.question.ranks, today.later.tokens_max_over_mean, today.later.experts_max_over_mean));
  lines.push_back(
      fmt::format("Whole tiles of {} rows make {:.2f} rows of each; the experts of the passes drift by {} of their "
                  "load, and a placement fitted on these very passes would gain {:.3f}.",
                  answer.question.block_m, today.later.padding, ShareText(balance.later.back().distance), balance.own_gain));
  if (chosen.extra_bytes > 0)
    lines.push_back(fmt::format("It takes {} more of each rank's memory.", BytesText(chosen.extra_bytes)));
  return lines;
}

Table WaysOfBalance(const BalanceAnswer& answer) {
  Table table{.name = "placements", .title = "Placements on the later passes"};
  table.columns = {{.header = "placement", .kind = ColumnKind::kKey},
                   {.header = "tokens", .group = "busiest rank / mean"},
                   {.header = "experts", .group = "busiest rank / mean"},
                   {.header = "rows / tokens"},
                   {.header = "gain", .unit = "×"},
                   {.header = "95 %", .kind = ColumnKind::kWord},
                   {.header = "when fitted", .unit = "×"},
                   {.header = "more memory", .kind = ColumnKind::kWord}};
  const double today_fitted = answer.balance.ways.front().fitted.seconds;
  for (size_t i = 0; i < answer.balance.ways.size(); ++i) {
    const BalanceWay& way = answer.balance.ways[i];
    Cell gain = i == 0 ? Cell("") : Cell(fmt::format("{:.3f}", way.gain));
    if (i == answer.balance.chosen) gain = Best(std::move(gain));
    table.rows.push_back({way.name, fmt::format("{:.3f}", way.later.tokens_max_over_mean),
                          fmt::format("{:.3f}", way.later.experts_max_over_mean), fmt::format("{:.2f}", way.later.padding),
                          gain, i == 0 ? "" : fmt::format("{:.3f} to {:.3f}", way.gain_low, way.gain_high),
                          i == 0 || way.fitted.seconds <= 0 ? "" : fmt::format("{:.3f}", today_fitted / way.fitted.seconds),
                          way.extra_bytes > 0 ? BytesText(way.extra_bytes) : ""});
  }
  table.notes.emplace_back(
      "Gains are of the experts' time alone, max(bytes, FLOPs of whole tiles) of the slowest rank; what a rank waits for the "
      "all-to-all grows with its tokens, too. The interval is of the trace's sampling alone: no rank's time was measured "
      "against "
      "this model.");
  return table;
}

Table DriftTable(const planner::Balance& balance) {
  Table table{.name = "drift", .title = "Windows of later passes"};
  table.columns = {{.header = "window", .kind = ColumnKind::kKey},
                   {.header = "passes"},
                   {.header = "moved load", .unit = "%"},
                   {.header = "gain", .unit = "×"}};
  for (size_t i = 0; i < balance.later.size(); ++i) {
    const planner::BalanceWindow& window = balance.later[i];
    table.rows.push_back({std::to_string(i + 1), std::to_string(window.passes), NumberText(window.distance, kPercent),
                          fmt::format("{:.3f}", window.gain)});
  }
  return table;
}

Json FiguresJson(const planner::BalanceFigures& figures) {
  return {{"tokens_max_over_mean", figures.tokens_max_over_mean},
          {"experts_max_over_mean", figures.experts_max_over_mean},
          {"padding", figures.padding},
          {"seconds", figures.seconds}};
}

}  // namespace

Document BalanceDocument(const BalanceAnswer& answer) {
  Document document;
  document.kind = "plan ranks";
  document.title = answer.model;
  document.about.items = {
      {"layout", fmt::format("EP {} on {}", answer.question.ranks, CountText(answer.question.nodes, "node", "nodes"))},
      {"device", answer.device},
      {"fitted on", CountText(answer.balance.fitted_passes, "pass", "passes") + " (" + answer.phase + ")"},
      {"judged on", CountText(answer.balance.later_passes, "later pass", "later passes")}};
  document.headline = BalanceHeadline(answer);
  document.sections.push_back(
      {.heading = "Ranks", .detail = Detail::kFirstScreen, .blocks = {WaysOfBalance(answer), DriftTable(answer.balance)}});
  if (!answer.notes.empty())
    document.sections.push_back({.heading = "Notes", .detail = Detail::kFirstScreen, .blocks = {Notes{"", answer.notes}}});
  return document;
}

Json BalanceToJson(const BalanceAnswer& answer) {
  const planner::Balance& balance = answer.balance;
  Json ways = Json::array(), later = Json::array();
  for (const BalanceWay& way : balance.ways) {
    ways.push_back({{"placement", way.name},
                    {"redundant_experts", way.redundant},
                    {"fitted", FiguresJson(way.fitted)},
                    {"later", FiguresJson(way.later)},
                    {"gain", way.gain},
                    {"gain_low", way.gain_low},
                    {"gain_high", way.gain_high},
                    {"extra_bytes_per_rank", way.extra_bytes}});
  }
  for (const planner::BalanceWindow& window : balance.later)
    later.push_back({{"passes", window.passes}, {"moved_load", window.distance}, {"gain", window.gain}});
  return {{"schema", 1},
          {"model", answer.model},
          {"device", answer.device},
          {"passes", answer.phase},
          {"ranks", answer.question.ranks},
          {"nodes", answer.question.nodes},
          {"groups", answer.question.groups},
          {"block_m", answer.question.block_m},
          {"fitted_passes", balance.fitted_passes},
          {"later_passes", balance.later_passes},
          {"verdict", std::string(planner::Name(balance.verdict))},
          {"chosen", balance.ways[balance.chosen].name},
          {"gain_fitted_on_later", balance.own_gain},
          {"placements", std::move(ways)},
          {"later_windows", std::move(later)},
          {"notes", answer.notes}};
}

}  // namespace moecap::report
