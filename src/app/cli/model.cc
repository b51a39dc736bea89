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
#include "metrics/device_memory.h"

namespace moecap::app {
namespace {

struct ModelViewFlags {
  ModelFlags model;
  std::vector<int64_t> batches = {1, 2, 4, 8, 16, 32, 64, 128};
  int64_t context_tokens = 4096;
  double cv = routing::kDefaultPopularityCv;
  std::string device;
  double tpot_s = 0.1;  // the paper's target
  std::string svg;
  std::string bandwidth_svg;
  std::string hardware_map;
  std::optional<int> tensor, expert, pipeline, data;
  int64_t pass_tokens = 8192;
  bool json = false;
};

// No model and no machine comes near; keeps every figure a number.
constexpr int64_t kMostContext = 1'000'000'000;
constexpr int64_t kMostBatch = 1'000'000;

using Curve = std::vector<metrics::BatchPoint>;

// How many devices hold the weights, towers included, and the KV cache of the largest batch, with a tenth of each kept free for
// activations.
struct Fit {
  hardware::Device device;
  double needed_bytes = 0;
  std::optional<int64_t> devices;  // null: the catalogue does not know its memory
};
constexpr double kUsableMemory = 0.9;

// What one device of the deployment that the flags describe holds; null without such a flag.
struct PerDevice {
  metrics::Deployment deployment;
  metrics::DeviceMemory memory;
};

Result<std::optional<PerDevice>> PerDeviceOf(const ModelViewFlags& flags, const model::ModelSpec& spec) {
  if (!flags.tensor && !flags.expert && !flags.pipeline && !flags.data) return std::optional<PerDevice>();
  PerDevice result;
  result.deployment = {flags.tensor.value_or(1), flags.expert.value_or(1), flags.pipeline.value_or(1), flags.data.value_or(1)};
  RETURN_IF_ERROR(metrics::Validate(result.deployment, spec));
  result.memory =
      metrics::MemoryOfDevice(spec, result.deployment, {flags.batches.back(), flags.context_tokens, flags.pass_tokens});
  return std::optional(std::move(result));
}

Json ToJson(const metrics::Range& range) { return {{"low", range.low}, {"high", range.high}}; }

Json ToJson(const PerDevice& device) {
  const metrics::DeviceMemory& memory = device.memory;
  return {{"tensor", device.deployment.tensor},
          {"expert", device.deployment.expert},
          {"pipeline", device.deployment.pipeline},
          {"data", device.deployment.data},
          {"devices", device.deployment.Devices()},
          {"stage", memory.stage},
          {"weight_bytes", memory.Weights()},
          {"sharded_weight_bytes", memory.sharded_weights},
          {"routed_expert_bytes", memory.routed_experts},
          {"replicated_weight_bytes", memory.replicated_weights},
          {"kv_bytes", memory.kv_cache},
          {"replicated_kv_bytes", memory.replicated_kv_cache},
          {"activation_bytes_estimated", ToJson(memory.activations)},
          {"workspace_bytes_estimated", ToJson(memory.workspace)},
          {"total_bytes", ToJson(memory.Total())},
          {"replicated", memory.replicated}};
}

Fit FitOn(const hardware::Device& device, const model::ModelSpec& spec, const ModelViewFlags& flags) {
  Fit fit{device, 0, std::nullopt};
  fit.needed_bytes =
      spec.ResidentBytes(false) + static_cast<double>(flags.batches.back()) * spec.ResidentKvBytes(flags.context_tokens);
  if (device.memory_bytes)
    fit.devices = static_cast<int64_t>(std::ceil(fit.needed_bytes / (kUsableMemory * *device.memory_bytes)));
  return fit;
}

// Where a model's tensors are all that is known of it, what they compute is null.
Json IfComputes(const model::ModelSpec& spec, Json value) { return spec.computes ? std::move(value) : Json(nullptr); }

Json BatchesToJson(const model::ModelSpec& spec, const Curve& curve, const ModelViewFlags& flags) {
  Json batches = Json::array();
  for (const metrics::BatchPoint& point : curve) {
    batches.push_back({{"batch", point.batch},
                       {"distinct_experts", point.distinct_experts},
                       {"distinct_experts_uniform", point.distinct_experts_uniform},
                       {"activated_share", point.activated_share},
                       {"bytes_per_step", IfComputes(spec, point.bytes_per_step)},
                       {"kv_bytes_per_step", IfComputes(spec, point.kv_bytes_per_step)},
                       {"required_bandwidth_bytes_per_s", IfComputes(spec, point.bytes_per_step / flags.tpot_s)},
                       {"flops_per_token", IfComputes(spec, point.flops_per_token)}});
  }
  return batches;
}

Json TowersToJson(const model::ModelSpec& spec) {
  Json towers = Json::array();
  for (const model::TowerSpec& tower : spec.towers) {
    const bool known = tower.params > 0;
    towers.push_back({{"name", tower.name},
                      {"params", known ? Json(tower.params) : Json(nullptr)},
                      {"bytes", known ? Json(tower.bytes) : Json(nullptr)},
                      {"source", tower.estimated ? "estimated" : "tensors"}});
  }
  return towers;
}

Json ExpertTensorsToJson(const model::ModelSpec& spec) {
  Json groups = Json::array();
  for (const model::TensorGroup& group : spec.expert_tensors) {
    groups.push_back({{"name", group.name},
                      {"type", group.type},
                      {"tensors", group.tensors},
                      {"params", group.params},
                      {"bytes", group.bytes}});
  }
  return groups;
}

Json ToJson(const model::ModelSpec& spec, const Curve& curve, const std::optional<Fit>& fit,
            const std::optional<PerDevice>& per_device, const ModelViewFlags& flags) {
  Json params = Json::object(), bytes = Json::object(), types = Json::object();
  const model::WeightSet by_class = spec.ByClass();
  for (const model::TensorClass c : model::kTensorClasses) {
    params[std::string(TensorClassName(c))] = by_class[c].params;
    bytes[std::string(TensorClassName(c))] = by_class[c].bytes;
    if (by_class[c].params > 0) types[std::string(TensorClassName(c))] = spec.type_by_class[static_cast<size_t>(c)];
  }
  const metrics::PrefillCost prefill = metrics::CostOfPrefill(spec, std::max<int64_t>(1, flags.context_tokens), flags.cv);
  Json result = {
      {"id", spec.id},
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
      {"weights_source", spec.weights_source},
      {"resident_bytes", spec.ResidentBytes()},
      {"towers", TowersToJson(spec)},
      {"kv_type", IfComputes(spec, spec.kv_type)},
      {"kv_elements_per_token", IfComputes(spec, spec.KvElementsPerToken())},
      {"kv_bytes_at_context", IfComputes(spec, spec.ResidentKvBytes(flags.context_tokens))},
      {"state_elements_per_sequence", IfComputes(spec, spec.StateElementsPerSequence())},
      {"params_by_class", std::move(params)},
      {"bytes_by_class", std::move(bytes)},
      {"type_by_class", std::move(types)},
      {"expert_tensors", ExpertTensorsToJson(spec)},
      {"context_tokens", flags.context_tokens},
      {"distinct_experts_source", "estimated"},
      {"popularity_cv", flags.cv},
      {"tpot_s", flags.tpot_s},
      {"batches", BatchesToJson(spec, curve, flags)},
      {"prefill", IfComputes(spec, {{"tokens", prefill.tokens}, {"bytes", prefill.bytes}, {"flops", prefill.flops}})},
      {"notes", spec.notes}};
  if (fit) {
    result["fit"] = {{"device", fit->device.id},
                     {"needed_bytes", fit->needed_bytes},
                     {"devices", fit->devices ? Json(*fit->devices) : Json(nullptr)}};
    if (per_device && fit->device.memory_bytes) {
      const metrics::Range total = per_device->memory.Total();
      const double memory = *fit->device.memory_bytes;
      result["fit"]["per_device_fits"] = total.high <= memory ? "yes" : total.low <= memory ? "perhaps" : "no";
    }
  }
  if (per_device) result["per_device"] = ToJson(*per_device);
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

void PrintCurve(const Curve& curve, const ModelViewFlags& flags) {
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

void PrintPerDevice(const PerDevice& device, const std::optional<Fit>& fit, const ModelViewFlags& flags) {
  const metrics::DeviceMemory& memory = device.memory;
  const metrics::Deployment& d = device.deployment;
  const auto range = [](const metrics::Range& r) { return fmt::format("~{} to {}", FormatBytes(r.low), FormatBytes(r.high)); };
  PrintParagraph(fmt::format(
      "Each of {} devices (tensor {}, expert {}, pipeline {}, data {}; the fullest is in stage {}) with {} sequences "
      "of {} tokens in all:",
      d.Devices(), d.tensor, d.expert, d.pipeline, d.data, memory.stage, flags.batches.back(), flags.context_tokens));
  const std::vector<std::vector<std::string>> rows = {{"weights, sharded", FormatBytes(memory.sharded_weights)},
                                                      {"routed experts", FormatBytes(memory.routed_experts)},
                                                      {"weights, replicated", FormatBytes(memory.replicated_weights)},
                                                      {"KV cache and state", FormatBytes(memory.kv_cache)},
                                                      {"  of it replicated", FormatBytes(memory.replicated_kv_cache)},
                                                      {"activations (estimate)", range(memory.activations)},
                                                      {"workspace (estimate)", range(memory.workspace)},
                                                      {"total", range(memory.Total())}};
  fmt::print("{}", RenderTable({{"", "on one device", Align::kLeft, true}, {"", "bytes"}}, rows, TerminalTable()));
  for (const std::string& part : memory.replicated) PrintParagraph("replicated: " + part);
  if (fit && fit->device.memory_bytes) {
    const metrics::Range total = memory.Total();
    const char* answer = total.high <= *fit->device.memory_bytes  ? "fits"
                         : total.low <= *fit->device.memory_bytes ? "may fit: it depends on activations and workspace"
                                                                  : "does not fit";
    PrintParagraph(fmt::format("{} with {}: {}", fit->device.name, FormatBytes(*fit->device.memory_bytes), answer));
  }
}

void Print(const model::ModelSpec& spec, const Curve& curve, const std::optional<Fit>& fit,
           const std::optional<PerDevice>& per_device, const ModelViewFlags& flags) {
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
  if (spec.computes) {
    PrintParagraph(fmt::format("  {} of weights; KV cache {} elements a token ({}), {} at {} tokens",
                               FormatBytes(spec.WeightBytes()), FormatSignificant(spec.KvElementsPerToken(), 6), spec.kv_type,
                               FormatBytes(spec.ResidentKvBytes(flags.context_tokens)), flags.context_tokens));
  } else {
    fmt::print("  {} of weights; KV cache -\n", FormatBytes(spec.WeightBytes()));
  }
  for (const model::TowerSpec& tower : spec.towers) {
    PrintParagraph(fmt::format("  besides a {} tower of {}{} that text tokens do not read", tower.name,
                               tower.params > 0 && tower.estimated ? "~" : "",
                               tower.params > 0 ? FormatBytes(tower.bytes) : "unknown size"));
  }
  fmt::print("\n");
  PrintInventory(spec);
  if (spec.computes) {
    PrintCurve(curve, flags);
    const metrics::PrefillCost prefill = metrics::CostOfPrefill(spec, std::max<int64_t>(1, flags.context_tokens), flags.cv);
    fmt::print("\nPrefill of {} tokens in one pass: ~{}, {}\n", prefill.tokens, FormatBytes(prefill.bytes),
               FormatSi(prefill.flops, "FLOP"));
  }
  if (fit) {
    fmt::print("On {}: batch {} needs {}; {}\n", fit->device.name, flags.batches.back(), FormatBytes(fit->needed_bytes),
               fit->devices
                   ? fmt::format("{} device{} (a tenth of the memory kept free)", *fit->devices, *fit->devices == 1 ? "" : "s")
                   : std::string("its memory is not known"));
  }
  if (per_device) PrintPerDevice(*per_device, fit, flags);
  for (const std::string& note : spec.notes) PrintParagraph("note: " + note);
}

Status CheckFlags(const ModelViewFlags& flags) {
  for (const int64_t batch : flags.batches) {
    if (batch < 1 || batch > kMostBatch)
      return BadInput(fmt::format("batch {} is not possible; use 1 to {}", batch, kMostBatch));
  }
  if (flags.context_tokens < 0) return BadInput("--context must be 0 or more tokens");
  if (flags.context_tokens > kMostContext)
    return BadInput(fmt::format("--context is more than any model's; at most {} tokens are possible", kMostContext));
  if (flags.pass_tokens < 1 || flags.pass_tokens > kMostContext) return BadInput("--pass-tokens must be 1 to 1000000000");
  if (!(flags.tpot_s > 0) || !std::isfinite(flags.tpot_s)) return BadInput("--tpot must be more than 0 seconds, and a number");
  if (!(flags.cv >= 0 && flags.cv <= 10)) return BadInput("--cv must be between 0 (uniform) and 10");
  return {};
}

Status Model(const ModelViewFlags& flags) {
  RETURN_IF_ERROR(CheckFlags(flags));
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model, true));
  ASSIGN_OR_RETURN(const std::optional<PerDevice> per_device, PerDeviceOf(flags, spec));
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
    fmt::print("{}", DumpJsonPretty(ToJson(spec, curve, fit, per_device, flags)));
  } else {
    Print(spec, curve, fit, per_device, flags);
  }
  return {};
}

}  // namespace

