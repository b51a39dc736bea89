#include "app/cli/report_compat.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "report/compat_report.h"

namespace moecap::app {
namespace {

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

Result<std::vector<MeasuredRequests>> MeasuredOf(const experiment::Results& results) {
  const experiment::Manifest& manifest = results.manifest();
  const experiment::LoadConfig& load = manifest.config.load;
  std::vector<MeasuredRequests> measured;
  for (const experiment::Measurement& measurement : manifest.measurements) {
    if (!measurement.complete) continue;
    ASSIGN_OR_RETURN(experiment::Facts facts, results.ReadFacts(measurement));
    const bool repeated = manifest.config.repeats > 1 || manifest.config.search;
    MeasuredRequests entry;
    entry.label = fmt::format("{}, {}{}", measurement.system, Label(measurement.level),
                              repeated ? fmt::format(", repetition {}", measurement.repeat + 1) : "");
    entry.inputs.date = VllmDate(manifest.started_at);
    entry.inputs.label = measurement.system + (repeated ? fmt::format("-repeat{}", measurement.repeat + 1) : "");
    if (const experiment::PricedSystem* system = manifest.FindSystem(measurement.system)) {
      entry.inputs.backend = report::VllmBackend(system->description.api, system->description.engine);
      entry.inputs.model_id = system->description.model.id;
    }
    if (measurement.level.kind == record::LoadKind::kRate) {
      entry.inputs.request_rate = measurement.level.value;
      entry.inputs.burstiness = workload::Burstiness(load.arrivals);
    }
    const auto in_flight = IsOpenLoop(measurement.level.kind) ? load.most_in_flight : ClientsOf(measurement.level);
    if (in_flight > 0) entry.inputs.max_concurrency = static_cast<int>(in_flight);
    entry.inputs.goodput = manifest.config.objectives;
    entry.requests = std::move(facts.records.requests);
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
