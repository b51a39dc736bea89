#include "report/drafts_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/format.h"

namespace moecap::report {
namespace {

using planner::SpeculationPrediction;

const SpeculationPrediction& Fastest(const DraftsAnswer& answer) {
  return *std::max_element(answer.rows.begin(), answer.rows.end(),
                           [](const auto& a, const auto& b) { return a.speed_up < b.speed_up; });
}

// The length that pays at the lowest acceptance; null: none does at any.
const SpeculationPrediction* Easiest(const DraftsAnswer& answer) {
  const SpeculationPrediction* easiest = nullptr;
  for (const SpeculationPrediction& row : answer.rows) {
    if (row.drafted > 0 && row.break_even && (!easiest || *row.break_even < *easiest->break_even)) easiest = &row;
  }
  return easiest;
}

std::vector<std::string> DraftsHeadline(const DraftsAnswer& answer) {
  std::vector<std::string> lines;
  const SpeculationPrediction& best = Fastest(answer);
  const SpeculationPrediction* const easiest = Easiest(answer);
  if (best.drafted > 0) {
    lines.push_back(
        fmt::format("It pays at an acceptance of {:g}: drafts of {} make {:.2f} ({:.2f} to {:.2f}) times the tokens a second. "
                    "The band: {}.",
                    answer.setting.acceptance, CountText(best.drafted, "token", "tokens"), best.speed_up,
                    best.speed_up * planner::kSpeedUpLow, best.speed_up * planner::kSpeedUpHigh, planner::kSpeedUpBasis));
  } else {
    lines.push_back(fmt::format("It does not pay at an acceptance of {:g}: every pass with drafts costs more than it yields.",
                                answer.setting.acceptance));
  }
  lines.push_back(easiest ? fmt::format("Drafts of {} pay from an acceptance of {:.2f} on, longer or shorter ones later.",
                                        CountText(easiest->drafted, "token", "tokens"), *easiest->break_even)
                          : "No acceptance makes it pay.");
  const SpeculationPrediction& last = answer.rows.back();
  lines.push_back(fmt::format("A pass that checks {} reads {:.1f} experts a layer against {:.1f} and costs {:.2f} passes.",
                              CountText(last.drafted, "drafted token", "drafted tokens"), last.distinct_experts,
                              answer.rows.front().distinct_experts, last.cost));
  lines.push_back(answer.windows.empty()
                      ? "The experts are estimated (tokens^0.6 of one sequence, measured between 0.52 and 0.70); a trace says."
                      : fmt::format("The experts are counted in {} of the trace{}.",
                                    CountText(answer.windows.back(), "window", "windows"),
                                    answer.decoded ? ", decoded tokens alone" : ", prompts included"));
  return lines;
}

Table DraftsTable(const DraftsAnswer& answer) {
  Table table{.name = "drafts", .title = "By length of the drafts"};
  table.columns = {{.header = "drafted", .kind = ColumnKind::kKey},
                   {.header = "experts", .group = "a layer"},
                   {.header = "cost", .unit = "passes"},
                   {.header = "tokens", .group = "a pass"},
                   {.header = "speed-up", .unit = "×"},
                   {.header = "pays from", .group = "acceptance"},
                   {.header = "windows", .group = "in the trace"}};
  const SpeculationPrediction& best = Fastest(answer);
  for (size_t i = 0; i < answer.rows.size(); ++i) {
    const SpeculationPrediction& row = answer.rows[i];
    Cell experts = fmt::format("{:.2f}", row.distinct_experts), speed = fmt::format("{:.3f}", row.speed_up);
    if (answer.windows.empty() || answer.setting.sequences > 1) experts = Estimate(std::move(experts));
    if (&row == &best) speed = Best(std::move(speed));
    table.rows.push_back({std::to_string(row.drafted), experts, Estimate(fmt::format("{:.3f}", row.cost)),
                          fmt::format("{:.3f}", row.tokens_per_pass), Estimate(speed),
                          row.drafted == 0 ? "" : (row.break_even ? fmt::format("{:.3f}", *row.break_even) : "never"),
                          answer.windows.empty() ? "" : std::to_string(answer.windows[i])});
  }
  DropEmptyColumns(table);
  table.notes.emplace_back(
      "Costs are bytes and FLOPs at the rates above; an engine's own overhead of a pass (--pass-s) is none.");
  return table;
}

}  // namespace

Document DraftsDocument(const DraftsAnswer& answer) {
  Document document;
  document.kind = "plan drafts";
  document.title = answer.model;
  const planner::SpeculationSetting& setting = answer.setting;
  document.about.items = {
      {"load", fmt::format("{}, {} in the KV cache", CountText(setting.sequences, "sequence", "sequences"),
                           CountText(setting.context_tokens, "token", "tokens"))},
      {"rates",
       fmt::format("{}, {}", RateText(setting.ceilings.bytes_per_s, "B/s"), RateText(setting.ceilings.flops_per_s, "FLOP/s"))},
      {"drafting", setting.draft_s_per_token > 0 ? SecondsText(setting.draft_s_per_token) + " a token" : "free"}};
  document.headline = DraftsHeadline(answer);
  document.sections.push_back({.heading = "Drafts", .detail = Detail::kFirstScreen, .blocks = {DraftsTable(answer)}});
  return document;
}

Json DraftsToJson(const DraftsAnswer& answer) {
  Json rows = Json::array();
  for (size_t i = 0; i < answer.rows.size(); ++i) {
    const SpeculationPrediction& row = answer.rows[i];
    rows.push_back({{"drafted_tokens", row.drafted},
                    {"distinct_experts", row.distinct_experts},
                    {"cost_passes", row.cost},
                    {"tokens_per_pass", row.tokens_per_pass},
                    {"speed_up", row.speed_up},
                    {"speed_up_low", row.speed_up * (row.drafted > 0 ? planner::kSpeedUpLow : 1)},
                    {"speed_up_high", row.speed_up * (row.drafted > 0 ? planner::kSpeedUpHigh : 1)},
                    {"break_even_acceptance", row.break_even ? Json(*row.break_even) : Json(nullptr)},
                    {"windows", answer.windows.empty() ? Json(nullptr) : Json(answer.windows[i])}});
  }
  return {{"schema", 1},
          {"model", answer.model},
          {"acceptance", answer.setting.acceptance},
          {"sequences", answer.setting.sequences},
          {"context_tokens", answer.setting.context_tokens},
          {"draft_s_per_token", answer.setting.draft_s_per_token},
          {"bandwidth_bytes_per_s", answer.setting.ceilings.bytes_per_s},
          {"flops_per_s", answer.setting.ceilings.flops_per_s},
          {"pass_s", answer.setting.ceilings.pass_s},
          {"experts_source", answer.windows.empty() ? "estimated" : (answer.decoded ? "decoded tokens" : "all tokens")},
          {"best_drafted_tokens", Fastest(answer).drafted},
          {"drafts", std::move(rows)}};
}

}  // namespace moecap::report
