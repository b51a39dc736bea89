#include "report/experiment_document.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "report/cell_table.h"
#include "report/experiment_plots.h"
#include "report/first_table.h"
#include "report/format.h"
#include "report/judgement_section.h"
#include "report/load_sections.h"
#include "report/machine_sections.h"

namespace moecap::report {
namespace {

using cap::ExperimentSummary;
using cap::SystemSummary;

std::string ObjectivesText(const metrics::LatencyObjectives& objectives) {
  std::vector<std::string> parts;
  const auto add = [&parts](const char* name, const std::optional<double>& limit) {
    if (limit) parts.push_back(fmt::format("{} at most {}", name, SecondsText(limit)));
  };
  add("TTFT", objectives.ttft_s);
  add("TPOT", objectives.tpot_s);
  add("E2E", objectives.e2e_s);
  if (parts.empty()) return "";
  return JoinWords(parts) + (objectives.from_intended_send ? ", from the intended send" : ", from the actual send");
}

std::string HostText(const cap::HostSummary& host) {
  std::vector<std::string> parts;
  if (!host.cpu_model.empty()) parts.push_back(host.cpu_model);
  if (host.usable_threads > 0) parts.push_back(CountText(host.usable_threads, "thread", "threads"));
  if (host.dram_bytes) parts.push_back(BytesText(host.dram_bytes) + " DRAM");
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

KeyValues About(const ExperimentSummary& summary) {
  std::string dataset = summary.dataset;
  if (summary.problems > 0) dataset += fmt::format(", {}", CountText(summary.problems, "problem", "problems"));
  return {"",
          {{"started", summary.started_at},
           {"workload", summary.workload},
           {"data set", dataset},
           {"scored as", summary.scoring_contract},
           {"load", summary.load},
           {"order", summary.order},
           {"objectives", ObjectivesText(summary.objectives)},
           {"host", HostText(summary.host)},
           {"client", summary.host.client}}};
}

std::string Subtitle(const ExperimentSummary& summary) {
  std::string text;
  for (const std::string& part : {summary.name, summary.workload, summary.load})
    text += part.empty() ? "" : (text.empty() ? "" : "; ") + part;
  return text;
}

// The cells behind the evidence: at the level where the systems meet, else where the search of each ended, else the highest.
std::vector<ShownCell> JudgedCells(const cap::JudgedExperiment& experiment, std::span<const ShownCell> cells) {
  std::vector<ShownCell> judged;
  for (const cap::Evidence& evidence : experiment.judgement.evidence) {
    ShownCell found;
    for (const ShownCell& shown : cells) {
      if (shown.system->name != evidence.label) continue;
      const auto& search = shown.system->search;
      const bool meets = shown.key == experiment.judgement.level ||
                         (experiment.judgement.level.empty() && search && search->passes == shown.cell->level.value);
      if (found.cell == nullptr || meets) found = shown;
      if (meets) break;
      if (experiment.judgement.level.empty() && !search) found = shown;
    }
    judged.push_back(std::move(found));
  }
  return judged;
}

Section NoteSection(const ExperimentSummary& summary) {
  return {.heading = "Notes", .blocks = {Notes{.items = summary.notes}}};
}

Section ReproduceSection(const ExperimentSummary& summary) {
  Section section{.heading = "How to reproduce"};
  if (!summary.command.empty()) section.blocks.push_back(Code{.text = summary.command, .language = "sh"});
  section.blocks.push_back(Paragraph{
      {fmt::format("Version {}; the configuration is kept in the manifest of the experiment.", summary.moecap_version),
       "Every figure again, from the stored facts:"}});
  section.blocks.push_back(Code{.text = "moecap report " + summary.run_id + " --all", .language = "sh"});
  return section;
}

}  // namespace

Document ExperimentDocument(const cap::JudgedExperiment& experiment) {
  const ExperimentSummary& summary = experiment.summary;
  const std::vector<ShownCell> cells = CellsOf(summary);
  std::vector<const SystemSummary*> systems;
  for (const SystemSummary& system : summary.systems) systems.push_back(&system);
  std::vector<Figure> utilization = RooflineFigures(cells);
  for (Figure& figure : ExpertFigures(summary, cells)) utilization.push_back(std::move(figure));

  Document document;
  document.kind = "experiment";
  document.title = summary.run_id;
  document.subtitle = Subtitle(summary);
  document.about = About(summary);
  document.warnings = WarningsOf(cells);
  if (!summary.complete) {
    document.warnings.insert(document.warnings.begin(),
                             "Not complete: it was interrupted. The figures cover what was measured before; do not compare or "
                             "publish them.");
  }
  document.headline = experiment.judgement.verdicts.headline;
  document.sections.push_back({.heading = "Figures", .detail = Detail::kFirstScreen, .blocks = {FirstTable(cells)}});
  document.sections.push_back(JudgementSection(experiment.judgement, JudgedCells(experiment, cells)));
  document.sections.push_back(SearchSection(summary));
  document.sections.push_back(LatencySection(summary, cells));
  document.sections.push_back(RequestSection(cells));
  document.sections.push_back(SteadySection(cells));
  document.sections.push_back(UtilizationSection(cells, std::move(utilization)));
  document.sections.push_back(AccuracySection(cells));
  document.sections.push_back(CostSection(systems, cells));
  document.sections.push_back(GateSection(cells));
  document.sections.push_back(MeasurementSection(cells));
  document.sections.push_back(SystemSection(systems));
  document.sections.push_back(NoteSection(summary));
  document.sections.push_back(ReproduceSection(summary));
  document.footer = fmt::format("moecap {}, {}", summary.moecap_version, summary.started_at);
  return document;
}

}  // namespace moecap::report
