#include "report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/table.h"
#include "base/units.h"
#include "report/format.h"

namespace moecap::report {
namespace {

using stats::Distribution;
using stats::Spread;

struct Column {
  FigureColumn head;
  double scale = 1;
  Getter get;
  Getter error = nullptr;                            // printed as "value ± error"
  std::function<bool(const CellSummary&)> estimate;  // true: the value is marked with "~"
};

auto OfDistribution(std::optional<Distribution> CellSummary::*field, double Distribution::*part) {
  return [=](const SystemSummary&, const CellSummary& cell) -> std::optional<double> {
    const auto& distribution = cell.*field;
    return distribution ? std::optional((*distribution).*part) : std::nullopt;
  };
}

auto OfSpread(std::optional<Spread> CellSummary::*field) {
  return [=](const SystemSummary&, const CellSummary& cell) -> std::optional<double> {
    const auto& spread = cell.*field;
    return spread ? std::optional(spread->mean) : std::nullopt;
  };
}

auto ErrorOfSpread(std::optional<Spread> CellSummary::*field) {
  return [=](const SystemSummary&, const CellSummary& cell) -> std::optional<double> {
    const auto& spread = cell.*field;
    return spread ? spread->stderr_of_mean : std::nullopt;
  };
}

auto OfPhase(metrics::PhaseUtilization metrics::Utilization::*phase, std::optional<double> metrics::PhaseUtilization::*part) {
  return [=](const SystemSummary&, const CellSummary& cell) { return cell.utilization.*phase.*part; };
}

auto OfCell(std::optional<double> CellSummary::*field) {
  return [=](const SystemSummary&, const CellSummary& cell) { return cell.*field; };
}

template <typename Visit>
void ForEachCell(const RunSummary& summary, const Visit& visit) {
  for (const auto& system : summary.systems) {
    for (const auto& cell : system.cells) visit(system, cell);
  }
}

int ColumnDecimals(const RunSummary& summary, const Column& column) {
  std::vector<double> values;
  std::vector<double> errors;
  ForEachCell(summary, [&](const SystemSummary& system, const CellSummary& cell) {
    if (const auto value = column.get(system, cell)) values.push_back(*value * column.scale);
    if (const auto error = column.error ? column.error(system, cell) : std::nullopt) errors.push_back(*error * column.scale);
  });
  // Every error shows its first digit, unless that takes more than two decimals.
  const int of_errors = std::min(2, CommonDecimals(errors, 1, 1));
  return std::max(CommonDecimals(values, 2, 3), of_errors);
}

// The same for neighbours of a group, which are read side by side, unless their sizes are far apart.
std::vector<int> Decimals(const RunSummary& summary, const std::vector<Column>& columns) {
  std::vector<int> own;
  for (const auto& column : columns) own.push_back(ColumnDecimals(summary, column));
  std::vector<int> decimals = own;
  for (size_t i = 1; i < columns.size(); ++i) {
    const bool same_group = !columns[i].head.group.empty() && columns[i].head.group == columns[i - 1].head.group;
    if (!same_group || std::abs(own[i] - own[i - 1]) > 1) continue;
    decimals[i] = std::max(own[i], decimals[i - 1]);
    decimals[i - 1] = decimals[i];
  }
  return decimals;
}

// Figures that no measurement yields, e.g. of a damaged file, still fit a column.
std::string Number(double value, int decimals) {
  return std::abs(value) < 1e9 ? FormatFixed(value, decimals) : FormatSignificant(value, 3);
}

std::vector<std::string> FormatColumn(const RunSummary& summary, const Column& column, int decimals) {
  std::vector<std::string> out;
  ForEachCell(summary, [&](const SystemSummary& system, const CellSummary& cell) {
    const auto value = column.get(system, cell);
    if (!value || !std::isfinite(*value)) {
      out.emplace_back(kMissing);
      return;
    }
    std::string text = Number(*value * column.scale, decimals);
    if (const auto error = column.error ? column.error(system, cell) : std::nullopt) {
      text += " ± " + Number(*error * column.scale, decimals);
    }
    out.push_back(column.estimate && column.estimate(cell) ? "~" + text : text);
  });
  return out;
}

bool EnergyIsEstimate(const CellSummary& cell) { return !cell.energy_is_measured; }

bool HasGoodput(const RunSummary& summary) {
  return std::ranges::any_of(summary.systems, [](const SystemSummary& system) {
    return std::ranges::any_of(system.cells, [](const CellSummary& cell) { return cell.goodput_requests_per_s.has_value(); });
  });
}

std::vector<Column> PerformanceColumns(const RunSummary& summary) {
  using C = CellSummary;
  using D = Distribution;
  double longest_ttft_s = 0;
  ForEachCell(summary, [&longest_ttft_s](const SystemSummary&, const CellSummary& cell) {
    if (cell.ttft_s) longest_ttft_s = std::max(longest_ttft_s, cell.ttft_s->p99);
  });
  const bool seconds = longest_ttft_s >= 10;  // queueing can make it long
  const std::string ttft = seconds ? "TTFT (s)" : "TTFT (ms)";
  std::vector<Column> columns = {
      {{ttft, "p50"}, seconds ? 1 : 1e3, OfDistribution(&C::ttft_s, &D::p50)},
      {{ttft, "p99"}, seconds ? 1 : 1e3, OfDistribution(&C::ttft_s, &D::p99)},
      {{"TPOT (ms)", "mean"}, 1e3, OfDistribution(&C::tpot_s, &D::mean)},
      {{"TPOT (ms)", "p99"}, 1e3, OfDistribution(&C::tpot_s, &D::p99)},
      {{"ITL (ms)", "p50"}, 1e3, OfDistribution(&C::itl_s, &D::p50)},
      {{"ITL (ms)", "p99"}, 1e3, OfDistribution(&C::itl_s, &D::p99)},
      {{"output", "tok/s"}, 1, OfSpread(&C::output_tokens_per_s), ErrorOfSpread(&C::output_tokens_per_s)},
      {{"", "req/s"}, 1, OfSpread(&C::requests_per_s)},
  };
  if (HasGoodput(summary)) columns.push_back({{"goodput", "req/s"}, 1, OfSpread(&C::goodput_requests_per_s)});
  return columns;
}

bool HasMixedPasses(const RunSummary& summary) {
  return std::ranges::any_of(summary.systems, [](const SystemSummary& system) {
    return std::ranges::any_of(system.cells, [](const CellSummary& cell) { return cell.utilization.mixed.passes > 0; });
  });
}

std::vector<Column> UtilizationColumns(const RunSummary& summary) {
  using U = metrics::Utilization;
  using P = metrics::PhaseUtilization;
  std::vector<Column> columns = {
      {{"decode bandwidth %", "S-MBU"}, 100, OfPhase(&U::decode, &P::s_mbu)},
      {{"decode bandwidth %", "paper"}, 100, OfPhase(&U::decode, &P::s_mbu_paper)},
      {{"decode bandwidth %", "MBU"}, 100, OfPhase(&U::decode, &P::mbu)},
      {{"decode compute %", "S-MFU"}, 100, OfPhase(&U::decode, &P::s_mfu)},
      {{"decode compute %", "paper"}, 100, OfPhase(&U::decode, &P::s_mfu_paper)},
      {{"decode compute %", "MFU"}, 100, OfPhase(&U::decode, &P::mfu)},
      {{"prefill %", "S-MBU"}, 100, OfPhase(&U::prefill, &P::s_mbu)},
      {{"prefill %", "S-MFU"}, 100, OfPhase(&U::prefill, &P::s_mfu)},
  };
  if (HasMixedPasses(summary)) {
    columns.push_back({{"mixed %", "S-MBU"}, 100, OfPhase(&U::mixed, &P::s_mbu)});
    columns.push_back({{"mixed %", "S-MFU"}, 100, OfPhase(&U::mixed, &P::s_mfu)});
  }
  return columns;
}

// Joules, or thousandths where the machine is small.
struct EnergyUnit {
  const char* name = "J per";
  double scale = 1;
};
EnergyUnit EnergyUnitOf(const RunSummary& summary) {
  double most_j = 0;
  ForEachCell(summary, [&most_j](const SystemSummary&, const CellSummary& cell) {
    if (cell.joules_per_output_token) most_j = std::max(most_j, *cell.joules_per_output_token);
  });
  return most_j > 0 && most_j < 0.1 ? EnergyUnit{"mJ per", 1e3} : EnergyUnit{};
}

std::vector<Column> CostColumns(const EnergyUnit& energy) {
  using C = CellSummary;
  return {
      {{"accuracy", "%"}, 100, OfCell(&C::accuracy), OfCell(&C::accuracy_stderr)},
      {{"USD per 1M tok", "input"}, 1, OfCell(&C::usd_per_million_input_tokens), nullptr, EnergyIsEstimate},
      {{"USD per 1M tok", "output"}, 1, OfCell(&C::usd_per_million_output_tokens), nullptr, EnergyIsEstimate},
      {{energy.name, "output tok"}, energy.scale, OfCell(&C::joules_per_output_token), nullptr, EnergyIsEstimate},
  };
}

// What a machine hour comes to for each unit of work; the table of accuracy and cost has the two figures that are compared
// most.
std::vector<Column> UnitCostColumns(const EnergyUnit& energy) {
  using C = CellSummary;
  return {
      {{"all-in USD per 1M", "out tok"}, 1, OfCell(&C::usd_per_million_output_tokens_all_in), nullptr, EnergyIsEstimate},
      {{"all-in USD per 1M", "tok"}, 1, OfCell(&C::usd_per_million_tokens_all_in), nullptr, EnergyIsEstimate},
      {{"all-in USD per 1M", "requests"}, 1e6, OfCell(&C::usd_per_request), nullptr, EnergyIsEstimate},
      {{"energy", "Wh"}, 1, OfCell(&C::energy_wh), nullptr, EnergyIsEstimate},
      {{energy.name, "tok"}, energy.scale, OfCell(&C::joules_per_token), nullptr, EnergyIsEstimate},
      {{energy.name, "request"}, energy.scale, OfCell(&C::joules_per_request), nullptr, EnergyIsEstimate},
      {{std::string("chips, ") + energy.name, "output tok"}, energy.scale, OfCell(&C::chip_joules_per_output_token)},
      {{"kg CO2", "/1M tok"}, 1, OfCell(&C::kg_co2_per_million_tokens), nullptr, EnergyIsEstimate},
  };
}

// Columns that hold a value somewhere.
std::vector<Column> WithValues(const RunSummary& summary, std::vector<Column> columns) {
  std::erase_if(columns, [&summary](const Column& column) {
    bool any = false;
    ForEachCell(summary, [&](const SystemSummary& system, const CellSummary& cell) { any = any || column.get(system, cell); });
    return !any;
  });
  return columns;
}

std::vector<FigureRow> EmptyRows(const RunSummary& summary) {
  std::vector<FigureRow> rows;
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    bool first = true;
    for (const auto& cell : summary.systems[i].cells) {
      rows.push_back({i, cell.concurrency, IsValid(cell), first, {}});
      first = false;
    }
  }
  return rows;
}

FigureTable MakeTable(const RunSummary& summary, std::string title, const std::vector<Column>& columns) {
  FigureTable table{std::move(title), {}, EmptyRows(summary)};
  const std::vector<int> decimals = Decimals(summary, columns);
  for (size_t i = 0; i < columns.size(); ++i) {
    table.columns.push_back(columns[i].head);
    const auto values = FormatColumn(summary, columns[i], decimals[i]);
    for (size_t row = 0; row < table.rows.size(); ++row) table.rows[row].values.push_back(values[row]);
  }
  return table;
}

// Inserts a column of words before `position`.
void InsertColumn(const RunSummary& summary, FigureTable& table, size_t position, FigureColumn head,
                  const std::function<std::string(const SystemSummary&, const CellSummary&)>& text) {
  const auto offset = static_cast<ptrdiff_t>(position);
  table.columns.insert(table.columns.begin() + offset, std::move(head));
  size_t row = 0;
  for (const auto& system : summary.systems) {
    for (const auto& cell : system.cells) {
      auto& values = table.rows[row++].values;
      values.insert(values.begin() + offset, text(system, cell));
    }
  }
}

// "141 GFLOP/s (AVX-512 VNNI, int8)"
std::string Ceiling(const SystemSummary& system) {
  if (!system.peak_flops_per_s) return "";
  const std::string kernel = system.peak_flops_kernel.empty() ? "" : " (" + system.peak_flops_kernel + ")";
  return FormatSi(*system.peak_flops_per_s, "FLOP/s") + kernel;
}

std::string ExpertsText(const SystemSummary& system, const CellSummary& cell) {
  const auto mean = MeanDistinctExperts(cell);
  if (!mean || system.experts == 0) return kMissing;
  return fmt::format("{}/{}", Number(*mean, *mean < 99.95 ? 1 : 0), system.experts);
}

}  // namespace

