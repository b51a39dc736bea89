// moecap report: stored experiments again, every figure computed anew from their recorded facts.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "analysis/judge.h"
#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/report_compat.h"
#include "app/cli/stored_runs.h"
#include "app/paper_pictures.h"
#include "base/json.h"
#include "report/experiment_csv.h"
#include "report/experiment_document.h"
#include "report/experiment_json.h"
#include "report/metrics_export.h"
#include "report/render.h"

namespace moecap::app {
namespace {

struct ReportFlags {
  std::vector<std::string> runs;
  std::vector<std::string> formats;
  bool json = false;
  bool all = false;
  std::string write_to;
  std::vector<std::string> compat;
  VllmFlags vllm;
  std::string paper;  // a folder
  double tpot_s = 0.05;
  double level = 1;
};

struct Stored {
  experiment::Results results;
  cap::JudgedExperiment judged;
};

Result<std::vector<Stored>> OpenAll(const std::vector<std::filesystem::path>& dirs) {
  std::vector<Stored> all;
  std::set<std::string> seen;
  for (const std::filesystem::path& dir : dirs) {
    ASSIGN_OR_RETURN(experiment::Results results, experiment::Results::Open(dir));
    const std::string id = results.manifest().run_id;
    if (!seen.insert(id).second) return BadInput(fmt::format("run {} is given twice", id));
    ASSIGN_OR_RETURN(cap::JudgedExperiment judged, analysis::JudgeStored(results, {}, SummaryOf));
    all.push_back({std::move(results), std::move(judged)});
  }
  return all;
}

Result<std::vector<std::filesystem::path>> FoldersOf(const std::vector<std::string>& names) {
  std::vector<std::filesystem::path> dirs;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(dirs.emplace_back(), StoredDir(name));
  }
  return dirs;
}

std::vector<cap::JudgedExperiment> JudgedOf(const std::vector<Stored>& all) {
  std::vector<cap::JudgedExperiment> experiments;
  for (const Stored& stored : all) experiments.push_back(stored.judged);
  return experiments;
}

// One format on stdout, all experiments.
Result<std::string> Text(const std::vector<Stored>& all, ReportFormat format, const ReportFlags& flags) {
  std::string text;
  switch (format) {
    case ReportFormat::kTerminal:
      for (const Stored& stored : all) text += (text.empty() ? "" : "\n") + TerminalText(stored.judged, flags.all);
      return text;
    case ReportFormat::kMarkdown:
      for (const Stored& stored : all)
        text += (text.empty() ? "" : "\n") + report::RenderMarkdown(report::ExperimentDocument(stored.judged));
      return text;
    case ReportFormat::kCsv:
      return report::ExperimentsToCsv(JudgedOf(all));
    case ReportFormat::kPrometheus:
      return report::ToPrometheus(JudgedOf(all));
    case ReportFormat::kOtlp:
      return report::ToOtlpJson(JudgedOf(all));
    case ReportFormat::kJson: {
      if (all.size() == 1) return DumpJsonPretty(report::ExperimentToJson(all.front().judged));
      Json list = Json::array();
      for (const Stored& stored : all) list.push_back(report::ExperimentToJson(stored.judged));
      return DumpJsonPretty(list);
    }
    case ReportFormat::kHtml:
      if (all.size() == 1) return report::RenderHtml(report::ExperimentDocument(all.front().judged));
      return BadInput("--format html of several runs is several pages; add --write-to DIR");
    case ReportFormat::kVllm:  // one object a line, as vLLM appends them
      for (const Stored& stored : all) {
        ASSIGN_OR_RETURN(const std::vector<MeasuredRequests> measured, MeasuredOf(stored.results));
        ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, VllmFiles(measured, flags.vllm));
        for (const report::NamedText& file : files) text += file.text;
      }
      return text;
    case ReportFormat::kSvg:
    case ReportFormat::kUpstream:
      break;
  }
  return BadInput("--format svg and --format upstream write several files; add --write-to DIR");
}

