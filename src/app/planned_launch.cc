#include "app/planned_launch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "app/launch_lines.h"
#include "model/json_at.h"
#include "planner/candidate.h"

namespace moecap::app {
namespace {

using metrics::Deployment;
using model::LowerCase;

// One name for each plain type, in lower case.
std::string TypeName(std::string_view type) {
  const std::string name = LowerCase(type);
  if (name == "bfloat16") return "bf16";
  if (name == "fp16" || name == "float16") return "f16";
  if (name == "fp32" || name == "float32") return "f32";
  return name;
}

bool SameType(std::string_view a, std::string_view b) {
  const auto sixteen = [](std::string_view type) { return type == "bf16" || type == "f16"; };
  return a == b || (sixteen(a) && sixteen(b));
}

// What is to be started.
struct PlannedWay {
  const planner::Plan& plan;
  const planner::Candidate& best;
  const planner::Variant& variant;
  PlannedCheckpoint checkpoint;

  const Deployment& layout() const { return best.deployment; }
  const planner::Load& load() const { return plan.question.load; }
  std::string Type() const { return TypeName(variant.original ? variant.spec.weight_type : variant.label); }
  bool AsStored() const { return SameType(Type(), TypeName(checkpoint.weight_type)); }
  bool IsGguf() const { return checkpoint.path.ends_with(".gguf"); }
  std::string Model() const { return checkpoint.path.empty() ? plan.model : checkpoint.path; }
  // Of one replica.
  int Running() const { return static_cast<int>(planner::PlannedRunning(best, load())); }
  // Nodes that the devices of the line are on.
  int64_t Nodes() const {
    const int64_t of_node = std::max<int64_t>(1, best.count / best.nodes);
    return (layout().StepDevices() + of_node - 1) / of_node;
  }
};

// The line as it grows: what the system's row makes of `options`, then `flags`; `file` at the end of its file; then comments.
struct PlannedLine {
  LaunchOptions options;
  std::vector<std::string> flags;
  std::string file;
  std::vector<std::string> comments;
};

std::string Joined(const std::vector<std::pair<std::string_view, int64_t>>& sizes) {
  std::string flags;
  for (const auto& [flag, size] : sizes) {
    if (size > 1) flags += fmt::format("{}{} {}", flags.empty() ? "" : " ", flag, size);
  }
  return flags;
}

// Servers with paged caches: twice the mean, or three deviations more than it, so that longer requests are served, too; no more
// than the model takes and than the memory of a replica holds, without which a server does not start.
int PagedContext(const PlannedWay& way) {
  const double mean = way.load().input_tokens + way.load().output_tokens;
  const double held = std::floor(way.best.room * way.load().MeanContext());
  const planner::Load& load = way.load();
  const double spread = 3 * (load.input_tokens * load.input_cv + load.output_tokens * load.output_cv);
  const double context = std::clamp(held, mean, mean + std::max(mean, spread));
  const auto most = way.variant.spec.max_context;
  return static_cast<int>(most ? std::min(context, static_cast<double>(*most)) : context);
}

using KvNames = std::vector<std::pair<std::string_view, std::string_view>>;  // a plan's name, the system's

// The system's name of the planned type; "" = as the checkpoint asks, or with a comment where the system has none.
std::string KvName(const PlannedWay& way, const KvNames& names, PlannedLine& line) {
  const std::string planned = TypeName(way.variant.spec.kv_type);
  if (SameType(planned, TypeName(way.checkpoint.kv_type))) return "";
  const auto found = std::ranges::find(names, planned, &KvNames::value_type::first);
  if (found != names.end()) return std::string(found->second);
  line.comments.push_back(fmt::format("planned with a KV cache in {}, for which {} has no setting", planned, way.best.system));
  return "";
}

// Weights that the checkpoint does not have: of those the line can name nothing but what they must be.
void NeedCheckpoint(const PlannedWay& way, std::string_view extension, std::string_view hint, PlannedLine& line) {
  line.options.model = fmt::format("MODEL-{}{}", way.Type(), extension);
  line.comments.push_back(fmt::format("needs {} {} {}{}: {} stands for it", way.plan.model,
                                      extension.empty() ? "as a checkpoint in" : "as a GGUF file in", way.Type(), hint,
                                      line.options.model));
}

// vLLM and SGLang turn 16 bits into fp8 while they load them, on devices that they have kernels for.
bool QuantisesOnLoad(const PlannedWay& way) {
  const std::string &system = way.best.system, &vendor = way.best.device->vendor;
  return (system == "vllm" || system == "sglang") && (vendor == "NVIDIA" || vendor == "AMD") && way.Type() == "fp8" &&
         planner::WeightKind(way.checkpoint.weight_type) == "plain";
}

// Of systems that serve the repositories and folders of a config.json with safetensors.
void SetModel(const PlannedWay& way, PlannedLine& line) {
  line.options.model = way.Model();
  if (!way.IsGguf() && way.AsStored()) return;
  if (!way.IsGguf() && QuantisesOnLoad(way)) {
    line.flags.emplace_back("--quantization fp8");
    return;
  }
  NeedCheckpoint(way, "", way.best.system == "trtllm" ? " (NVIDIA ModelOpt writes one)" : "", line);
}

void NameNodes(const PlannedWay& way, std::string_view how, PlannedLine& line) {
  if (way.Nodes() > 1) line.comments.push_back(fmt::format("it takes {} nodes: {}", way.Nodes(), how));
}

void NameDrafts(const PlannedWay& way, std::string_view how, PlannedLine& line) {
  if (way.load().drafted_tokens > 0)
    line.comments.push_back(
        fmt::format("drafts of {:g} tokens are planned and not configured here: {}", way.load().drafted_tokens, how));
}

void PlanVllm(const PlannedWay& way, PlannedLine& line) {
  const Deployment& d = way.layout();
  SetModel(way, line);
  line.options.batch = way.Running();  // of each rank of data parallelism
  line.options.context = PagedContext(way);
  line.options.layout = Joined({{"--tensor-parallel-size", d.tensor},
                                {"--pipeline-parallel-size", d.pipeline},
                                {"--data-parallel-size", d.StepReplicas()}});
  // With it experts are spread over tensor x data ranks, without by tensors.
  if (d.expert > 1) line.options.layout += " --enable-expert-parallel";
  if (way.load().prefix_hit > 0) line.flags.emplace_back("--enable-prefix-caching");
  const KvNames names = {{"bf16", "bfloat16"},
                         {"f16", "bfloat16"},
                         {"fp8", "fp8"},
                         {"fp8_e4m3", "fp8_e4m3"},
                         {"fp8_e5m2", "fp8_e5m2"},
                         {"fp8_inc", "fp8_inc"},
                         {"fp8_ds_mla", "fp8_ds_mla"},
                         {"fp8_per_token_head", "fp8_per_token_head"},
                         {"int8_per_token_head", "int8_per_token_head"},
                         {"nvfp4", "nvfp4"}};
  if (const std::string kv = KvName(way, names, line); !kv.empty()) line.flags.push_back("--kv-cache-dtype " + kv);
  NameNodes(
      way,
      fmt::format("the same line on each, with --nnodes {} --node-rank R --master-addr ADDRESS, and --headless on all but "
                  "the first",
                  way.Nodes()),
      line);
  NameDrafts(way, "--speculative-config", line);
}

// SGLang's rows; its tensor parallelism counts all ranks, of which attention is spread over those of one replica.
void PlanSglangRanks(const PlannedWay& way, PlannedLine& line) {
  const Deployment& d = way.layout();
  line.options.batch = way.Running() * d.StepReplicas();  // of the whole server
  line.options.context = PagedContext(way);
  line.options.layout = Joined({{"--tp-size", int64_t{d.tensor} * d.StepReplicas()},
                                {"--attn-dp-size", d.StepReplicas()},
                                {"--ep-size", d.expert},
                                {"--pp-size", d.pipeline}});
  const KvNames names = {{"bf16", "bf16"},         {"f16", "bf16"},          {"fp8", "fp8_e4m3"},
                         {"fp8_e4m3", "fp8_e4m3"}, {"fp8_e5m2", "fp8_e5m2"}, {"fp8_ds_mla", "fp8_e4m3"},
                         {"nvfp4", "nvfp4"}};
  if (const std::string kv = KvName(way, names, line); !kv.empty()) line.flags.push_back("--kv-cache-dtype " + kv);
  // Of a hybrid model one state a request instead of several for the cache of prefixes, or room for several.
  if (way.best.state_ratio > 0 && way.Running() > way.best.default_running) {
    line.flags.push_back(way.load().prefix_hit > 0 ? fmt::format("--mamba-full-memory-ratio {:.3g}", way.best.state_ratio)
                                                   : "--disable-radix-cache");
  }
  NameNodes(way,
            fmt::format("the same line on each, with --nnodes {} --node-rank R --dist-init-addr ADDRESS:PORT", way.Nodes()),
            line);
  NameDrafts(way, "--speculative-algorithm, --speculative-num-draft-tokens", line);
}

void PlanSglang(const PlannedWay& way, PlannedLine& line) {
  SetModel(way, line);
  PlanSglangRanks(way, line);
}

// kt-kernel reads the experts of such checkpoints as they are, but for int8, which it converts, and GGUF.
std::string KtMethodOf(const std::string& kind) {
  const std::vector<std::pair<std::string_view, std::string_view>> methods = {
      {"fp8", "FP8"}, {"int4", "RAWINT4"}, {"int8", "AMXINT8"}, {"mxfp4", "MXFP4"}, {"gguf", "LLAMAFILE"}};
  const auto found = std::ranges::find(methods, kind, &std::pair<std::string_view, std::string_view>::first);
  return std::string(found == methods.end() ? "BF16" : found->second);
}

void PlanKTransformers(const PlannedWay& way, PlannedLine& line) {
  const std::string kind = planner::WeightKind(way.Type());
  line.options.kt_method = KtMethodOf(kind);
  line.options.gpu_experts = static_cast<int>(way.best.offload.device_share * way.variant.spec.Experts() + 1e-9);
  if (kind == "gguf") {
    if (!way.IsGguf()) line.options.model = way.Model();
    line.comments.push_back(fmt::format(
        "WEIGHTS: a folder with the model as GGUF in {}, for the processor; what the GPUs hold stays as {} stores it: if that "
        "does not fit, lower --kt-num-gpu-experts",
        way.Type(), line.options.model));
  } else {
    SetModel(way, line);
    line.comments.push_back(kind == "int8" ? "WEIGHTS: the experts converted to int8 by kt-kernel, for the processor"
                                           : fmt::format("WEIGHTS: the folder of the checkpoint in {}", way.Type()));
  }
  PlanSglangRanks(way, line);
}

// Its data-parallel attention makes each rank a replica: there is no tensor parallelism inside of one.
void PlanTensorRtLlm(const PlannedWay& way, PlannedLine& line) {
  const Deployment& d = way.layout();
  const int replicas = d.StepReplicas();
  SetModel(way, line);
  line.options.batch = way.Running();  // of each rank of data-parallel attention
  line.options.context = PagedContext(way);
  line.options.layout = fmt::format("--tp_size {} --ep_size {} --pp_size {}", d.tensor * replicas, d.expert, d.pipeline);
  line.options.reuse_prefixes = way.load().prefix_hit > 0;
  const KvNames names = {{"fp8", "fp8"}, {"fp8_e4m3", "fp8"}, {"nvfp4", "nvfp4"}};
  line.options.kv_type = KvName(way, names, line);
  if (replicas > 1) line.file = "enable_attention_dp: true\n";
  NameNodes(way, fmt::format("trtllm-llmapi-launch before the command, as {} MPI ranks (srun or mpirun)", d.StepDevices()),
            line);
  NameDrafts(way, "speculative_config in trtllm.yaml", line);
}

// llama.cpp keeps experts by whole layers, the first ones in host memory, and counts layers without experts, too.
int LayersInHostMemory(const model::ModelSpec& spec, double device_share) {
  constexpr double kWhole = 1e-9;  // a share of whole layers
  auto left = static_cast<int>(std::ceil((1 - device_share) * spec.MoeLayers() - kWhole));
  int layers = 0;
  for (auto layer = spec.layers.begin(); layer != spec.layers.end() && left > 0; ++layer, ++layers)
    left -= layer->ffn.moe() ? 1 : 0;
  return layers;
}

// Layers go to GPUs by their number, whether their experts do or not: the first takes all those without. The head is one more
// layer, of the last.
std::string SplitOf(int layers, int without, int64_t gpus) {
  std::vector<int64_t> split;
  for (int64_t i = 0; i < gpus; ++i) split.push_back((layers - without) * (i + 1) / gpus - (layers - without) * i / gpus);
  split.front() += without;
  ++split.back();
  return fmt::format("{}", fmt::join(split, ","));
}

void PlanLlamaServer(const PlannedWay& way, PlannedLine& line) {
  const bool processor = way.best.device->device_class == "cpu";
  const int64_t gpus = way.layout().StepDevices();
  line.options.gpus = processor ? 0 : 1;  // it takes all that it sees
  line.options.model = way.Model();
  if (!way.AsStored() || !way.IsGguf()) {
    const bool int4 = planner::WeightKind(way.Type()) == "int4";
    NeedCheckpoint(way, ".gguf", int4 ? " (Q4_0 and IQ4_XS come near)" : "", line);
  }
  line.options.batch = way.Running();
  line.options.context = static_cast<int>(way.load().input_tokens + way.load().output_tokens);
  if (way.best.Offloaded()) {
    const model::ModelSpec& spec = way.variant.spec;
    const int layers = LayersInHostMemory(spec, way.best.offload.device_share);
    line.flags.push_back(fmt::format("--n-cpu-moe {}", layers));
    if (gpus > 1) line.flags.push_back("-ts " + SplitOf(static_cast<int>(spec.layers.size()), layers, gpus));
    if (way.best.offload.residence == planner::Residence::kSsd)
      line.comments.emplace_back(
          "more experts than host memory holds: the file stays mapped, and what is missing comes from it");
  }
  const KvNames names = {{"f32", "f32"},   {"f16", "f16"},   {"bf16", "bf16"}, {"q8_0", "q8_0"},    {"q5_1", "q5_1"},
                         {"q5_0", "q5_0"}, {"q4_1", "q4_1"}, {"q4_0", "q4_0"}, {"iq4_nl", "iq4_nl"}};
  if (const std::string kv = KvName(way, names, line); !kv.empty()) line.flags.push_back(fmt::format("-ctk {0} -ctv {0}", kv));
  line.comments.push_back(
      fmt::format("a slot holds {} tokens, the mean of a request: for longer ones raise -c ({} slots x tokens)",
                  line.options.context, line.options.batch));
  NameNodes(way, "this line reaches those of one", line);
  NameDrafts(way, "-md, --spec-draft-n-max", line);
}

void PlanMoeInfinity(const PlannedWay& way, PlannedLine& line) {
  SetModel(way, line);
  const double experts = way.best.memory.routed_bytes, memory = way.best.device->memory_bytes.value_or(0);
  // Hundredths, rounded down; a cache of nothing would hold no expert to compute with.
  if (memory > 0) line.options.device_memory_ratio = std::max(0.01, std::floor(100 * experts / memory) / 100);
  KvName(way, {}, line);
  NameDrafts(way, "it has none", line);
}

using PlanLine = void (*)(const PlannedWay& way, PlannedLine& line);

// Systems that a plan names (planner::SystemsOf).
PlanLine PlanLineOf(std::string_view system) {
  constexpr std::array<std::pair<std::string_view, PlanLine>, 6> kSystems = {{{"vllm", PlanVllm},
                                                                              {"sglang", PlanSglang},
                                                                              {"trtllm", PlanTensorRtLlm},
                                                                              {"llama-server", PlanLlamaServer},
                                                                              {"ktransformers", PlanKTransformers},
                                                                              {"moe-infinity", PlanMoeInfinity}}};
  const auto* const found = std::ranges::find(kSystems, system, &std::pair<std::string_view, PlanLine>::first);
  return found == kSystems.end() ? nullptr : found->second;
}

std::string LayoutComments(const Deployment& d) {
  const std::string text =
      fmt::format("\n# planned: tensor {}, expert {}, pipeline {}, data {}", d.tensor, d.expert, d.pipeline, d.data);
  const int64_t lines = d.Devices() / d.StepDevices();
  if (lines == 1) return text;
  const std::string started = d.StepReplicas() == 1 ? fmt::format("1 of {} replicas", lines)
                                                    : fmt::format("1 of {} groups of {} replicas", lines, d.StepReplicas());
  const std::string devices = d.StepDevices() == 1 ? "a device" : fmt::format("{} devices", d.StepDevices());
  return text +
         fmt::format("\n# starts {}: it takes {} such lines, each with {} and a port of its own", started, lines, devices);
}

}  // namespace

std::string LaunchOf(const planner::Plan& plan, const PlannedCheckpoint& checkpoint) {
  const planner::Candidate* const best = plan.Best();
  const PlanLine plan_line = best ? PlanLineOf(best->system) : nullptr;
  if (!plan_line) return "";
  PlannedWay way{plan, *best, plan.search.variants[best->variant], checkpoint};
  const model::ModelSpec& first = plan.search.variants.front().spec;
  if (way.checkpoint.weight_type.empty()) way.checkpoint.weight_type = first.weight_type;
  if (way.checkpoint.kv_type.empty()) way.checkpoint.kv_type = first.kv_type;
  PlannedLine planned;
  plan_line(way, planned);
  const Result<LaunchLine> line = LaunchLineOf(best->system, planned.options);
  if (!line.ok()) return "";
  std::string text =
      line->file_name.empty() ? "" : fmt::format("cat > {} <<'END'\n{}{}END\n", line->file_name, line->file_text, planned.file);
  text += line->command;
  for (const std::string& flag : planned.flags) text += " " + flag;
  text += LayoutComments(way.layout());
  for (const std::string& comment : planned.comments) text += "\n# " + comment;
  return text;
}

}  // namespace moecap::app
