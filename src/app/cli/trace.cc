// moecap trace: expert-activation records of any origin: statistics, pictures, an activation sheet, caches.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/trace_cells.h"
#include "app/cli/trace_text.h"
#include "base/fs.h"
#include "base/json.h"
#include "model/open_model.h"
#include "trace/import.h"
#include "trace/recording.h"
#include "trace/summary_json.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

struct TraceFlags {
  std::vector<std::string> files;
  std::string model;
  std::string flavour;
  std::string cell;
  int ranks = 0, tensor = 0;
  std::string kind;
  std::string sheet;
  std::string write;
  std::string svg;
  std::string coverage_svg;
  bool cache = false;
  bool json = false;
};

void Print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

Json PhaseToJson(const trace::UpstreamPhase& phase) {
  return {{"passes", phase.passes},
          {"new_tokens", phase.new_tokens},
          {"latency_s", phase.latency_s},
          {"mean_distinct_experts", phase.mean_distinct_experts ? Json(*phase.mean_distinct_experts) : Json(nullptr)}};
}

// Bytes of one routed expert in each traced layer; empty when the model has no such layers.
std::vector<double> ExpertBytes(const model::ModelSpec& spec, const std::vector<int>& layers) {
  std::vector<double> bytes;
  for (const int number : layers) {
    if (number >= static_cast<int>(spec.layers.size()) || !spec.layers[static_cast<size_t>(number)].ffn.moe()) return {};
    const model::LayerSpec& layer = spec.layers[static_cast<size_t>(number)];
    bytes.push_back(layer.weights[model::TensorClass::kRoutedExpert].bytes / layer.ffn.experts);
  }
  return bytes;
}

Status Upstream(const TraceFlags& flags, const std::optional<model::ModelSpec>& spec) {
  if (!flags.write.empty() || !flags.sheet.empty() || !flags.svg.empty() || !flags.coverage_svg.empty() || flags.cache) {
    return BadInput(
        "records of MoE-CAP's recorder hold the mean number of experts per pass, not which ones: "
        "--write, --sheet, --svg, --coverage-svg and --cache have nothing to work with");
  }
  if (flags.files.size() > 1) return BadInput("records of MoE-CAP's recorder are read one file at a time");
  trace::UpstreamOptions options;
  ASSIGN_OR_RETURN(options.flavour, trace::UpstreamFlavourByName(flags.flavour));
  if (spec) {
    options.layers = static_cast<int>(spec->layers.size());
    options.moe_layers = spec->MoeLayers();
  }
  ASSIGN_OR_RETURN(const trace::UpstreamReport report,
                   trace::ReadUpstream(flags.files[0], options, [](const record::PassRecord&, bool) { return Status(); }));
  if (!flags.json) {
    Print(RenderUpstream(report, TerminalWidth(), WantsUnicode()));
    return {};
  }
  Print(DumpJsonPretty({{"schema", 1},
                        {"origin", fmt::format("moe-cap-{}", trace::Name(report.flavour))},
                        {"records", report.records},
                        {"devices", report.devices ? Json(*report.devices) : Json(nullptr)},
                        {"device", report.device.empty() ? Json(nullptr) : Json(report.device)},
                        {"phases",
                         {{"prefill", PhaseToJson(report.prefill)},
                          {"decode", PhaseToJson(report.decode)},
                          {"mixed", PhaseToJson(report.mixed_steps)}}},
                        {"notes", report.notes}}));
  return {};
}

bool IsUpstream(const std::string& file) {
  std::error_code code;
  if (fs::is_directory(file, code)) return false;
  const auto kind = trace::DetectKind(file);
  return kind.ok() && *kind == trace::ImportKind::kUpstream;
}