Action AddModel(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<ModelViewFlags>();
  AddModelArgument(app, flags->model);
  app.add_option("--batch", flags->batches, "batch sizes, e.g. 1,8,64")->delimiter(',');
  app.add_option("--context", flags->context_tokens, "tokens of context of each sequence");
  app.add_option("--cv", flags->cv, "skew of expert popularity for the estimate, 0 = uniform");
  app.add_option("--device", flags->device, "also say how many of this device of the catalogue are needed");
  app.add_option("--tp", flags->tensor, "also say what one device holds: ranks of tensor parallelism; devices = tp x pp x dp");
  app.add_option("--ep", flags->expert, "ranks that share one set of routed experts, of the tp x dp ranks");
  app.add_option("--pp", flags->pipeline, "pipeline stages");
  app.add_option("--dp", flags->data, "replicas, which share the sequences of the largest batch");
  app.add_option("--pass-tokens", flags->pass_tokens, "most new tokens of a pass, for the estimate of activations");
  app.add_option("--tpot", flags->tpot_s, "seconds per output token that the required bandwidth is for");
  app.add_option("--svg", flags->svg, "write the activated share against the batch size as SVG, from the estimate to uniform");
  app.add_option("--bandwidth-svg", flags->bandwidth_svg, "write the required bandwidth against the batch size as SVG");
  app.add_option("--hardware-map", flags->hardware_map,
                 "write the catalogue's bandwidth against power as SVG, with what this model needs; --device is named first");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap model Qwen/Qwen3-235B-A22B --precision fp8 --batch 1,8,64 --device h200 --tp 8 --ep 8");
  return [flags] { return Model(*flags); };
}

}  // namespace moecap::app
