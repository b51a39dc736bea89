// moecap compare: cells of stored runs side by side.
#include "analysis/compare.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "base/json.h"
#include "report/comparison_document.h"
#include "report/comparison_json.h"
#include "report/render.h"

namespace moecap::app {
namespace {

struct CompareFlags {
  std::vector<std::string> runs;
  std::string scenario, cost, performance;
  double level = 0;
  double limit_ttft_s = 0, limit_tpot_s = 0, limit_e2e_s = 0;
  analysis::CompareOptions options;
  bool all = false;
  bool json = false;
  std::string write_to;
};

// Empty: as the scenario says.
Result<std::optional<cap::FigureId>> AxisOf(const char* flag, const std::string& key, cap::Dimension dimension) {
  if (key.empty()) return std::optional<cap::FigureId>();
  const auto figure = cap::FindFigure(key, dimension);
  if (!figure.ok()) return Annotate(flag, figure.error());
  return std::optional(*figure);
}

Result<cap::ViewChoice> ChoiceOf(const CompareFlags& flags) {
  cap::ViewChoice choice;
  choice.scenario = flags.scenario;
  if (!flags.scenario.empty()) {
    const auto scenario = cap::FindScenario(flags.scenario);
    if (!scenario.ok()) return Annotate("--scenario", scenario.error());
  }
  ASSIGN_OR_RETURN(choice.cost, AxisOf("--cost", flags.cost, cap::Dimension::kCost));
  ASSIGN_OR_RETURN(choice.performance, AxisOf("--performance", flags.performance, cap::Dimension::kPerformance));
  if (flags.level > 0) choice.level = flags.level;
  return choice;
}

metrics::LatencyObjectives ObjectivesOf(const CompareFlags& flags) {
  const auto limit = [](double value) { return value > 0 ? std::optional(value) : std::nullopt; };
  metrics::LatencyObjectives objectives;
  objectives.ttft_s = limit(flags.limit_ttft_s);
  objectives.tpot_s = limit(flags.limit_tpot_s);
  objectives.e2e_s = limit(flags.limit_e2e_s);
  return objectives;
}

struct NamedExperiment {
  std::filesystem::path dir;
  std::string given;
  std::vector<analysis::CellName> cells;
};

// Cells of one run may be named apart: RUN:F16@8 RUN:F16@16.
Result<std::vector<NamedExperiment>> FindExperiments(const std::vector<std::string>& names) {
  std::vector<NamedExperiment> experiments;
  for (const std::string& text : names) {
    const bool is_folder = experiment::Results::IsExperiment(text);  // whatever characters its name has
    const analysis::CellName name = is_folder ? analysis::CellName{text, "", {}} : analysis::ParseCellName(text);
    ASSIGN_OR_RETURN(const std::filesystem::path dir, StoredDir(name.run));
    const auto there = std::ranges::find(experiments, dir, &NamedExperiment::dir);
    NamedExperiment& experiment =
        there != experiments.end() ? *there : experiments.emplace_back(NamedExperiment{dir, name.run, {}});
    experiment.cells.push_back(name);
  }
  return experiments;
}

std::vector<report::NamedText> FilesOf(const cap::Comparison& comparison, const report::Document& document) {
  std::vector<report::NamedText> files = {
      {"comparison.json", DumpJsonPretty(report::ComparisonToJson(comparison))},
      {"comparison.md", report::RenderMarkdown(document)},
      {"comparison.csv", report::RenderCsv(document)},
      {"comparison.html", report::RenderHtml(document)},
  };
  for (auto& [name, svg] : report::RenderSvgs(document))
    files.push_back({fmt::format("comparison-{}.svg", name), std::move(svg)});
  return files;
}

Status Compare(const CompareFlags& flags) {
  analysis::CompareOptions options = flags.options;
  ASSIGN_OR_RETURN(options.choice, ChoiceOf(flags));
  ASSIGN_OR_RETURN(std::vector<NamedExperiment> named, FindExperiments(flags.runs));
  std::vector<analysis::StoredExperiment> experiments;
  for (NamedExperiment& one : named) {
    ASSIGN_OR_RETURN(experiment::Results results, experiment::Results::Open(one.dir));
    ASSIGN_OR_RETURN(analysis::StoredExperiment stored,
                     analysis::ReadStored(std::move(results), one.given, std::move(one.cells), ObjectivesOf(flags), SummaryOf));
    experiments.push_back(std::move(stored));
  }
  ASSIGN_OR_RETURN(const cap::Comparison comparison, analysis::Compare(experiments, options));
  const report::Document document = report::ComparisonDocument(comparison);
  if (!flags.write_to.empty()) RETURN_IF_ERROR(WriteFiles(FilesOf(comparison, document), flags.write_to));
  for (const std::string& warning : comparison.warnings) std::fprintf(stderr, "moecap compare: WARNING: %s\n", warning.c_str());
  std::string text;
  if (flags.json) {
    text = DumpJsonPretty(report::ComparisonToJson(comparison));
  } else {
    report::TerminalOptions terminal;
    terminal.width = TerminalWidth();
    terminal.color = WantsColor(1);
    terminal.unicode = WantsUnicode();
    terminal.all = flags.all;
    text = report::RenderTerminal(document, terminal);
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

}  // namespace

Action AddCompare(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<CompareFlags>();
  app.add_option("runs", flags->runs, "RUN, RUN:SYSTEM or RUN:SYSTEM@LEVEL; RUN is an id below results/ or a folder")
      ->required();
  app.add_option("--scenario", flags->scenario, "online (default), offline, single-user, power-limited or paper (docs/cap.md)");
  app.add_option("--cost,--cost-axis", flags->cost, "instead of the scenario's, e.g. power_w");
  app.add_option("--performance,--performance-axis", flags->performance, "instead of the scenario's, e.g. output_tokens_per_s");
  app.add_option("--level,--concurrency", flags->level,
                 "clients, rate or users; instead of the highest or lowest that all have")
      ->check(CLI::PositiveNumber);
  app.add_option("--system", flags->options.systems, "compare these systems only")->delimiter(',');
  app.add_option("--baseline", flags->options.baseline, "RUN, RUN:SYSTEM or SYSTEM that differences refer to; else the first");
  app.add_option("--by", flags->options.by,
                 "what the runs are meant to differ in: hardware, model, dataset, contract, workload")
      ->delimiter(',');
  app.add_flag("--force", flags->options.force, "compare runs that differ all the same, with a warning in every output");
  app.add_flag("--include-invalid", flags->options.judge.include_invalid, "judge cells in which a gate tripped, too");
  app.add_flag("--price-by-memory", flags->options.judge.price_by_memory,
               "price each system on the cheapest machine that holds what it needs");
  app.add_option("--limit-ttft-s", flags->limit_ttft_s, "for goodput: a request must keep it")->check(CLI::PositiveNumber);
  app.add_option("--limit-tpot-s", flags->limit_tpot_s, "for goodput")->check(CLI::PositiveNumber);
  app.add_option("--limit-e2e-s", flags->limit_e2e_s, "for goodput")->check(CLI::PositiveNumber);
  app.add_flag("--all", flags->all, "print the whole report, not just its first screen");
  app.add_flag("--json", flags->json, "print the comparison as JSON");
  app.add_option("--write-to", flags->write_to, "also write HTML, SVG, Markdown, CSV and JSON into this folder");
  app.footer(
      "Example:\n  moecap compare 20260131-120000-quickstart --baseline F16\n"
      "  moecap compare RUN_A RUN_B --by hardware --scenario offline\n"
      "  moecap compare RUN:F16@1 RUN:F16@16");
  return [flags] { return Compare(*flags); };
}

}  // namespace moecap::app