Status WriteFiles(const TraceFlags& flags, const trace::TraceSummary& summary) {
  if (const std::string reason = summary.NoSheetReason(); !flags.sheet.empty() && !reason.empty())
    return BadInput(fmt::format("--sheet: {}; a sheet of it would mislead every later estimate", reason));
  if (!flags.sheet.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.sheet, routing::ToJsonText(summary.Sheet())));
  if (!flags.svg.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.svg, DrawPopularity(summary)));
  if (flags.coverage_svg.empty()) return {};
  const std::string drawing = DrawCoverage(summary);
  if (drawing.empty())
    return BadInput("--coverage-svg needs the experts per token, which the trace does not hold; name the model with --model");
  return WriteFileAtomically(flags.coverage_svg, drawing);
}

Result<std::optional<trace::ImportKind>> KindOf(const TraceFlags& flags) {
  if (flags.kind.empty()) return std::optional<trace::ImportKind>();
  if (const auto kind = trace::ImportKindByName(flags.kind)) return kind;
  return BadInput(fmt::format("--import {}: known are {}", flags.kind, trace::ImportKindNames()));
}

Result<trace::TraceSummary> SummarizeSource(const TraceFlags& flags, trace::TraceSource& source) {
  std::optional<trace::MoetraceWriter> copy;
  if (!flags.write.empty()) {
    auto created = trace::MoetraceWriter::Create(flags.write, source.header());
    if (!created.ok()) return created.error();
    copy.emplace(std::move(created).value());
  }
  trace::SummarizeOptions options;
  options.cache = flags.cache;
  return trace::Summarize(source, options, copy ? &*copy : nullptr);
}

Status PrintSummary(const TraceFlags& flags, const trace::TraceSummary& summary, const std::optional<model::ModelSpec>& spec) {
  RETURN_IF_ERROR(WriteFiles(flags, summary));
  const std::vector<double> bytes = spec ? ExpertBytes(*spec, summary.header.layer_numbers) : std::vector<double>();
  Print(flags.json ? ToJsonText(summary, bytes) : RenderTrace(summary, bytes, TerminalWidth(), WantsUnicode()));
  return {};
}

// Cells of one run: one of them, or a table of all side by side. Their repetitions asked the same problems, so that no two of
// them are one recording.
Status Cells(const TraceFlags& flags, std::vector<TraceCell> cells, const std::optional<model::ModelSpec>& spec,
             const trace::ImportOptions& given) {
  if (!flags.cell.empty()) {
    ASSIGN_OR_RETURN(cells, ChooseCells(std::move(cells), flags.cell));
  }
  const bool files = !flags.write.empty() || !flags.sheet.empty() || !flags.svg.empty() || !flags.coverage_svg.empty();
  if (cells.size() > 1 && files) {
    return BadInput(fmt::format("{} holds {} cells, and files are written of one; name it with --cell, e.g. --cell \"{}\"",
                                flags.files[0], cells.size(), cells[0].Label()));
  }
  std::vector<LabelledTrace> traces;
  for (const TraceCell& cell : cells) {
    trace::ImportOptions options = given;
    options.cell = cell.record;
    ASSIGN_OR_RETURN(const auto source, trace::OpenTrace(cell.file, trace::ImportKind::kPasses, options));
    auto summary = SummarizeSource(flags, *source);
    if (!summary.ok()) return Annotate(cell.file.string(), summary.error());
    summary->header.share.cell = cell.Label();
    if (cells.size() == 1) return PrintSummary(flags, *summary, spec);
    traces.push_back({cell.Label(), *std::move(summary)});
  }
  if (flags.json) {
    Json list = Json::array();
    for (const LabelledTrace& trace : traces) {
      const std::vector<double> bytes = spec ? ExpertBytes(*spec, trace.summary.header.layer_numbers) : std::vector<double>();
      ASSIGN_OR_RETURN(Json summary, ParseJson(ToJsonText(trace.summary, bytes)));
      list.push_back(std::move(summary));
    }
    Print(DumpJsonPretty({{"schema", 1}, {"cells", std::move(list)}}));
  } else {
    Print(RenderCells(traces, TerminalWidth(), WantsUnicode()));
  }
  return {};
}

