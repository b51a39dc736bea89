// moecap report: stored runs again, every figure computed anew from their recorded facts.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/report_compat.h"
#include "app/cli/report_load.h"
#include "app/cli/stored_runs.h"
#include "base/json.h"
#include "loadtest/results.h"
#include "report/csv.h"
#include "report/html.h"
#include "report/markdown.h"
#include "report/summary_json.h"
#include "run/summarize.h"

namespace moecap::app {
namespace {

struct Flags {
  std::vector<std::string> runs;
  std::vector<std::string> formats;
  bool json = false;
  bool all = false;
  std::string write_to;
  std::vector<std::string> compat;
  VllmFlags vllm;
};

struct StoredRun {
  run::Results results;
  cap::RunSummary summary;
};

Result<std::vector<StoredRun>> OpenRuns(const std::vector<std::filesystem::path>& dirs) {
  std::vector<StoredRun> runs;
  std::set<std::string> seen;
  for (const std::filesystem::path& dir : dirs) {
    ASSIGN_OR_RETURN(run::Results results, run::Results::Open(dir));
    ASSIGN_OR_RETURN(cap::RunSummary summary, run::SummarizeStored(results));
    if (!seen.insert(summary.run_id).second) return BadInput(fmt::format("run {} is given twice", summary.run_id));
    runs.push_back({std::move(results), std::move(summary)});
  }
  return runs;
}

Result<std::vector<std::filesystem::path>> FoldersOf(const std::vector<std::string>& names) {
  std::vector<std::filesystem::path> dirs;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(dirs.emplace_back(), StoredDir(name));
  }
  return dirs;
}

Result<std::vector<MeasuredRequests>> MeasuredIn(const std::filesystem::path& dir) {
  if (loadtest::LoadResults::IsLoadTest(dir)) {
    ASSIGN_OR_RETURN(const loadtest::LoadResults results, loadtest::LoadResults::Open(dir));
    return MeasuredOf(results);
  }
  ASSIGN_OR_RETURN(const run::Results results, run::Results::Open(dir));
  return MeasuredOf(results);
}

// One format on stdout, all runs.
Result<std::string> Text(const std::vector<StoredRun>& runs, ReportFormat format, const VllmFlags& vllm) {
  std::string text;
  std::vector<cap::RunSummary> summaries;
  switch (format) {
    case ReportFormat::kTerminal:
      for (const StoredRun& run : runs) text += (text.empty() ? "" : "\n") + TerminalText(run.summary);
      return text;
    case ReportFormat::kMarkdown:
      for (const StoredRun& run : runs) text += (text.empty() ? "" : "\n") + report::RenderMarkdown(run.summary);
      return text;
    case ReportFormat::kCsv:
      for (const StoredRun& run : runs) summaries.push_back(run.summary);
      return report::RenderCsv(summaries);
    case ReportFormat::kJson: {
      if (runs.size() == 1) return DumpJsonPretty(report::SummaryToJson(runs.front().summary));
      Json list = Json::array();
      for (const StoredRun& run : runs) list.push_back(report::SummaryToJson(run.summary));
      return DumpJsonPretty(list);
    }
    case ReportFormat::kHtml:
      if (runs.size() == 1) return report::RenderHtml(runs.front().summary);
      return BadInput("--format html of several runs is several pages; add --write-to DIR");
    case ReportFormat::kVllm:  // one object a line, as vLLM appends them
      for (const StoredRun& run : runs) {
        ASSIGN_OR_RETURN(const std::vector<MeasuredRequests> measured, MeasuredOf(run.results));
        ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, VllmFiles(measured, vllm));
        for (const report::NamedText& file : files) text += file.text;
      }
      return text;
    case ReportFormat::kSvg:
    case ReportFormat::kUpstream:
      break;
  }
  return BadInput("--format svg and --format upstream write several files; add --write-to DIR");
}

Result<std::vector<report::NamedText>> UpstreamOf(const StoredRun& run) {
  ASSIGN_OR_RETURN(const std::vector<record::RequestRecord> requests, run.results.ReadRequests());
  ASSIGN_OR_RETURN(const std::vector<record::PassRecord> passes, run.results.ReadPasses());
  const run::Manifest& manifest = run.results.manifest();
  report::UpstreamFacts facts{requests, passes, {}, manifest.config.max_output_tokens};
  for (const cap::SystemSummary& system : run.summary.systems) {
    const auto found = std::ranges::find(manifest.systems, system.name, &run::SystemDescription::name);
    facts.layers.push_back(found == manifest.systems.end() ? 0 : static_cast<int>(found->model.layers.size()));
  }
  std::vector<report::NamedText> files = report::UpstreamFiles(run.summary, facts);
  for (report::NamedText& file : files) file.path = "upstream/" + file.path;
  return files;
}

// Every file of every run; several runs have a folder each.
Result<std::vector<report::NamedText>> Files(const std::vector<StoredRun>& runs, const std::vector<ReportFormat>& formats,
                                             const VllmFlags& vllm) {
  std::vector<report::NamedText> all;
  for (const StoredRun& run : runs) {
    const std::string folder = runs.size() == 1 ? "" : report::PathComponent(run.summary.run_id) + "/";
    for (const ReportFormat format : formats) {
      std::vector<report::NamedText> files = ReportFiles(run.summary, format);
      if (format == ReportFormat::kUpstream) {
        ASSIGN_OR_RETURN(files, UpstreamOf(run));
      }
      if (format == ReportFormat::kVllm) {
        ASSIGN_OR_RETURN(const std::vector<MeasuredRequests> measured, MeasuredOf(run.results));
        ASSIGN_OR_RETURN(files, VllmFiles(measured, vllm));
      }
      for (report::NamedText& file : files) all.push_back({folder + file.path, std::move(file.text)});
    }
  }
  return all;
}