std::vector<FigureTable> BuildTables(const RunSummary& summary) {
  std::vector<FigureTable> tables;
  tables.push_back(MakeTable(summary, "Performance", PerformanceColumns(summary)));
  tables.push_back(MakeTable(summary, "Utilisation", UtilizationColumns(summary)));
  InsertColumn(summary, tables.back(), tables.back().columns.size(), {"distinct", "experts"}, ExpertsText);
  const EnergyUnit energy = EnergyUnitOf(summary);
  tables.push_back(MakeTable(summary, "Accuracy, cost and energy", CostColumns(energy)));
  InsertColumn(summary, tables.back(), 1, {"answered", "of scored"}, [](const SystemSummary&, const CellSummary& cell) {
    return cell.scored == 0 ? std::string(kMissing) : fmt::format("{}/{}", cell.answered, cell.scored);
  });
  InsertColumn(summary, tables.back(), 5, {"failed of", "requests"},
               [](const SystemSummary&, const CellSummary& cell) { return fmt::format("{}/{}", cell.failed, cell.requests); });
  if (const auto columns = WithValues(summary, UnitCostColumns(energy)); !columns.empty())
    tables.push_back(MakeTable(summary, "Cost and energy of each unit of work", columns));
  if (!summary.cap_axes.empty()) tables.push_back(BuildAxisTable(summary));
  return tables;
}

