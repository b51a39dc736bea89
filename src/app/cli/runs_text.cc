#include "app/cli/runs_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "base/units.h"
#include "cap/figures.h"

namespace moecap::app {
namespace {

using cap::FigureId;
using store::RunListing;
using store::StoredCell;
using store::StoredSystem;

constexpr size_t kNarrowest = 6;  // cells of a shortened column

std::string Number(std::optional<double> value, double scale, int digits) {
  return value ? FormatSignificant(*value * scale, digits) : "-";
}

std::string Percent(std::optional<double> value) { return value ? FormatFixed(100 * *value, 1) : "-"; }

// Each model once, in the order of the systems.
std::vector<std::string> Models(const std::vector<StoredSystem>& systems) {
  std::vector<std::string> models;
  for (const StoredSystem& system : systems) {
    if (std::find(models.begin(), models.end(), system.model_id) == models.end()) models.push_back(system.model_id);
  }
  return models;
}

std::vector<std::string> Names(const std::vector<StoredSystem>& systems) {
  std::vector<std::string> names;
  for (const StoredSystem& system : systems) names.push_back(system.name);
  return names;
}

// Narrows the widest of the `flexible` columns until the table fits.
void Fit(const std::vector<TableColumn>& columns, const std::vector<size_t>& flexible, const TextOptions& options,
         std::vector<std::vector<std::string>>& rows) {
  const size_t width = TableWidth(columns, rows);
  size_t excess = width > options.width ? width - options.width : 0;
  std::vector<size_t> limits(columns.size(), 0);
  for (const size_t column : flexible) {
    for (const auto& row : rows) limits[column] = std::max(limits[column], DisplayWidth(row[column]));
  }
  while (excess > 0) {
    const size_t widest =
        *std::max_element(flexible.begin(), flexible.end(), [&](size_t a, size_t b) { return limits[a] < limits[b]; });
    if (limits[widest] <= std::max(kNarrowest, DisplayWidth(columns[widest].header))) break;
    --limits[widest];
    --excess;
  }
  for (auto& row : rows) {
    for (const size_t column : flexible) row[column] = Shorten(row[column], limits[column], options.unicode);
  }
}

std::string Render(const std::vector<TableColumn>& columns, const std::vector<std::vector<std::string>>& rows,
                   const TextOptions& options) {
  TableOptions table;
  table.width = options.width;
  table.unicode = options.unicode;
  return RenderTable(columns, rows, table);
}

std::optional<double> ValueOf(const StoredCell& cell, std::string_view key) {
  const auto found =
      std::find_if(cell.figures.begin(), cell.figures.end(), [&](const auto& figure) { return figure.key == key; });
  return found != cell.figures.end() ? std::optional(found->value) : std::nullopt;
}

// Which figures the table of a run shows, in which unit.
struct ShownFigure {
  FigureId id;
  const char* group;
  const char* header;
  double scale;
  int digits;  // significant; 0: a percentage
};
constexpr ShownFigure kShown[] = {
    {FigureId::kTtftP50, "ms", "TTFT p50", 1e3, 3},
    {FigureId::kTpotMean, "ms", "TPOT", 1e3, 3},
    {FigureId::kOutputRate, "", "tok/s", 1, 4},
    {FigureId::kDecodeSMbu, "decode %", "S-MBU", 1, 0},
    {FigureId::kDecodeSMfu, "decode %", "S-MFU", 1, 0},
    {FigureId::kAccuracy, "", "acc %", 1, 0},
    {FigureId::kUsdPerMillionTokens, "USD per 1M", "tokens", 1, 3},
};

std::string RenderCells(const std::vector<StoredCell>& cells, const TextOptions& options) {
  std::vector<TableColumn> columns = {{"", "system", Align::kLeft, true}, {"", "level", Align::kLeft, true}};
  for (const ShownFigure& shown : kShown) columns.push_back({shown.group, shown.header});
  columns.push_back({"", "valid"});
  std::vector<std::vector<std::string>> rows;
  for (const StoredCell& cell : cells) {
    std::vector<std::string> row = {PrintableText(cell.system), PrintableText(cell.label)};
    for (const ShownFigure& shown : kShown) {
      const auto value = ValueOf(cell, cap::FigureOf(shown.id).key);
      row.push_back(shown.digits == 0 ? Percent(value) : Number(value, shown.scale, shown.digits));
    }
    row.push_back(cell.valid ? "yes" : "NO");
    rows.push_back(std::move(row));
  }
  Fit(columns, {0}, options, rows);
  return Render(columns, rows, options);
}

// "  status      complete", further lines of a long value indented as far.
std::string Line(const char* name, const std::string& value, const TextOptions& options) {
  std::string text;
  for (const std::string& line : WrapText(PrintableText(value), options.width - 12)) {
    text += fmt::format("{:<12}{}\n", text.empty() ? name : "", line);
  }
  return text;
}

Json ToJson(const std::vector<StoredSystem>& systems) {
  Json result = Json::array();
  for (const StoredSystem& system : systems) {
    result.push_back({{"name", system.name},
                      {"engine", system.engine},
                      {"model_id", system.model_id},
                      {"weight_type", system.weight_type},
                      {"machine", system.machine}});
  }
  return result;
}

Json ToJson(const store::RunInfo& info) {
  return {{"run_id", info.run_id},
          {"path", info.path},
          {"status", store::RunStatusName(info.status)},
          {"started_at", info.started_at},
          {"moecap_version", info.moecap_version},
          {"workload", info.workload},
          {"dataset", info.dataset},
          {"problems", info.problems},
          {"host", info.host}};
}

// Every figure of the table has its key; null = not measured.
Json CellToJson(const StoredCell& cell) {
  Json json = {{"system", cell.system}, {"level_kind", cell.level_kind}, {"level", cell.level},
               {"label", cell.label},   {"repeats", cell.repeats},       {"valid", cell.valid}};
  json["figures"] = Json::object();
  for (const cap::Figure& figure : cap::Figures()) json["figures"][std::string(figure.key)] = OrNull(ValueOf(cell, figure.key));
  json["estimates"] = Json::array();
  for (const store::StoredFigure& figure : cell.figures) {
    if (figure.estimate) json["estimates"].push_back(figure.key);
  }
  return json;
}

}  // namespace

std::string RenderRuns(const std::vector<RunListing>& runs, const TextOptions& options) {
  const std::vector<TableColumn> columns = {{"", "run", Align::kLeft, true},
                                            {"", "status", Align::kLeft},
                                            {"", "model", Align::kLeft},
                                            {"", "systems", Align::kLeft},
                                            {"best", "tok/s"},
                                            {"best", "acc %"},
                                            {"", "tags", Align::kLeft}};
  std::vector<std::vector<std::string>> rows;
  for (const RunListing& run : runs) {
    rows.push_back({PrintableText(run.info.run_id), std::string(store::RunStatusName(run.info.status)),
                    PrintableText(fmt::format("{}", fmt::join(Models(run.systems), ", "))),
                    PrintableText(fmt::format("{}", fmt::join(Names(run.systems), ", "))),
                    Number(run.best_output_rate_tokens_per_s, 1, 4), Percent(run.best_accuracy),
                    PrintableText(fmt::format("{}", fmt::join(run.tags, " ")))});
  }
  Fit(columns, {2, 3, 6}, options, rows);
  Fit(columns, {0}, options, rows);  // the id is what the other verbs are given
  return Render(columns, rows, options);
}

std::string RenderRun(const store::StoredRun& run, const std::filesystem::path& results_dir, const TextOptions& options) {
  const store::RunInfo& info = run.info;
  std::string text = Line("run", info.run_id, options);
  text += Line("status", std::string(store::RunStatusName(info.status)), options);
  text += Line("started", info.started_at, options);
  text += Line("folder", (results_dir / info.path).string(), options);
  text += Line("version", "moecap " + info.moecap_version, options);
  text += Line("host", info.host, options);
  if (!info.workload.empty()) text += Line("workload", info.workload, options);
  if (!info.dataset.empty()) text += Line("data set", fmt::format("{}, {} problems", info.dataset, info.problems), options);
  for (const StoredSystem& system : run.systems) {
    text += Line("system",
                 fmt::format("{}: {}, {} {}{}", system.name, system.engine, system.model_id, system.weight_type,
                             system.machine.empty() ? "" : ", on " + system.machine),
                 options);
  }
  text += Line("tags", run.tags.empty() ? "-" : fmt::format("{}", fmt::join(run.tags, " ")), options);
  for (const store::StoredFile& file : run.files) {
    text += Line("file", fmt::format("{}, {} bytes{}", file.name, file.bytes, file.xxh3_64 ? ", XXH3 " + *file.xxh3_64 : ""),
                 options);
  }
  for (const store::StoredCostInput& input : run.cost_inputs) {
    text += Line("cost input",
                 fmt::format("{}{} {} ({}{}{})", run.systems.size() > 1 ? input.system + ": " : "", input.key, input.value,
                             input.source, input.date.empty() ? "" : ", ", input.date),
                 options);
  }
  if (!run.cells.empty()) text += "\n" + RenderCells(run.cells, options);
  return text;
}

Json ToJson(const RunListing& run) {
  Json json = ToJson(run.info);
  json["tags"] = run.tags;
  json["systems"] = ToJson(run.systems);
  json["level_kind"] = run.level_kind.empty() ? Json(nullptr) : Json(run.level_kind);
  json["min_level"] = OrNull(run.min_level);
  json["max_level"] = OrNull(run.max_level);
  json["best_output_rate_tokens_per_s"] = OrNull(run.best_output_rate_tokens_per_s);
  json["best_accuracy"] = OrNull(run.best_accuracy);
  return json;
}

Json ToJson(const store::StoredRun& run) {
  Json json = ToJson(run.info);
  json["tags"] = run.tags;
  json["systems"] = ToJson(run.systems);
  json["cells"] = Json::array();
  for (const StoredCell& cell : run.cells) json["cells"].push_back(CellToJson(cell));
  json["cost_inputs"] = Json::object();
  for (const store::StoredCostInput& input : run.cost_inputs) {
    json["cost_inputs"][input.system][input.key] = {{"value", input.value},
                                                    {"low", OrNull(input.low)},
                                                    {"high", OrNull(input.high)},
                                                    {"source", input.source},
                                                    {"date", input.date}};
  }
  json["files"] = Json::array();
  for (const store::StoredFile& file : run.files) {
    json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_64", OrNull(file.xxh3_64)}});
  }
  return json;
}

}  // namespace moecap::app
