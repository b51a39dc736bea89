#include "report/compat_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "base/units.h"
#include "report/load_markdown.h"
#include "report/markdown.h"
#include "report/terminal_page.h"

namespace moecap::report {
namespace {

constexpr std::pair<const char*, const char*> kFigures[] = {
    {"ttft", "TTFT"}, {"tpot", "TPOT"}, {"itl", "ITL"}, {"e2el", "E2E"}};

std::string Milliseconds(const metrics::ToolFigure* figure, double metrics::ToolFigure::*part) {
  return figure == nullptr ? kMissing : FormatSignificant(figure->*part / kMilli, 4);
}

std::string Rate(const std::optional<double>& rate) { return rate ? FormatSignificant(*rate, 4) : kMissing; }

CompatCell Printable(CompatCell cell) {
  cell.label = PrintableText(cell.label);
  return cell;
}

// Tool and why, of every tool once.
std::vector<std::pair<std::string, std::string>> Reasons(std::span<const CompatCell> cells) {
  std::vector<std::pair<std::string, std::string>> reasons;
  if (cells.empty()) return reasons;
  for (const auto& view : cells.front().views) reasons.emplace_back(view.tool, view.why);
  return reasons;
}

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

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

LoadTable CompatTable(const CompatCell& cell) {
  using metrics::ToolFigure;
  LoadTable table{cell.label, "tool", {}, {}};
  for (const auto& [name, label] : kFigures) {
    for (const char* part : {"mean", "median", "p99"}) table.columns.push_back({std::string(label) + " (ms)", part});
  }
  for (const char* part : {"done", "failed"}) table.columns.push_back({"requests", part});
  table.columns.push_back({"", "requests/s"});
  table.columns.push_back({"", "output tokens/s"});
  for (const auto& view : cell.views) {
    LoadRow row{view.tool, {}, false};
    for (const auto& [name, label] : kFigures) {
      const ToolFigure* figure = view.Find(name);
      for (const auto part : {&ToolFigure::mean_s, &ToolFigure::median_s, &ToolFigure::p99_s})
        row.values.push_back(Milliseconds(figure, part));
    }
    row.values.push_back(std::to_string(view.completed));
    row.values.push_back(std::to_string(view.failed));
    row.values.push_back(Rate(view.requests_per_s));
    row.values.push_back(Rate(view.output_tokens_per_s));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string RenderCompatTerminal(std::span<const CompatCell> cells, const TerminalOptions& options) {
  TerminalOptions usable = options;
  usable.width = std::max<size_t>(usable.width, 40);
  TerminalPage page(usable);
  page.Text("", "The same requests under the definitions of other tools", TerminalPage::kBold);
  for (const CompatCell& cell : cells) page.Table(CompatTable(Printable(cell)));
  page.Title("Why they differ");
  for (const auto& [tool, why] : Reasons(cells)) page.Text(PadRight(tool, 10), why);
  return page.Take();
}

std::string RenderCompatMarkdown(std::span<const CompatCell> cells) {
  std::string out = "# The same requests under the definitions of other tools\n";
  for (const CompatCell& cell : cells) out += MarkdownTable(CompatTable(Printable(cell)));
  out += "\n## Why they differ\n\n";
  for (const auto& [tool, why] : Reasons(cells)) out += "- **" + tool + "**: " + EscapeMarkdown(why) + "\n";
  return out;
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
