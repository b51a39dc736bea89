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
#include "app/cli/trace_text.h"
#include "base/fs.h"
#include "base/json.h"
#include "model/open_model.h"
#include "trace/import.h"
#include "trace/summary_json.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

struct Flags {
  std::string file;
  std::string model;
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

Status Upstream(const Flags& flags, const std::optional<model::ModelSpec>& spec) {
  if (!flags.write.empty() || !flags.sheet.empty() || !flags.svg.empty() || !flags.coverage_svg.empty() || flags.cache) {
    return BadInput(
        "records of MoE-CAP's recorder hold the mean number of experts per pass, not which ones: "
        "--write, --sheet, --svg, --coverage-svg and --cache have nothing to work with");
  }
  trace::UpstreamOptions options;
  if (spec) {
    options.layers = static_cast<int>(spec->layers.size());
    options.moe_layers = spec->MoeLayers();
  }
  ASSIGN_OR_RETURN(const trace::UpstreamReport report,
                   trace::ReadUpstream(flags.file, options, [](const record::PassRecord&, bool) { return Status(); }));
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

Status WriteFiles(const Flags& flags, const trace::TraceSummary& summary) {
  if (!flags.sheet.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.sheet, routing::ToJsonText(summary.Sheet())));
  if (!flags.svg.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.svg, DrawPopularity(summary)));
  if (flags.coverage_svg.empty()) return {};
  const std::string drawing = DrawCoverage(summary);
  if (drawing.empty())
    return BadInput("--coverage-svg needs the experts per token, which the trace does not hold; name the model with --model");
  return WriteFileAtomically(flags.coverage_svg, drawing);
}

Result<trace::ImportKind> KindOf(const Flags& flags) {
  if (flags.kind.empty()) return trace::DetectKind(flags.file);
  if (const auto kind = trace::ImportKindByName(flags.kind)) return *kind;
  return BadInput(
      fmt::format("--import {}: known are moetrace, passes, upstream, sglang, vllm, tensorrt and imatrix", flags.kind));
}

// passes.jsonl of a stored run may be named by the run's folder.
fs::path TraceFile(const std::string& given) {
  std::error_code code;
  const fs::path passes = fs::path(given) / "passes.jsonl";
  return fs::exists(passes, code) ? passes : fs::path(given);
}

Status Trace(Flags flags) {
  flags.file = TraceFile(flags.file).string();
  ASSIGN_OR_RETURN(const trace::ImportKind kind, KindOf(flags));
  std::optional<model::ModelSpec> spec;
  if (!flags.model.empty()) {
    ASSIGN_OR_RETURN(spec, model::OpenModel(flags.model));
    if (spec->MoeLayers() == 0) return BadInput(fmt::format("{} has no experts", flags.model));
  }
  if (kind == trace::ImportKind::kUpstream) return Upstream(flags, spec);
  std::error_code code;
  if (!flags.write.empty() && fs::equivalent(flags.write, flags.file, code))
    return BadInput("--write names the trace that is read; choose another file");
  ASSIGN_OR_RETURN(const auto source,
                   trace::OpenTrace(flags.file, kind, spec ? trace::OptionsFor(*spec) : trace::ImportOptions{}));
  std::optional<trace::MoetraceWriter> copy;
  if (!flags.write.empty()) {
    auto created = trace::MoetraceWriter::Create(flags.write, source->header());
    if (!created.ok()) return created.error();
    copy.emplace(std::move(created).value());
  }
  trace::SummarizeOptions options;
  options.cache = flags.cache;
  auto summary = trace::Summarize(*source, options, copy ? &*copy : nullptr);
  if (!summary.ok()) return Annotate(flags.file, summary.error());
  RETURN_IF_ERROR(WriteFiles(flags, *summary));
  const std::vector<double> bytes = spec ? ExpertBytes(*spec, summary->header.layer_numbers) : std::vector<double>();
  Print(flags.json ? ToJsonText(*summary, bytes) : RenderTrace(*summary, bytes, TerminalWidth(), WantsUnicode()));
  return {};
}

}  // namespace

Action AddTrace(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "a trace of a known format, or a stored run's folder")->required();
  app.add_option("--model", flags->model,
                 "the model that was traced (id, config.json or .gguf): layers, top-k, bytes of an expert");
  app.add_option("--import", flags->kind,
                 "format, if not told by the file: moetrace, passes, upstream, sglang, vllm, tensorrt, imatrix");
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
