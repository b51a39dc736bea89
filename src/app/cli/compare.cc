// moecap compare: the systems of stored runs side by side.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "base/json.h"
#include "report/comparison_html.h"
#include "report/comparison_json.h"
#include "report/comparison_markdown.h"
#include "report/comparison_terminal.h"
#include "run/compare_runs.h"

namespace moecap::app {
namespace {

struct Flags {
  std::vector<std::string> runs;
  std::string scenario, cost_axis, performance_axis;
  std::vector<std::string> axes;
  int concurrency = 0;
  double limit_ttft_s = 0, limit_tpot_s = 0, limit_e2e_s = 0;
  run::CompareRunsOptions options;
  bool json = false;
  std::string write_to;
};

// Empty: as the scenario says.
Result<std::optional<cap::AxisId>> AxisOf(const char* flag, const std::string& key, cap::Dimension dimension) {
  if (key.empty()) return std::optional<cap::AxisId>();
  const auto axis = cap::FindAxis(key, dimension);
  if (!axis.ok()) return Annotate(flag, axis.error());
  return std::optional(*axis);
}

Result<cap::CapChoice> ChoiceOf(const Flags& flags) {
  cap::CapChoice choice;
  choice.scenario = flags.scenario;
  if (!flags.scenario.empty()) {
    const auto scenario = cap::FindScenario(flags.scenario);
    if (!scenario.ok()) return Annotate("--scenario", scenario.error());
  }
  ASSIGN_OR_RETURN(choice.cost, AxisOf("--cost-axis", flags.cost_axis, cap::Dimension::kCost));
  ASSIGN_OR_RETURN(choice.performance, AxisOf("--performance-axis", flags.performance_axis, cap::Dimension::kPerformance));
  for (const std::string& key : flags.axes) {
    const auto axis = cap::FindAxis(key);
    if (!axis.ok()) return Annotate("--axes", axis.error());
    choice.more_axes.push_back(*axis);
  }
  if (flags.concurrency > 0) choice.concurrency = flags.concurrency;
  return choice;
}

cap::ServiceLevel LevelOf(const Flags& flags) {
  const auto limit = [](double value) { return value > 0 ? std::optional(value) : std::nullopt; };
  return {limit(flags.limit_ttft_s), limit(flags.limit_tpot_s), limit(flags.limit_e2e_s)};
}

std::vector<report::NamedText> FilesOf(const cap::Comparison& comparison) {
  std::vector<report::NamedText> files = {
      {"comparison.json", DumpJsonPretty(report::ComparisonToJson(comparison))},
      {"comparison.md", report::RenderComparisonMarkdown(comparison)},
      {"comparison.html", report::RenderComparisonHtml(comparison)},
  };
  if (std::string radar = report::DrawComparisonRadar(comparison, report::SvgMode::kStandalone); !radar.empty())
    files.push_back({"comparison-radar.svg", std::move(radar)});
  return files;
}

Status Compare(const Flags& flags) {
  run::CompareRunsOptions options = flags.options;
  ASSIGN_OR_RETURN(options.choice, ChoiceOf(flags));
  std::vector<run::StoredRun> runs;
  for (const std::string& name : flags.runs) {
    ASSIGN_OR_RETURN(const std::filesystem::path dir, RunDir(name));
    ASSIGN_OR_RETURN(const run::Results results, run::Results::Open(dir));
    ASSIGN_OR_RETURN(run::StoredRun run, run::ReadStoredRun(results, name, LevelOf(flags)));
    runs.push_back(std::move(run));
  }
  ASSIGN_OR_RETURN(const cap::Comparison comparison, run::CompareRuns(runs, options));
  if (!flags.write_to.empty()) RETURN_IF_ERROR(WriteFiles(FilesOf(comparison), flags.write_to));
  for (const std::string& warning : comparison.warnings) std::fprintf(stderr, "moecap compare: WARNING: %s\n", warning.c_str());
  std::string text;
  if (flags.json) {
    text = DumpJsonPretty(report::ComparisonToJson(comparison));
  } else {
    report::TerminalOptions terminal;
    terminal.width = TerminalWidth();
    terminal.color = WantsColor(1);
    terminal.unicode = WantsUnicode();
    text = report::RenderComparisonTerminal(comparison, terminal);
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

}  // namespace

Action AddCompare(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<Flags>();
  app.add_option("runs", flags->runs, "ids of runs below results/, or their folders; one is enough: its systems")->required();
  app.add_option("--scenario", flags->scenario, "online (default), offline, single-user or power-limited (docs/cap.md)");
  app.add_option("--cost-axis", flags->cost_axis, "instead of the scenario's, e.g. power_w");
  app.add_option("--performance-axis", flags->performance_axis, "instead of the scenario's, e.g. output_tokens_per_s");
  app.add_option("--axes", flags->axes, "more axes, e.g. s_mbu,ttft_s,memory_bytes")->delimiter(',');
  app.add_option("--concurrency", flags->concurrency, "instead of the scenario's: highest, or lowest for single-user")
      ->check(CLI::PositiveNumber);
  app.add_option("--normalisation", flags->options.normalisation, "of the radar: paper (default) or robust")
      ->check(CLI::IsMember({"paper", "robust"}));
  app.add_option("--baseline", flags->options.baseline, "RUN, RUN:SYSTEM or SYSTEM that differences refer to; else the first");
  app.add_option("--by", flags->options.by, "what the runs are meant to differ in: hardware, model, dataset, contract")
      ->delimiter(',');
  app.add_flag("--force", flags->options.force, "compare runs that differ all the same, with a warning in every output");
  app.add_option("--limit-ttft-s", flags->limit_ttft_s, "for goodput: a request must keep it")->check(CLI::PositiveNumber);
  app.add_option("--limit-tpot-s", flags->limit_tpot_s, "for goodput")->check(CLI::PositiveNumber);
  app.add_option("--limit-e2e-s", flags->limit_e2e_s, "for goodput")->check(CLI::PositiveNumber);
  app.add_flag("--json", flags->json, "print the comparison as JSON");
  app.add_option("--write-to", flags->write_to, "also write HTML, SVG, Markdown and JSON into this folder");
  app.footer(
      "Example:\n  moecap compare 20260131-120000-quickstart --baseline F16\n"
      "  moecap compare RUN_A RUN_B --by hardware --scenario offline");
  return [flags] { return Compare(*flags); };
}

}  // namespace moecap::app