Status CheckFlags(const TraceFlags& flags) {
  if (flags.ranks < 0 || flags.tensor < 0) return BadInput("--ranks and --tp must be 1 or more");
  std::error_code code;
  for (const std::string& file : flags.files) {
    if (!flags.write.empty() && fs::equivalent(flags.write, file, code))
      return BadInput("--write names the trace that is read; choose another file");
  }
  return {};
}

Status Trace(const TraceFlags& flags) {
  RETURN_IF_ERROR(CheckFlags(flags));
  ASSIGN_OR_RETURN(const std::optional<trace::ImportKind> kind, KindOf(flags));
  std::optional<model::ModelSpec> spec;
  if (!flags.model.empty()) {
    ASSIGN_OR_RETURN(spec, model::OpenModel(flags.model));
    if (spec->MoeLayers() == 0) return BadInput(fmt::format("{} has no experts", flags.model));
  }
  trace::ImportOptions options = spec ? trace::OptionsFor(*spec) : trace::ImportOptions{};
  options.ranks = flags.ranks;
  options.tensor_ranks = flags.tensor;
  if (flags.files.size() == 1) {
    ASSIGN_OR_RETURN(std::vector<TraceCell> cells, TraceCells(flags.files[0]));
    if (!cells.empty()) return Cells(flags, std::move(cells), spec, options);
  }
  if (!flags.cell.empty()) return BadInput("--cell chooses among the cells of one stored run; there are none here");
  if (kind == trace::ImportKind::kUpstream || (!kind && IsUpstream(flags.files[0]))) return Upstream(flags, spec);
  const std::vector<fs::path> paths(flags.files.begin(), flags.files.end());
  ASSIGN_OR_RETURN(const auto source, trace::OpenRecording(paths, kind, options));
  auto summary = SummarizeSource(flags, *source);
  if (!summary.ok()) return Annotate(flags.files[0], summary.error());
  return PrintSummary(flags, *summary, spec);
}

}  // namespace

Action AddTrace(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<TraceFlags>();
  app.add_option("file", flags->files,
                 "a trace of a known format, a folder of one, the files of several ranks, or a stored run's folder")
      ->required();
  app.add_option("--model", flags->model,
                 "the model that was traced (id, config.json or .gguf): layers, top-k, bytes of an expert");
  app.add_option("--import", flags->kind, fmt::format("format, if not told by the file: {}", trace::ImportKindNames()));
  app.add_option("--ranks", flags->ranks,
                 "how many ranks recorded on the server, where the files do not tell; 1: they are all");
  app.add_option("--tp", flags->tensor, "tensor-parallel ranks that counted the same tokens in a sum over ranks; 1: none did");
  app.add_option("--cell", flags->cell, "of a stored run: SYSTEM, SYSTEM@LEVEL or SYSTEM@LEVEL#REPETITION");
  app.add_option("--flavour", flags->flavour, "of MoE-CAP's records: sglang or vllm, instead of what all of them tell")
      ->check(CLI::IsMember({"sglang", "vllm"}));
  app.add_option("--sheet", flags->sheet, "write the activation sheet (JSON) that later estimates use");
  app.add_option("--write", flags->write, "write the trace in moecap's own format (.moetrace)");
  app.add_flag("--cache", flags->cache, "what caches of experts would hit, by policy and capacity");
  app.add_option("--svg", flags->svg, "draw the heat map of layers and experts");
  app.add_option("--coverage-svg", flags->coverage_svg, "draw distinct experts against tokens, measured and estimated");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer(
      "Example:\n  moecap trace expert_distribution_recorder_1.pt --model Qwen/Qwen3-30B-A3B --cache --sheet "
      "sheet.json\n\nFormats: docs/trace.md");
  return [flags] { return Trace(*flags); };
}

}  // namespace moecap::app