Result<std::vector<ReportFormat>> FormatsOf(const Flags& flags) {
  std::vector<ReportFormat> formats;
  if (flags.all) {
    return std::vector<ReportFormat>{ReportFormat::kTerminal, ReportFormat::kHtml, ReportFormat::kMarkdown,
                                     ReportFormat::kCsv,      ReportFormat::kJson, ReportFormat::kSvg,
                                     ReportFormat::kUpstream, ReportFormat::kVllm};
  }
  for (const std::string& name : flags.formats) {
    ASSIGN_OR_RETURN(const ReportFormat format, FindReportFormat(name));
    if (std::ranges::find(formats, format) == formats.end()) formats.push_back(format);
  }
  if (flags.json && formats.empty()) formats.push_back(ReportFormat::kJson);
  return formats;
}

Status ReportCompat(const Flags& flags, const std::vector<std::filesystem::path>& dirs,
                    const std::vector<ReportFormat>& formats) {
  if (!flags.write_to.empty()) return BadInput("--compat prints one table; redirect it instead of --write-to");
  std::vector<MeasuredRequests> all;
  for (const std::filesystem::path& dir : dirs) {
    ASSIGN_OR_RETURN(std::vector<MeasuredRequests> measured, MeasuredIn(dir));
    for (MeasuredRequests& entry : measured) {
      if (dirs.size() > 1) entry.label = fmt::format("{}: {}", dir.filename().string(), entry.label);
      all.push_back(std::move(entry));
    }
  }
  ASSIGN_OR_RETURN(const std::string text,
                   CompatText(all, flags.compat, formats.empty() ? ReportFormat::kTerminal : formats.front()));
  PrintText(text);
  return {};
}

Status Report(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::vector<ReportFormat> formats, FormatsOf(flags));
  const bool to_files = !flags.write_to.empty();
  if (flags.all && !to_files) return BadInput("--all writes many files; add --write-to DIR");
  if (formats.size() > 1 && !to_files) return BadInput("several formats are several files; add --write-to DIR");
  ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> dirs, FoldersOf(flags.runs));
  if (!flags.compat.empty()) return ReportCompat(flags, dirs, formats);
  const auto load_tests = std::ranges::count_if(dirs, loadtest::LoadResults::IsLoadTest);
  if (load_tests > 0 && load_tests < std::ssize(dirs))
    return BadInput("some of these are load tests and some runs; report them apart");
  if (load_tests > 0) return ReportLoadTests(dirs, flags.all ? LoadReportFormats() : formats, flags.vllm, flags.write_to);
  ASSIGN_OR_RETURN(const std::vector<StoredRun> runs, OpenRuns(dirs));
  if (to_files && (!flags.formats.empty() || flags.all)) {
    ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, Files(runs, formats, flags.vllm));
    RETURN_IF_ERROR(WriteFiles(files, flags.write_to));
    fmt::print(stderr, "wrote {} files into {}\n", files.size(), flags.write_to);
    return {};
  }
  ASSIGN_OR_RETURN(const std::string text, Text(runs, formats.empty() ? ReportFormat::kTerminal : formats.front(), flags.vllm));
  if (to_files) {
    for (const StoredRun& run : runs) {
      const std::filesystem::path dir(flags.write_to);
      RETURN_IF_ERROR(WriteReports(run.summary, runs.size() == 1 ? dir : dir / report::PathComponent(run.summary.run_id)));
    }
  }
  PrintText(text);
  return {};
}

}  // namespace

Action AddReport(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<Flags>();
  app.add_option("run", flags->runs, "runs: ids below results/ or their beginnings, \"latest\", or folders")->required();
  app.add_option("--format", flags->formats, ReportFormatNames() + "; terminal by default")->delimiter(',');
  app.add_flag("--json", flags->json, "the same as --format json");
  app.add_option(
      "--write-to", flags->write_to,
      "write files into this folder (a folder a run for several runs): those of --format, or by default the page, the "
      "radar, Markdown, CSV and JSON besides printing the report");
  app.add_flag("--all", flags->all, "with --write-to: every format, every chart, and the files of the Python implementation");
  app.add_option(
         "--compat", flags->compat,
         "the same requests by the definitions of these benchmark clients, side by side with ours: vllm, sglang, aiperf, "
         "guidellm, mlperf, or all; as terminal, markdown or json")
      ->delimiter(',');
  app.add_flag("--save-detailed", flags->vllm.save_detailed,
               "with --format vllm: lengths, times, texts and errors of each request too");
  app.add_option("--percentile-metrics", flags->vllm.percentile_metrics,
                 "with --format vllm: of ttft, tpot, itl, e2el, client_queue_time; ttft,tpot,itl by default")
      ->delimiter(',');
  app.add_option("--metric-percentiles", flags->vllm.percentiles, "with --format vllm: 99 by default")->delimiter(',');
  app.footer(
      "Examples:\n  moecap report 20260131-120000-quickstart --json\n"
      "  moecap report 20260131-120000-quickstart --format html,svg --write-to out\n"
      "  moecap report RUN RUN --format csv\n"
      "  moecap report latest --compat vllm,sglang\n"
      "  moecap report latest --format vllm > bench_serve.jsonl");
  return [flags] { return Report(*flags); };
}

}  // namespace moecap::app
