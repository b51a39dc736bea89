#include "report/compat_report.h"

#include <nlohmann/json.hpp>

#include "report/format.h"

namespace moecap::report {
namespace {

constexpr std::pair<const char*, const char*> kFigures[] = {
    {"ttft", "TTFT"}, {"tpot", "TPOT"}, {"itl", "ITL"}, {"e2el", "E2E"}};
constexpr int kDigits = 4;

Table CompatTable(const CompatCell& cell) {
  using metrics::ToolFigure;
  Table table{.title = cell.label};
  table.columns = {{.header = "tool", .kind = ColumnKind::kKey}};
  for (const auto& [name, label] : kFigures) {
    for (const char* part : {"mean", "median", "p99"}) table.columns.push_back({part, label, "ms"});
  }
  for (const char* part : {"done", "failed"}) table.columns.push_back({part, "requests"});
  table.columns.push_back({"requests/s"});
  table.columns.push_back({"output tokens/s"});
  for (const auto& view : cell.views) {
    Row row{view.tool};
    for (const auto& [name, label] : kFigures) {
      const ToolFigure* figure = view.Find(name);
      for (const auto part : {&ToolFigure::mean_s, &ToolFigure::median_s, &ToolFigure::p99_s})
        row.cells.emplace_back(figure == nullptr ? "" : NumberText(figure->*part, kMilli, kDigits));
    }
    for (const int64_t count : {view.completed, view.failed}) row.cells.emplace_back(std::to_string(count));
    for (const auto& rate : {view.requests_per_s, view.output_tokens_per_s})
      row.cells.emplace_back(NumberText(rate, 1, kDigits));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Json ToJson(const metrics::ToolView& view) {
  Json figures = Json::object();
  for (const auto& figure : view.figures) {
    figures[figure.name + "_s"] = {{"samples", figure.samples_s.size()},
                                   {"mean", figure.mean_s},
                                   {"median", figure.median_s},
                                   {"stddev", figure.stddev_s},
                                   {"p99", figure.p99_s}};
  }
  return {{"tool", view.tool},
          {"why", view.why},
          {"completed", view.completed},
          {"failed", view.failed},
          {"input_tokens", view.input_tokens},
          {"output_tokens", view.output_tokens},
          {"duration_s", view.duration_s},
          {"requests_per_s", OrNull(view.requests_per_s)},
          {"output_tokens_per_s", OrNull(view.output_tokens_per_s)},
          {"total_tokens_per_s", OrNull(view.total_tokens_per_s)},
          {"figures", std::move(figures)}};
}

}  // namespace

Document CompatDocument(std::span<const CompatCell> cells) {
  Document document{.title = "the same requests under the definitions of other tools"};
  Section tables{.detail = Detail::kFirstScreen};
  for (const CompatCell& cell : cells) tables.blocks.push_back(CompatTable(cell));
  KeyValues reasons;
  if (!cells.empty()) {
    for (const auto& view : cells.front().views) reasons.items.emplace_back(view.tool, view.why);
  }
  document.sections = {std::move(tables),
                       {.heading = "Why they differ", .detail = Detail::kFirstScreen, .blocks = {std::move(reasons)}}};
  return document;
}

Json CompatToJson(std::span<const CompatCell> cells) {
  Json list = Json::array();
  for (const CompatCell& cell : cells) {
    Json views = Json::array();
    for (const auto& view : cell.views) views.push_back(ToJson(view));
    list.push_back({{"label", cell.label}, {"views", std::move(views)}});
  }
  return {{"schema", 1}, {"kind", "compat"}, {"cells", std::move(list)}};
}

}  // namespace moecap::report
