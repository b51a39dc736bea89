#include "report/csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "report/figures.h"

namespace moecap::report {
namespace {

std::string Quote(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string Text(std::optional<double> value) { return value && std::isfinite(*value) ? fmt::format("{}", *value) : ""; }

struct Row {
  const RunSummary& run;
  size_t index;  // of the system
  const SystemSummary& system;
  const CellSummary& cell;
  const cap::CapScores* scores;  // only at the concurrency they hold for
};

struct CsvColumn {
  std::string name;
  std::function<std::string(const Row&)> text;
};

void AddIdentity(std::vector<CsvColumn>& columns) {
  columns.push_back({"run_id", [](const Row& row) { return row.run.run_id; }});
  columns.push_back({"started_at", [](const Row& row) { return row.run.started_at; }});
  columns.push_back({"complete", [](const Row& row) { return row.run.complete ? "true" : "false"; }});
  columns.push_back({"dataset", [](const Row& row) { return row.run.dataset; }});
  columns.push_back({"system", [](const Row& row) { return row.system.name; }});
  columns.push_back({"model_id", [](const Row& row) { return row.system.model_id; }});
  columns.push_back({"weight_type", [](const Row& row) { return row.system.weight_type; }});
  columns.push_back({"concurrency", [](const Row& row) { return std::to_string(row.cell.concurrency); }});
  columns.push_back({"repeats", [](const Row& row) { return std::to_string(row.cell.repeats); }});
  columns.push_back({"requests", [](const Row& row) { return std::to_string(row.cell.requests); }});
  columns.push_back({"failed", [](const Row& row) { return std::to_string(row.cell.failed); }});
}

void AddDistribution(std::vector<CsvColumn>& columns, const std::string& prefix, const std::string& unit,
                     std::optional<stats::Distribution> CellSummary::*field) {
  using D = stats::Distribution;
  static constexpr std::pair<const char*, double D::*> kParts[] = {
      {"mean", &D::mean}, {"p50", &D::p50}, {"p90", &D::p90}, {"p99", &D::p99}};
  for (const auto& [name, part] : kParts) {
    columns.push_back({prefix + "_" + name + unit, [field, part = part](const Row& row) {
                         const auto& distribution = row.cell.*field;
                         return distribution ? Text((*distribution).*part) : "";
                       }});
  }
}

void AddSpread(std::vector<CsvColumn>& columns, const std::string& name, const std::string& unit,
               std::optional<stats::Spread> CellSummary::*field) {
  using S = stats::Spread;
  static constexpr std::pair<const char*, double S::*> kParts[] = {{"mean", &S::mean}, {"min", &S::min}, {"max", &S::max}};
  for (const auto& [part_name, part] : kParts) {
    columns.push_back({name + "_" + part_name + unit, [field, part = part](const Row& row) {
                         const auto& spread = row.cell.*field;
                         return spread ? Text((*spread).*part) : "";
                       }});
  }
  columns.push_back({name + "_stderr" + unit, [field](const Row& row) {
                       const auto& spread = row.cell.*field;
                       return spread ? Text(spread->stderr_of_mean) : "";
                     }});
}

void AddPhase(std::vector<CsvColumn>& columns, const std::string& name,
              metrics::PhaseUtilization metrics::Utilization::*phase) {
  using P = metrics::PhaseUtilization;
  static constexpr std::pair<const char*, std::optional<double> P::*> kParts[] = {{"bytes", &P::bytes},
                                                                                  {"kv_bytes", &P::kv_bytes},
                                                                                  {"flops", &P::flops},
                                                                                  {"s_mbu", &P::s_mbu},
                                                                                  {"s_mfu", &P::s_mfu},
                                                                                  {"s_mbu_paper", &P::s_mbu_paper},
                                                                                  {"s_mfu_paper", &P::s_mfu_paper},
                                                                                  {"mbu", &P::mbu},
                                                                                  {"mfu", &P::mfu}};
  columns.push_back(
      {name + "_passes", [phase](const Row& row) { return std::to_string((row.cell.utilization.*phase).passes); }});
  columns.push_back({name + "_latency_s", [phase](const Row& row) { return Text((row.cell.utilization.*phase).latency_s); }});
  columns.push_back(
      {name + "_tokens", [phase](const Row& row) { return std::to_string((row.cell.utilization.*phase).tokens); }});
  for (const auto& [part_name, part] : kParts) {
    columns.push_back(
        {name + "_" + part_name, [phase, part = part](const Row& row) { return Text(row.cell.utilization.*phase.*part); }});
  }
}

void AddCell(std::vector<CsvColumn>& columns, const char* name, std::optional<double> CellSummary::*field) {
  columns.push_back({name, [field](const Row& row) { return Text(row.cell.*field); }});
}

void AddCap(std::vector<CsvColumn>& columns) {
  using Scores = cap::CapScores;
  static constexpr std::pair<const char*, std::optional<double> Scores::*> kParts[] = {
      {"cap_cost_score", &Scores::cost},
      {"cap_accuracy_score", &Scores::accuracy},
      {"cap_performance_score", &Scores::performance}};
  for (const auto& [name, part] : kParts) {
    columns.push_back({name, [part = part](const Row& row) { return row.scores != nullptr ? Text((*row.scores).*part) : ""; }});
  }
  columns.push_back(
      {"cap_class", [](const Row& row) { return row.scores != nullptr ? cap::CapClassName(row.scores->cap_class) : ""; }});
}

void AddRange(std::vector<CsvColumn>& columns, const std::string& name, cost::Range cap::HostSummary::*range) {
  for (const auto& [end, value] :
       {std::pair("low", &cost::Range::low), {"typical", &cost::Range::typical}, {"high", &cost::Range::high}}) {
    columns.push_back({fmt::format("{}_{}_usd_per_useful_h", name, end),
                       [range, value](const Row& row) { return Text((row.run.host.*range).*value); }});
  }
}

// A column an axis, whether or not this run shows it, so that the header stays the same.
void AddRobustScores(std::vector<CsvColumn>& columns) {
  for (const cap::Axis& axis : cap::Axes()) {
    columns.push_back({fmt::format("robust_score_{}", axis.key), [id = axis.id](const Row& row) -> std::string {
                         if (row.scores == nullptr) return "";
                         for (const auto& scores : row.run.cap_axes) {
                           if (scores.axis == id && row.index < scores.robust_score.size())
                             return Text(scores.robust_score[row.index]);
                         }
                         return "";
                       }});
  }
}

std::vector<CsvColumn> Columns() {
  using C = CellSummary;
  using U = metrics::Utilization;
  std::vector<CsvColumn> columns;
  AddIdentity(columns);
  AddDistribution(columns, "ttft", "_s", &C::ttft_s);
  AddDistribution(columns, "tpot", "_s", &C::tpot_s);
  AddDistribution(columns, "itl", "_s", &C::itl_s);
  AddDistribution(columns, "e2e", "_s", &C::e2e_s);
  AddDistribution(columns, "input", "_tokens", &C::input_tokens);
  AddDistribution(columns, "output", "_tokens", &C::output_tokens);
  AddSpread(columns, "output_rate", "_tokens_per_s", &C::output_tokens_per_s);
  AddSpread(columns, "request_rate", "_requests_per_s", &C::requests_per_s);
  AddPhase(columns, "prefill", &U::prefill);
  AddPhase(columns, "decode", &U::decode);
  AddPhase(columns, "mixed", &U::mixed);
  AddPhase(columns, "all", &U::all);
  columns.push_back({"decode_distinct_experts_mean", [](const Row& row) { return Text(MeanDistinctExperts(row.cell)); }});
  columns.push_back(
      {"experts", [](const Row& row) { return row.system.moe_layers > 0 ? std::to_string(row.system.experts) : ""; }});
  columns.push_back(
      {"top_k", [](const Row& row) { return row.system.moe_layers > 0 ? std::to_string(row.system.top_k) : ""; }});
  columns.push_back({"peak_flops_per_s", [](const Row& row) { return Text(row.system.peak_flops_per_s); }});
  AddCell(columns, "kv_mean_bytes", &C::kv_bytes_mean);
  AddCell(columns, "kv_max_bytes", &C::kv_bytes_max);
  AddCell(columns, "accuracy", &C::accuracy);
  AddCell(columns, "accuracy_stderr", &C::accuracy_stderr);
  columns.push_back({"answered", [](const Row& row) { return std::to_string(row.cell.answered); }});
  columns.push_back({"scored", [](const Row& row) { return std::to_string(row.cell.scored); }});
  AddCell(columns, "usd_per_million_input_tokens", &C::usd_per_million_input_tokens);
  AddCell(columns, "usd_per_million_output_tokens", &C::usd_per_million_output_tokens);
  AddCell(columns, "usd_per_million_output_tokens_all_in", &C::usd_per_million_output_tokens_all_in);
  AddCell(columns, "usd_per_million_tokens_all_in", &C::usd_per_million_tokens_all_in);
  AddCell(columns, "usd_per_request", &C::usd_per_request);
  AddCell(columns, "energy_wh", &C::energy_wh);
  AddCell(columns, "joules_per_output_token", &C::joules_per_output_token);
  AddCell(columns, "joules_per_token", &C::joules_per_token);
  AddCell(columns, "joules_per_request", &C::joules_per_request);
  columns.push_back({"energy_is_measured", [](const Row& row) { return row.cell.energy_is_measured ? "true" : "false"; }});
  AddCell(columns, "chip_joules_per_output_token", &C::chip_joules_per_output_token);
  AddCell(columns, "kg_co2_per_million_tokens", &C::kg_co2_per_million_tokens);
  AddCap(columns);
  columns.push_back({"valid", [](const Row& row) { return IsValid(row.cell) ? "true" : "false"; }});
  columns.push_back(
      {"invalid_reasons", [](const Row& row) { return fmt::format("{}", fmt::join(InvalidReasons(row.cell), "; ")); }});
  AddSpread(columns, "goodput", "_requests_per_s", &C::goodput_requests_per_s);
  columns.push_back({"power_w", [](const Row& row) { return Text(row.run.host.power_w); }});
  columns.push_back({"purchase_usd", [](const Row& row) { return Text(row.run.host.purchase_usd); }});
  columns.push_back({"cap_scenario", [](const Row& row) { return row.scores != nullptr ? row.run.cap_scenario : ""; }});
  columns.push_back(
      {"cap_class_support", [](const Row& row) { return row.scores != nullptr ? Text(row.scores->class_support) : ""; }});
  AddRobustScores(columns);
  AddCell(columns, "usd_per_million_output_tokens_all_in", &C::usd_per_million_output_tokens_all_in);
  AddCell(columns, "usd_per_million_tokens_all_in", &C::usd_per_million_tokens_all_in);
  AddCell(columns, "usd_per_request", &C::usd_per_request);
  AddCell(columns, "energy_wh", &C::energy_wh);
  AddCell(columns, "joules_per_token", &C::joules_per_token);
  AddCell(columns, "joules_per_request", &C::joules_per_request);
  AddCell(columns, "chip_joules_per_output_token", &C::chip_joules_per_output_token);
  AddCell(columns, "kg_co2_per_million_tokens", &C::kg_co2_per_million_tokens);
  columns.push_back({"pay", [](const Row& row) { return row.run.host.pay; }});
  AddRange(columns, "own", &cap::HostSummary::own_usd_per_useful_h);
  AddRange(columns, "rent", &cap::HostSummary::rent_usd_per_useful_h);
  columns.push_back({"break_even_utilisation", [](const Row& row) { return Text(row.run.host.break_even_utilisation); }});
  return columns;
}

void AppendRun(const RunSummary& summary, const std::vector<CsvColumn>& columns, std::string& out) {
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    for (const auto& cell : summary.systems[i].cells) {
      const bool scored_here = cell.concurrency == summary.cap_concurrency && i < summary.cap.size();
      const Row row{summary, i, summary.systems[i], cell, scored_here ? &summary.cap[i] : nullptr};
      for (size_t c = 0; c < columns.size(); ++c) {
        if (c > 0) out += ',';
        out += Quote(columns[c].text(row));
      }
      out += '\n';
    }
  }
}

}  // namespace

std::string RenderCsv(std::span<const cap::RunSummary> runs) {
  const std::vector<CsvColumn> columns = Columns();
  std::string out;
  for (const auto& column : columns) out += (out.empty() ? "" : ",") + column.name;
  out += "\n";
  for (const auto& summary : runs) AppendRun(summary, columns, out);
  return out;
}

}  // namespace moecap::report