Result<std::vector<report::NamedText>> UpstreamOf(const Stored& stored) {
  const experiment::Manifest& manifest = stored.results.manifest();
  report::UpstreamFacts facts;
  if (manifest.config.problems) facts.requested_output_tokens = manifest.config.max_output_tokens;
  for (const experiment::Measurement& measurement : manifest.measurements) {
    if (!measurement.complete) continue;
    ASSIGN_OR_RETURN(experiment::Facts read, stored.results.ReadFacts(measurement));
    facts.measurements.push_back(
        {measurement.system, measurement.level, std::move(read.records.requests), std::move(read.records.passes)});
  }
  for (const cap::SystemSummary& system : stored.judged.summary.systems) {
    const experiment::PricedSystem* found = manifest.FindSystem(system.name);
    facts.layers.push_back(found == nullptr ? 0 : static_cast<int>(found->description.model.layers.size()));
  }
  std::vector<report::NamedText> files = report::UpstreamFiles(stored.judged.summary, facts);
  for (report::NamedText& file : files) file.path = "upstream/" + file.path;
  return files;
}

// Every file of every experiment; several have a folder each.
Result<std::vector<report::NamedText>> Files(const std::vector<Stored>& all, const std::vector<ReportFormat>& formats,
                                             const VllmFlags& vllm) {
  std::vector<report::NamedText> written;
  for (const Stored& stored : all) {
    const std::string folder = all.size() == 1 ? "" : report::PathComponent(stored.judged.summary.run_id) + "/";
    for (const ReportFormat format : formats) {
      std::vector<report::NamedText> files = ReportFiles(stored.judged, format);
      if (format == ReportFormat::kUpstream) {
        ASSIGN_OR_RETURN(files, UpstreamOf(stored));
      }
      if (format == ReportFormat::kVllm) {
        ASSIGN_OR_RETURN(const std::vector<MeasuredRequests> measured, MeasuredOf(stored.results));
        ASSIGN_OR_RETURN(files, VllmFiles(measured, vllm));
      }
      for (report::NamedText& file : files) written.push_back({folder + file.path, std::move(file.text)});
    }
  }
  return written;
}

Result<std::vector<ReportFormat>> FormatsOf(const ReportFlags& flags) {
  std::vector<ReportFormat> formats;
  if (flags.all && !flags.write_to.empty() && flags.formats.empty()) return ReportFormats();
  for (const std::string& name : flags.formats) {
    ASSIGN_OR_RETURN(const ReportFormat format, FindReportFormat(name));
    if (std::ranges::find(formats, format) == formats.end()) formats.push_back(format);
  }
  if (flags.json && formats.empty()) formats.push_back(ReportFormat::kJson);
  return formats;
}