std::vector<SystemRow> DescribeSystems(const RunSummary& summary) {
  const bool one_model = std::ranges::all_of(
      summary.systems, [&](const SystemSummary& system) { return system.model_id == summary.systems[0].model_id; });
  std::vector<SystemRow> rows;
  for (const auto& system : summary.systems) {
    SystemRow row{system.name,
                  one_model ? system.description : fmt::format("{} ({})", system.description, system.model_id),
                  system.weight_type,
                  FormatParams(system.total_params),
                  FormatParams(system.active_params),
                  FormatBytes(system.weight_bytes),
                  "dense",
                  Ceiling(system)};
    if (system.moe_layers > 0)
      row.experts = fmt::format("{} of {} × {} layers", system.top_k, system.experts, system.moe_layers);
    if (system.total_params == 0)  // a server, which does not tell
      row.weights = row.parameters = row.active = row.size = row.experts = kMissing;
    rows.push_back(std::move(row));
  }
  return rows;
}

bool Drawable(double value) { return value >= 0 && value < 1e15; }

std::optional<double> MeanDistinctExperts(const CellSummary& cell) {
  const auto& layers = cell.utilization.decode.mean_distinct_experts;
  if (layers.empty()) return std::nullopt;
  return std::accumulate(layers.begin(), layers.end(), 0.0) / static_cast<double>(layers.size());
}

