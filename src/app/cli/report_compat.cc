#include "app/cli/report_compat.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/json.h"
#include "loadtest/load_test.h"
#include "report/compat_report.h"

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

std::string Clients(int count) { return fmt::format("{} client{}", count, count == 1 ? "" : "s"); }

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

Result<std::vector<MeasuredRequests>> MeasuredOf(const run::Results& results) {
  const run::Manifest& manifest = results.manifest();
  ASSIGN_OR_RETURN(std::vector<MeasuredCell> cells, CellsOf(results));
  std::vector<MeasuredRequests> measured;
  for (const MeasuredCell& cell : cells) {
    const auto system = std::ranges::find(manifest.systems, cell.id.system, &run::SystemDescription::name);
    const bool known = system != manifest.systems.end();
    const bool repeated = IsRepeated(cells, cell);
    MeasuredRequests entry;
    entry.label = fmt::format("{}, {}{}", cell.id.system, Clients(cell.id.concurrency),
                              repeated ? fmt::format(", repetition {}", cell.id.repeat + 1) : "");
    entry.inputs.date = VllmDate(manifest.started_at);
    const auto configured = std::ranges::find(manifest.config.systems, cell.id.system, &run::SystemConfig::name);
    const bool served = configured != manifest.config.systems.end() && configured->server;
    entry.inputs.backend = report::VllmBackend(served ? configured->server->api : "", known ? system->engine : "");
    entry.inputs.label = cell.id.system + (repeated ? fmt::format("-repeat{}", cell.id.repeat + 1) : "");
    entry.inputs.model_id = known ? system->model.id : "";
    entry.inputs.max_concurrency = cell.id.concurrency;
    const cap::ServiceLevel& level = manifest.config.cap.service_level;
    entry.inputs.goodput.ttft_s = level.ttft_s;
    entry.inputs.goodput.tpot_s = level.tpot_s;
    entry.inputs.goodput.e2e_s = level.e2e_s;
    measured.push_back(std::move(entry));
  }
  for (size_t i = 0; i < cells.size(); ++i) measured[i].requests = std::move(cells[i].requests);
  return measured;
}

Result<std::vector<MeasuredRequests>> MeasuredOf(const loadtest::LoadResults& results) {
  const loadtest::LoadManifest& manifest = results.manifest();
  const loadtest::LoadTestConfig& config = manifest.config;
  std::vector<MeasuredRequests> measured;
  for (const loadtest::Measurement& measurement : manifest.measurements) {
    ASSIGN_OR_RETURN(load::LoadResult records, results.ReadRecords(measurement));
    const bool repeated = config.repeats > 1 || config.search;
    MeasuredRequests entry;
    entry.label = fmt::format("{}{}", loadtest::LevelLabel(config.kind, measurement.level),
                              repeated ? fmt::format(", repetition {}", measurement.repeat + 1) : "");
    entry.inputs.date = VllmDate(manifest.started_at);
    entry.inputs.backend = report::VllmBackend(manifest.target.api, manifest.target.server);
    entry.inputs.label =
        fmt::format("{}{}", manifest.config.name, repeated ? fmt::format("-repeat{}", measurement.repeat + 1) : "");
    entry.inputs.model_id = manifest.target.model;
    if (config.kind == loadtest::LoadKind::kRate) {
      entry.inputs.request_rate = measurement.level;
      entry.inputs.burstiness = workload::Burstiness(config.arrivals);
      if (config.most_in_flight > 0) entry.inputs.max_concurrency = static_cast<int>(config.most_in_flight);
    } else if (config.kind != loadtest::LoadKind::kReplay) {
      entry.inputs.max_concurrency = static_cast<int>(measurement.level);
    }
    entry.inputs.goodput = config.objectives;
    entry.requests = std::move(records.requests);
    measured.push_back(std::move(entry));
  }
  return measured;
}

Result<std::string> CompatText(std::span<const MeasuredRequests> measured, const std::vector<std::string>& tool_names,
                               ReportFormat format) {
  ASSIGN_OR_RETURN(const std::vector<std::string> tools, ToolsOf(tool_names));
  std::vector<report::CompatCell> tables;
  for (const MeasuredRequests& entry : measured) {
    report::CompatCell table;
    table.label = entry.label;
    for (const std::string& tool : tools) {
      ASSIGN_OR_RETURN(metrics::ToolView view, metrics::ViewAs(tool, entry.requests));
      table.views.push_back(std::move(view));
    }
    tables.push_back(std::move(table));
  }
  if (format == ReportFormat::kJson) return DumpJsonPretty(report::CompatToJson(tables));
  std::vector<report::NamedText> files = ReportFiles(report::CompatDocument(tables), format, StdoutOptions());
  if (files.empty()) return BadInput("--compat has the formats terminal, html, markdown, csv and json");
  return std::move(files.front().text);
}

Result<std::vector<report::NamedText>> VllmFiles(std::span<const MeasuredRequests> measured, const VllmFlags& flags) {
  std::vector<report::NamedText> files;
  for (const MeasuredRequests& entry : measured) {
    report::VllmBenchInputs inputs = entry.inputs;
    inputs.percentile_metrics = flags.percentile_metrics;
    inputs.percentiles = flags.percentiles;
    inputs.save_detailed = flags.save_detailed;
    ASSIGN_OR_RETURN(const Json json, report::VllmBenchJson(entry.requests, inputs));
    files.push_back({"vllm/" + report::PathComponent(report::VllmBenchFileName(inputs)), DumpJson(json) + "\n"});
  }
  return files;
}

}  // namespace moecap::app
