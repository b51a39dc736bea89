// moecap model: what a model is, and what its decode steps cost as the batch grows.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/cli.h"
#include "app/cli/model_flags.h"
#include "app/cli/model_svg.h"
#include "app/cli/output.h"
#include "base/json.h"
#include "base/table.h"
#include "base/units.h"
#include "hardware/catalogue.h"
#include "metrics/batch_curve.h"

namespace moecap::app {
namespace {

struct Flags {
  ModelFlags model;
  std::vector<int64_t> batches = {1, 2, 4, 8, 16, 32, 64, 128};
  int64_t context_tokens = 4096;
  double cv = routing::kDefaultPopularityCv;
  std::string device;
  double tpot_s = 0.1;  // the paper's target
  std::string svg;
  std::string bandwidth_svg;
  std::string hardware_map;
  bool json = false;
};

using Curve = std::vector<metrics::BatchPoint>;

// How many devices hold the weights and the KV cache of the largest batch, with a tenth of each kept free for activations.
struct Fit {
  hardware::Device device;
  double needed_bytes = 0;
  std::optional<int64_t> devices;  // null: the catalogue does not know its memory
};
constexpr double kUsableMemory = 0.9;

Fit FitOn(const hardware::Device& device, const model::ModelSpec& spec, const Flags& flags) {
  Fit fit{device, 0, std::nullopt};
  fit.needed_bytes =
      spec.WeightBytes() + static_cast<double>(flags.batches.back()) * spec.ResidentKvBytes(flags.context_tokens);
  if (device.memory_bytes)
    fit.devices = static_cast<int64_t>(std::ceil(fit.needed_bytes / (kUsableMemory * *device.memory_bytes)));
  return fit;
}

Json ToJson(const model::ModelSpec& spec, const Curve& curve, const std::optional<Fit>& fit, const Flags& flags) {
  Json params = Json::object(), bytes = Json::object(), batches = Json::array();
  const model::WeightSet by_class = spec.ByClass();
  for (const model::TensorClass c : model::kTensorClasses) {
    params[std::string(TensorClassName(c))] = by_class[c].params;
    bytes[std::string(TensorClassName(c))] = by_class[c].bytes;
  }
  for (const metrics::BatchPoint& point : curve) {
    batches.push_back({{"batch", point.batch},
                       {"distinct_experts", point.distinct_experts},
                       {"distinct_experts_uniform", point.distinct_experts_uniform},
                       {"activated_share", point.activated_share},
                       {"bytes_per_step", point.bytes_per_step},
                       {"kv_bytes_per_step", point.kv_bytes_per_step},
                       {"required_bandwidth_bytes_per_s", point.bytes_per_step / flags.tpot_s},
                       {"flops_per_token", point.flops_per_token}});
  }
  const metrics::PrefillCost prefill = metrics::CostOfPrefill(spec, std::max<int64_t>(1, flags.context_tokens), flags.cv);
  Json result = {{"id", spec.id},
                 {"model_type", spec.model_type},
                 {"weight_type", spec.weight_type},
                 {"total_params", spec.TotalParams()},
                 {"active_params", spec.ActiveParams()},
                 {"active_params_no_input_embedding", spec.ActiveParamsNoInputEmbedding()},
                 {"active_params_no_embeddings", spec.ActiveParamsNoEmbeddings()},
                 {"mtp_params", spec.mtp.Params()},
                 {"layers", spec.layers.size()},
                 {"moe_layers", spec.MoeLayers()},
                 {"experts", spec.Experts()},
                 {"top_k", spec.TopK()},
                 {"weight_bytes", spec.WeightBytes()},
                 {"kv_elements_per_token", spec.KvElementsPerToken()},
                 {"kv_bytes_at_context", spec.ResidentKvBytes(flags.context_tokens)},
                 {"state_elements_per_sequence", spec.StateElementsPerSequence()},
                 {"params_by_class", std::move(params)},
                 {"bytes_by_class", std::move(bytes)},
                 {"context_tokens", flags.context_tokens},
                 {"distinct_experts_source", "estimated"},
                 {"popularity_cv", flags.cv},
                 {"tpot_s", flags.tpot_s},
                 {"batches", std::move(batches)},
                 {"prefill", {{"tokens", prefill.tokens}, {"bytes", prefill.bytes}, {"flops", prefill.flops}}},
                 {"notes", spec.notes}};
  if (fit) {
    result["fit"] = {{"device", fit->device.id},
                     {"needed_bytes", fit->needed_bytes},
                     {"devices", fit->devices ? Json(*fit->devices) : Json(nullptr)}};
  }
  return result;
}

void PrintInventory(const model::ModelSpec& spec) {
  const model::WeightSet by_class = spec.ByClass();
  std::vector<std::vector<std::string>> rows;
  for (const model::TensorClass c : model::kTensorClasses) {
    if (by_class[c].params == 0) continue;
    const auto index = static_cast<size_t>(c);
    rows.push_back({std::string(TensorClassName(c)), FormatParams(by_class[c].params), FormatBytes(by_class[c].bytes),
                    FormatFixed(by_class[c].BitsPerWeight(), 2), spec.type_by_class[index]});
  }
  const std::vector<TableColumn> columns = {
      {"", "tensors", Align::kLeft, true}, {"", "parameters"}, {"", "bytes"}, {"", "bits/weight"}, {"", "type", Align::kLeft}};
  fmt::print("{}\n", RenderTable(columns, rows, TerminalTable()));
}

void PrintCurve(const Curve& curve, const Flags& flags) {
  std::vector<std::vector<std::string>> rows;
  for (const metrics::BatchPoint& point : curve) {
    rows.push_back({std::to_string(point.batch), "~" + FormatFixed(point.distinct_experts, 1),
                    FormatFixed(point.distinct_experts_uniform, 1), "~" + FormatPercent(point.activated_share, 1),
                    "~" + FormatBytes(point.bytes_per_step), FormatBytes(point.kv_bytes_per_step),
                    FormatSi(point.flops_per_token, "FLOP")});
  }
  const std::vector<TableColumn> columns = {
      {"", "batch", Align::kRight, true}, {"distinct experts", "skewed"}, {"distinct experts", "uniform"}, {"", "activated"},
      {"per decode step", "bytes"},       {"per decode step", "KV part"}, {"per token", "compute"}};
  PrintParagraph(fmt::format("Decoding with {} tokens of context each; ~ estimates distinct experts (Beta-binomial, CV {:g})",
                             flags.context_tokens, flags.cv));
  fmt::print("{}", RenderTable(columns, rows, TerminalTable()));
}

void Print(const model::ModelSpec& spec, const Curve& curve, const std::optional<Fit>& fit, const Flags& flags) {
  fmt::print("{} ({}), weights {}\n", spec.id, spec.model_type, spec.weight_type);
  PrintParagraph(fmt::format("  {} parameters ({}), {} active; {} without the input embedding, {} without both tables",
                             FormatParams(spec.TotalParams()), spec.TotalParams(), FormatParams(spec.ActiveParams()),
                             FormatParams(spec.ActiveParamsNoInputEmbedding()), FormatParams(spec.ActiveParamsNoEmbeddings())));
  if (spec.mtp_layers > 0) fmt::print("  besides {} in {} MTP layers\n", FormatParams(spec.mtp.Params()), spec.mtp_layers);
  if (spec.MoeLayers() > 0) {
    fmt::print("  {} layers, {} of them MoE with {} of {} experts a token\n", spec.layers.size(), spec.MoeLayers(), spec.TopK(),
               spec.Experts());
  } else {
    fmt::print("  {} layers, dense\n", spec.layers.size());
  }
  PrintParagraph(fmt::format("  {} of weights; KV cache {} elements a token ({}), {} at {} tokens",
                             FormatBytes(spec.WeightBytes()), FormatSignificant(spec.KvElementsPerToken(), 6), spec.kv_type,
                             FormatBytes(spec.ResidentKvBytes(flags.context_tokens)), flags.context_tokens));
  fmt::print("\n");
  PrintInventory(spec);
  PrintCurve(curve, flags);
  const metrics::PrefillCost prefill = metrics::CostOfPrefill(spec, std::max<int64_t>(1, flags.context_tokens), flags.cv);
  fmt::print("\nPrefill of {} tokens in one pass: ~{}, {}\n", prefill.tokens, FormatBytes(prefill.bytes),
             FormatSi(prefill.flops, "FLOP"));
  if (fit) {
    fmt::print("On {}: batch {} needs {}; {}\n", fit->device.name, flags.batches.back(), FormatBytes(fit->needed_bytes),
               fit->devices
                   ? fmt::format("{} device{} (a tenth of the memory kept free)", *fit->devices, *fit->devices == 1 ? "" : "s")
                   : std::string("its memory is not known"));
  }
  for (const std::string& note : spec.notes) PrintParagraph("note: " + note);
}

Status Model(const Flags& flags) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  for (const int64_t batch : flags.batches) {
    if (batch < 1) return BadInput(fmt::format("batch {} is not possible; use 1 or more", batch));
  }
  if (flags.context_tokens < 0) return BadInput("--context must be 0 or more tokens");
  if (!(flags.tpot_s > 0)) return BadInput("--tpot must be more than 0 seconds");
  if (!(flags.cv >= 0 && flags.cv <= 10)) return BadInput("--cv must be between 0 (uniform) and 10");
  const Curve curve = metrics::DecodeCurve(spec, flags.batches, {flags.context_tokens, flags.cv});
  std::optional<Fit> fit;
  if (!flags.device.empty()) {
    ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, hardware::Catalogue::Builtin());
    ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(flags.device));
    fit = FitOn(device, spec, flags);
  }
  const Curve uniform = metrics::DecodeCurve(spec, flags.batches, {flags.context_tokens, 0});
  RETURN_IF_ERROR(WriteModelPictures(
      spec, curve, uniform, {flags.svg, flags.bandwidth_svg, flags.hardware_map, flags.device, flags.tpot_s, flags.cv}));
  if (flags.json) {
    fmt::print("{}", DumpJsonPretty(ToJson(spec, curve, fit, flags)));
  } else {
    Print(spec, curve, fit, flags);
  }
  return {};
}

}  // namespace

Action AddModel(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<Flags>();
  AddModelArgument(app, flags->model);
  app.add_option("--batch", flags->batches, "batch sizes, e.g. 1,8,64")->delimiter(',');
  app.add_option("--context", flags->context_tokens, "tokens of context of each sequence");
  app.add_option("--cv", flags->cv, "skew of expert popularity for the estimate, 0 = uniform");
  app.add_option("--device", flags->device, "also say how many of this device of the catalogue are needed");
  app.add_option("--tpot", flags->tpot_s, "seconds per output token that the required bandwidth is for");
  app.add_option("--svg", flags->svg, "write the activated share against the batch size as SVG, from the estimate to uniform");
  app.add_option("--bandwidth-svg", flags->bandwidth_svg, "write the required bandwidth against the batch size as SVG");
  app.add_option("--hardware-map", flags->hardware_map,
                 "write the catalogue's bandwidth against power as SVG, with what this model needs; --device is named first");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap model Qwen/Qwen3-235B-A22B --precision fp8 --batch 1,8,64 --device h200");
  return [flags] { return Model(*flags); };
}

}  // namespace moecap::app
