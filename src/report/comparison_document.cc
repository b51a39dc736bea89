#include "report/comparison_document.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/cell_table.h"
#include "report/experiment_plots.h"
#include "report/first_table.h"
#include "report/format.h"
#include "report/judgement_section.h"
#include "report/machine_sections.h"

namespace moecap::report {
namespace {

using cap::Comparison;
using cap::FigureId;

std::vector<ShownCell> CellsOf(const Comparison& comparison) {
  std::vector<ShownCell> cells;
  for (size_t i = 0; i < comparison.cells.size(); ++i) {
    const cap::ComparedCell& compared = comparison.cells[i];
    if (!compared.system.cells.empty()) cells.push_back({i, "", compared.label, &compared.system, &compared.cell()});
  }
  return cells;
}

Section LatencyTable(std::span<const ShownCell> cells) {
  const std::vector<FigureColumn> columns = {{FigureId::kTtftMean, "TTFT", "mean"},
                                             {FigureId::kTtftP50, "TTFT", "p50"},
                                             {FigureId::kTtftP99, "TTFT", "p99"},
                                             {FigureId::kTpotMean, "TPOT", "mean"},
                                             {FigureId::kTpotP50, "TPOT", "p50"},
                                             {FigureId::kTpotP99, "TPOT", "p99"},
                                             {FigureId::kE2eMean, "E2E", "mean"},
                                             {FigureId::kE2eP99, "E2E", "p99"},
                                             {FigureId::kRequests},
                                             {FigureId::kFailed}};
  return {.heading = "Latency", .blocks = {CellTable("", cells, columns)}};
}

Section ExperimentSection(const Comparison& comparison) {
  Table table{.name = "experiments"};
  table.columns = {{.header = "experiment", .kind = ColumnKind::kKey}, {.header = "started", .kind = ColumnKind::kWord},
                   {.header = "model", .kind = ColumnKind::kText},     {.header = "data set", .kind = ColumnKind::kText},
                   {.header = "scored as", .kind = ColumnKind::kText}, {.header = "workload", .kind = ColumnKind::kText},
                   {.header = "hardware", .kind = ColumnKind::kText},  {.header = "moecap", .kind = ColumnKind::kWord}};
  for (const cap::ComparedExperiment& experiment : comparison.experiments) {
    Cell id(experiment.run_id);
    if (!experiment.complete) id = WithNote(std::move(id), "not complete");
    table.rows.push_back({std::move(id), experiment.started_at, experiment.model, experiment.dataset, experiment.contract,
                          experiment.workload, experiment.hardware, experiment.moecap_version});
  }
  DropEmptyColumns(table);
  Table differences{.name = "differences", .title = "Where they differ"};
  differences.columns = {{.header = "in", .kind = ColumnKind::kKey},
                         {.header = "meant", .kind = ColumnKind::kWord},
                         {.header = "values", .kind = ColumnKind::kText}};
  for (const cap::Mismatch& mismatch : comparison.mismatches)
    differences.rows.push_back({mismatch.what, mismatch.intended ? "yes" : "no, forced", JoinWords(mismatch.values)});
  return {.heading = "Experiments", .blocks = {std::move(table), std::move(differences)}};
}

Section NoteSection(std::span<const ShownCell> cells) {
  Notes notes;
  for (const ShownCell& shown : cells) {
    for (const std::string& note : shown.cell->notes) notes.items.push_back(shown.key + ": " + note);
  }
  return {.heading = "Notes", .blocks = {std::move(notes)}};
}

// Of each system once, whatever its cells.
std::vector<Figure> HardwareFigures(std::span<const ShownCell> cells) {
  std::vector<Figure> figures = RooflineFigures(cells, true);
  std::vector<const std::vector<std::vector<double>>*> drawn;
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto& share = cells[i].system->expert_share;
    if (share.empty() || std::ranges::any_of(drawn, [&](const auto* other) { return *other == share; })) continue;
    drawn.push_back(&share);
    figures.push_back(ExpertShareFigure(cells[i].key, share, i));
  }
  return figures;
}

std::string Title(const Comparison& comparison) {
  std::vector<std::string> labels;
  for (const cap::ComparedCell& cell : comparison.cells) labels.push_back(cell.label);
  constexpr size_t kMostNamed = 4;
  if (labels.size() <= kMostNamed) return JoinWords(labels);
  return CountText(static_cast<int64_t>(labels.size()), "cell", "cells");
}

}  // namespace

Document ComparisonDocument(const Comparison& comparison) {
  const std::vector<ShownCell> cells = CellsOf(comparison);
  std::vector<const cap::SystemSummary*> systems;
  for (const ShownCell& shown : cells) systems.push_back(shown.system);

  Document document;
  document.kind = "comparison";
  document.title = Title(comparison);
  document.subtitle = comparison.judgement.level.empty() ? "" : fmt::format("at {}", comparison.judgement.level);
  if (comparison.baseline < comparison.cells.size()) {
    document.subtitle +=
        fmt::format("{}baseline: {}", document.subtitle.empty() ? "" : "; ", comparison.cells[comparison.baseline].label);
  }
  document.warnings = comparison.warnings;
  for (std::string& warning : WarningsOf(cells)) document.warnings.push_back(std::move(warning));
  document.headline = comparison.judgement.verdicts.headline;
  Table table = FirstTable(cells);
  if (!table.columns.empty()) table.columns.front().header = "system";
  document.sections.push_back({.heading = "Figures", .detail = Detail::kFirstScreen, .blocks = {std::move(table)}});
  document.sections.push_back(JudgementSection(comparison.judgement, cells));
  document.sections.push_back(LatencyTable(cells));
  document.sections.push_back(UtilizationSection(cells, HardwareFigures(cells)));
  document.sections.push_back(AccuracySection(cells));
  document.sections.push_back(CostSection(systems, cells));
  document.sections.push_back(SystemSection(systems));
  document.sections.push_back(ExperimentSection(comparison));
  document.sections.push_back(NoteSection(cells));
  if (!comparison.experiments.empty()) document.footer = "moecap " + comparison.experiments.front().moecap_version;
  return document;
}

}  // namespace moecap::report