Status ReportCompat(const ReportFlags& flags, const std::vector<std::filesystem::path>& dirs,
                    const std::vector<ReportFormat>& formats) {
  if (!flags.write_to.empty()) return BadInput("--compat prints one table; redirect it instead of --write-to");
  std::vector<MeasuredRequests> all;
  for (const std::filesystem::path& dir : dirs) {
    ASSIGN_OR_RETURN(const experiment::Results results, experiment::Results::Open(dir));
    ASSIGN_OR_RETURN(std::vector<MeasuredRequests> measured, MeasuredOf(results));
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

Status WritePaperPictures(const std::vector<Stored>& all, const ReportFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
  std::vector<cap::ExperimentSummary> runs;
  for (const Stored& stored : all) runs.push_back(stored.judged.summary);
  std::vector<report::NamedText> files;
  for (PaperPicture& picture : DrawPaperPictures(runs, catalogue, flags.tpot_s, flags.level))
    files.push_back({std::move(picture.file), std::move(picture.svg)});
  if (files.empty())
    return BadInput("these runs tell neither distinct experts nor S-MBU nor costs of two systems: nothing to draw");
  RETURN_IF_ERROR(WriteFiles(files, flags.paper));
  fmt::print(stderr, "wrote {} files into {}\n", files.size(), flags.paper);
  return {};
}

Status Report(const ReportFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<ReportFormat> formats, FormatsOf(flags));
  const bool to_files = !flags.write_to.empty();
  if (formats.size() > 1 && !to_files) return BadInput("several formats are several files; add --write-to DIR");
  ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> dirs, FoldersOf(flags.runs));
  if (!flags.compat.empty()) return ReportCompat(flags, dirs, formats);
  ASSIGN_OR_RETURN(const std::vector<Stored> all, OpenAll(dirs));
  if (!flags.paper.empty()) return WritePaperPictures(all, flags);
  if (to_files && !formats.empty()) {
    ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, Files(all, formats, flags.vllm));
    RETURN_IF_ERROR(WriteFiles(files, flags.write_to));
    fmt::print(stderr, "wrote {} files into {}\n", files.size(), flags.write_to);
    return {};
  }
  ASSIGN_OR_RETURN(const std::string text, Text(all, formats.empty() ? ReportFormat::kTerminal : formats.front(), flags));
  if (to_files) {
    for (const Stored& stored : all) {
      const std::filesystem::path dir(flags.write_to);
      RETURN_IF_ERROR(
          WriteReports(stored.judged, all.size() == 1 ? dir : dir / report::PathComponent(stored.judged.summary.run_id)));
    }
  }
  PrintText(text);
  return {};
}

}  // namespace

Action AddReport(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<ReportFlags>();
  app.add_option("run", flags->runs, "runs: ids below results/ or their beginnings, \"latest\", or folders")->required();
  app.add_option("--format", flags->formats, ReportFormatNames() + "; terminal by default")->delimiter(',');
  app.add_flag("--json", flags->json, "the same as --format json");
  app.add_option(
      "--write-to", flags->write_to,
      "write files into this folder (a folder a run for several runs): those of --format, or by default the page, the "
      "radar, Markdown, CSV and JSON besides printing the report");
  app.add_flag("--all", flags->all,
               "everything on the terminal instead of the first screen; with --write-to: every format, every chart, and the "
               "files of the Python implementation");
  app.add_option(
         "--compat", flags->compat,
         "the same requests by the definitions of these benchmark clients, side by side with ours: vllm, sglang, aiperf, "
         "guidellm, mlperf, or all; as terminal, html, markdown, csv or json")
      ->delimiter(',');
  app.add_flag("--save-detailed", flags->vllm.save_detailed,
               "with --format vllm: lengths, times, texts and errors of each request too");
  app.add_option("--percentile-metrics", flags->vllm.percentile_metrics,
                 "with --format vllm: of ttft, tpot, itl, e2el, client_queue_time; ttft,tpot,itl by default")
      ->delimiter(',');
  app.add_option("--metric-percentiles", flags->vllm.percentiles, "with --format vllm: 99 by default")->delimiter(',');
  app.add_option(
      "--paper-figures", flags->paper,
      "write the figures of MoE-CAP over all these runs into this folder: activated share, required bandwidth, radar");
  app.add_option("--tpot", flags->tpot_s, "with --paper-figures: seconds per token of the required bandwidth (default: 0.05)")
      ->check(CLI::PositiveNumber);
  app.add_option("--level", flags->level, "with --paper-figures: clients of the radar (default: 1)")
      ->check(CLI::PositiveNumber);
  app.footer(
      "Examples:\n  moecap report 20260131-120000-quickstart --json\n"
      "  moecap report 20260131-120000-quickstart --format html,svg --write-to out\n"
      "  moecap report latest --all\n"
      "  moecap report RUN RUN --format csv\n"
      "  moecap report latest --compat vllm,sglang\n"
      "  moecap report latest --format vllm > bench_serve.jsonl");
  return [flags] { return Report(*flags); };
}

}  // namespace moecap::app