const CellSummary* FindCell(const SystemSummary& system, int concurrency) {
  const auto found = std::ranges::find(system.cells, concurrency, &CellSummary::concurrency);
  return found != system.cells.end() ? &*found : nullptr;
}

bool ScoresAreInvalid(const RunSummary& summary, size_t index) {
  if (index >= summary.systems.size()) return false;
  const auto* cell = FindCell(summary.systems[index], summary.cap_concurrency);
  return cell != nullptr && !IsValid(*cell);
}

RunSummary Printable(RunSummary summary) {
  std::vector<std::string*> texts = {&summary.run_id,
                                     &summary.started_at,
                                     &summary.moecap_version,
                                     &summary.engine,
                                     &summary.dataset,
                                     &summary.scoring_contract,
                                     &summary.host.cpu_model,
                                     &summary.host.device_id,
                                     &summary.host.peaks_source,
                                     &summary.host.flops_kernel,
                                     &summary.host.power_source,
                                     &summary.host.pay};
  for (auto& text : summary.host.cost_inputs) texts.push_back(&text);
  for (auto& system : summary.systems) {
    for (auto* text : {&system.name, &system.description, &system.model_id, &system.weight_type, &system.peak_flops_kernel})
      texts.push_back(text);
    for (auto& cell : system.cells) {
      for (auto& text : cell.invalid) texts.push_back(&text);
      for (auto& text : cell.utilization.invalid) texts.push_back(&text);
    }
  }
  for (auto& scores : summary.cap) {
    texts.push_back(&scores.system);
    texts.push_back(&scores.reason);
    for (auto& other : scores.dominated_by) texts.push_back(&other);
  }
  for (auto& axis : summary.cap_axes) {
    if (axis.limit) texts.push_back(&axis.limit->source);
  }
  for (auto& note : summary.notes) texts.push_back(&note);
  texts.push_back(&summary.cap_scenario);
  for (auto* text : texts) *text = PrintableText(*text);
  return summary;
}

}  // namespace moecap::report
