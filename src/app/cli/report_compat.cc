#include "app/cli/report_compat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/json.h"
#include "report/compat_report.h"
#include "report/vllm_bench_json.h"

namespace moecap::app {
namespace {

struct MeasuredCell {
  record::CellId id;
  std::vector<record::RequestRecord> requests;
};

// Of each system in the manifest's order, ascending concurrency and repetition. Warm-ups are in no figure.
Result<std::vector<MeasuredCell>> CellsOf(const run::Results& results) {
  ASSIGN_OR_RETURN(std::vector<record::RequestRecord> requests, results.ReadRequests());
  const auto& systems = results.manifest().systems;
  const auto place = [&](const std::string& name) {
    return std::ranges::find(systems, name, &run::SystemDescription::name) - systems.begin();
  };
  std::map<std::tuple<std::ptrdiff_t, std::string, int, int>, MeasuredCell> cells;
  for (record::RequestRecord& request : requests) {
    const record::CellId id = request.cell;
    if (id.repeat < 0) continue;
    MeasuredCell& cell = cells[{place(id.system), id.system, id.concurrency, id.repeat}];
    cell.id = id;
    cell.requests.push_back(std::move(request));
  }
  std::vector<MeasuredCell> list;
  for (auto& [key, cell] : cells) list.push_back(std::move(cell));
  return list;
}

bool IsRepeated(const std::vector<MeasuredCell>& cells, const MeasuredCell& cell) {
  return std::ranges::count_if(cells, [&](const MeasuredCell& other) {
           return other.id.system == cell.id.system && other.id.concurrency == cell.id.concurrency;
         }) > 1;
}

std::string LabelOf(const std::string& run_id, const std::vector<MeasuredCell>& cells, const MeasuredCell& cell) {
  const std::string clients = fmt::format("{} client{}", cell.id.concurrency, cell.id.concurrency == 1 ? "" : "s");
  const std::string repeat = IsRepeated(cells, cell) ? fmt::format(", repetition {}", cell.id.repeat + 1) : "";
  return fmt::format("{}{}, {}{}", run_id.empty() ? "" : run_id + ": ", cell.id.system, clients, repeat);
}

// "2026-01-31T12:00:00Z" as vLLM writes a time.
std::string VllmDate(const std::string& iso) {
  std::string date;
  for (const char c : iso.substr(0, 19)) {
    if (c == 'T') date += '-';
    if (c >= '0' && c <= '9') date += c;
  }
  return date;
}

Result<std::vector<std::string>> ToolsOf(const std::vector<std::string>& names) {
  std::vector<std::string> tools;
  for (const std::string& name : names) {
    for (const std::string& tool : name == "all" ? metrics::CompatTools() : std::vector<std::string>{name}) {
      if (std::ranges::find(tools, tool) == tools.end()) tools.push_back(tool);
    }
  }
  // Ours stands first, as the one to compare with.
  if (std::ranges::find(tools, "moecap") == tools.end()) tools.insert(tools.begin(), "moecap");
  return tools;
}

}  // namespace

Result<std::string> CompatText(const std::vector<const run::Results*>& runs, const std::vector<std::string>& tool_names,
                               ReportFormat format) {
  ASSIGN_OR_RETURN(const std::vector<std::string> tools, ToolsOf(tool_names));
  std::vector<report::CompatCell> tables;
  for (const run::Results* results : runs) {
    ASSIGN_OR_RETURN(const std::vector<MeasuredCell> cells, CellsOf(*results));
    for (const MeasuredCell& cell : cells) {
      report::CompatCell table;
      table.label = LabelOf(runs.size() > 1 ? results->manifest().run_id : "", cells, cell);
      for (const std::string& tool : tools) {
        ASSIGN_OR_RETURN(metrics::ToolView view, metrics::ViewAs(tool, cell.requests));
        table.views.push_back(std::move(view));
      }
      tables.push_back(std::move(table));
    }
  }
  if (format == ReportFormat::kJson) return DumpJsonPretty(report::CompatToJson(tables));
  if (format == ReportFormat::kMarkdown) return report::RenderCompatMarkdown(tables);
  if (format != ReportFormat::kTerminal) return BadInput("--compat has the formats terminal, markdown and json");
  report::TerminalOptions options;
  options.width = TerminalWidth();
  options.color = WantsColor(STDOUT_FILENO);
  options.unicode = WantsUnicode();
  return report::RenderCompatTerminal(tables, options);
}

Result<std::vector<report::NamedText>> VllmFiles(const run::Results& results, const VllmFlags& flags) {
  const run::Manifest& manifest = results.manifest();
  ASSIGN_OR_RETURN(const std::vector<MeasuredCell> cells, CellsOf(results));
  std::vector<report::NamedText> files;
  for (const MeasuredCell& cell : cells) {
    const auto system = std::ranges::find(manifest.systems, cell.id.system, &run::SystemDescription::name);
    const bool known = system != manifest.systems.end();
    report::VllmBenchInputs inputs;
    inputs.date = VllmDate(manifest.started_at);
    inputs.backend = known ? system->engine : "";
    inputs.label = cell.id.system + (IsRepeated(cells, cell) ? fmt::format("-repeat{}", cell.id.repeat + 1) : "");
    inputs.model_id = known ? system->model.id : "";
    inputs.max_concurrency = cell.id.concurrency;
    const cap::ServiceLevel& level = manifest.config.cap.service_level;
    inputs.goodput.ttft_s = level.ttft_s;
    inputs.goodput.tpot_s = level.tpot_s;
    inputs.goodput.e2e_s = level.e2e_s;
    inputs.percentile_metrics = flags.percentile_metrics;
    inputs.percentiles = flags.percentiles;
    inputs.save_detailed = flags.save_detailed;
    ASSIGN_OR_RETURN(const Json json, report::VllmBenchJson(cell.requests, inputs));
    files.push_back({"vllm/" + report::PathComponent(report::VllmBenchFileName(inputs)), DumpJson(json) + "\n"});
  }
  return files;
}

}  // namespace moecap::app
