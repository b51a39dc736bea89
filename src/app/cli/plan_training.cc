// moecap plan training: what a training step takes on a machine, and what of the peaks a measured one reached.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/model_flags.h"
#include "app/cli/numbers.h"
#include "app/cli/output.h"
#include "app/cli/plan_verbs.h"
#include "base/json.h"
#include "planner/question_file.h"
#include "report/training_document.h"

namespace moecap::app {
namespace {

struct TrainingFlags {
  ModelFlags model;
  std::string on, catalogue;
  std::vector<std::string> modules;  // that are computed again
  planner::TrainingSetup setup;
  std::optional<double> step_s, device_hours, tokens, usd_per_h;
  bool json = false, all = false;
};

// Of a device: given, the catalogue's rent, or not known.
std::optional<double> RentOf(const TrainingFlags& flags, const hardware::Device& device, std::string& source) {
  if (flags.usd_per_h) {
    source = fmt::format("at USD {:g} a device and hour", *flags.usd_per_h);
    return flags.usd_per_h;
  }
  if (!device.rent_usd_per_h.typical) return std::nullopt;
  source = fmt::format("rent of USD {:g} a device and hour, {}", *device.rent_usd_per_h.typical, device.date);
  return device.rent_usd_per_h.typical;
}

// Seconds of a step as it was measured; null where nothing was given.
Result<std::optional<double>> MeasuredStep(const TrainingFlags& flags, double devices) {
  if (flags.step_s && flags.device_hours) return BadInput("--step-s and --device-hours say the same: give one");
  if (flags.tokens && !flags.device_hours) return BadInput("--tokens is what --device-hours were spent on: give both");
  if (!flags.device_hours) return flags.step_s;
  if (!flags.tokens) return BadInput("--device-hours needs --tokens, which it was spent on");
  return std::optional(*flags.device_hours * 3600 / devices / *flags.tokens * flags.setup.tokens_per_step);
}

planner::SelectiveRecompute RecomputeOf(const std::vector<std::string>& modules) {
  const auto has = [&](const char* name) { return std::find(modules.begin(), modules.end(), name) != modules.end(); };
  return {has("layernorm"), has("mla_up_proj"), has("moe_act")};
}

Status RunTraining(const TrainingFlags& flags) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  if (!spec.computes) return BadInput(fmt::format("{}: only its weights are known, not what they compute", spec.id));
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(const cost::MachinePart part, planner::ParseDevices(flags.on));
  ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(part.id));
  ASSIGN_OR_RETURN(const planner::Multipliers multipliers, planner::Multipliers::Builtin());
  if (!device.bandwidth_bytes_per_s || !device.memory_bytes || !device.peaks.bf16)
    return BadInput(fmt::format("{}: bandwidth, memory or bf16 rate are not in the catalogue", device.name));
  report::TrainingAnswer answer{.model = spec.id, .devices = fmt::format("{} x {}", part.count, device.name)};
  answer.setup = flags.setup;
  answer.setup.recompute = RecomputeOf(flags.modules);
  metrics::Deployment& d = answer.setup.deployment;
  const int64_t replica = static_cast<int64_t>(d.tensor) * d.pipeline;
  if (part.count % replica != 0)
    return BadInput(fmt::format("{} devices cannot be cut into replicas of TP {} x PP {}", part.count, d.tensor, d.pipeline));
  d.data = static_cast<int>(part.count / replica);
  if (answer.setup.tokens_per_step < d.data) {
    return BadInput(fmt::format("--tokens-per-step {:g} are less than a token for each of {} replicas; give {} at least",
                                answer.setup.tokens_per_step, d.data, d.data));
  }
  if (answer.setup.matrix_type == "fp8" && !hardware::DensePeak(device, "fp8"))
    answer.notes.push_back(
        fmt::format("{} multiplies nothing in fp8: products are taken at its bf16 rate, weights kept in fp8.", device.name));
  RETURN_IF_ERROR(Validate(d, spec));
  const auto devices = static_cast<double>(part.count);
  answer.work = planner::WorkOfTraining(spec, answer.setup);
  answer.memory = planner::MemoryOfTraining(spec, answer.setup);
  answer.device_bytes = *device.memory_bytes;
  answer.least_step_s = planner::LeastStepSeconds(answer.work, answer.setup, device, devices);
  ASSIGN_OR_RETURN(answer.measured_step_s, MeasuredStep(flags, devices));
  if (!answer.measured_step_s)
    answer.time = planner::TimeOfTraining(spec, answer.setup, device, planner::FabricOf(device, catalogue),
                                          multipliers.Find("matrix_time")->value);
  answer.fast = planner::UtilizationOf(answer.work, device, devices, answer.ShortestStepS());
  answer.slow = planner::UtilizationOf(answer.work, device, devices, answer.LongestStepS());
  if (const auto rent = RentOf(flags, device, answer.usd_source)) answer.usd_per_h = *rent * devices;
  if (flags.json) {
    PrintText(DumpJsonPretty(report::TrainingToJson(answer)));
  } else {
    PrintDocument(report::TrainingDocument(answer), flags.all);
  }
  return {};
}

}  // namespace

PlanVerb AddPlanTraining(CLI::App& plan) {
  auto flags = std::make_shared<TrainingFlags>();
  CLI::App* const app =
      plan.add_subcommand("training", "what a training step takes, and what of the peaks a measured one reached");
  planner::TrainingSetup& setup = flags->setup;
  const auto positive = Within(1, 1e15);
  app->add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app->add_option("--on", flags->on, "devices: 2048xh800-sxm")->required();
  app->add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  app->add_option("--tp", setup.deployment.tensor, "tensor-parallel ranks (default: 1)")->check(CLI::Range(1, 1024));
  app->add_option("--ep", setup.deployment.expert, "ranks that share one set of experts (default: 1)")
      ->check(CLI::Range(1, 65536));
  app->add_option("--pp", setup.deployment.pipeline, "pipeline stages (default: 1)")->check(CLI::Range(1, 1024));
  app->add_option("--sequence", setup.sequence_tokens, "tokens of a sequence (default: 4096)")->check(positive);
  app->add_option("--tokens-per-step", setup.tokens_per_step, "of all replicas (default: 1048576)")->check(positive);
  app->add_option("--micro-batch", setup.tokens_per_micro_batch, "tokens of one replica at a time (default: 4096)")
      ->check(positive);
  app->add_option("--recomputed", setup.recomputed, "share of the forward pass that is computed again (default: 0)")
      ->check(Within(0, 1));
  app->add_option("--vp", setup.virtual_stages, "interleaved parts of the pipeline on each device (default: 1)")
      ->check(CLI::Range(1, 1024));
  app->add_option("--recompute", flags->modules,
                  "what is computed again, comma-separated: layernorm, mla_up_proj, moe_act (Megatron's --recompute-modules)")
      ->delimiter(',')
      ->check(CLI::IsMember({"layernorm", "mla_up_proj", "moe_act"}));
  app->add_option("--expert-activation-bytes", setup.expert_activation_bytes,
                  "of an element that experts receive, as kept (default: 2; fp8: 1)")
      ->check(Within(0.5, 4));
  app->add_option("--products", setup.matrix_type, "type of weights and products: bf16 (default) or fp8")
      ->check(CLI::IsMember({"bf16", "fp8"}));
  app->add_option("--state-bytes", setup.state_bytes, "of the optimiser for a parameter (default: 12, Adam in fp32)")
      ->check(Within(0, 64));
  app->add_option("--step-s", flags->step_s, "seconds of a step as measured: utilisation instead of a prediction")
      ->check(Within(1e-9, 1e9));
  app->add_option("--device-hours", flags->device_hours, "... or device hours, spent on --tokens")->check(positive);
  app->add_option("--tokens", flags->tokens, "that --device-hours were spent on")->check(positive);
  app->add_option("--usd-per-h", flags->usd_per_h, "of a device (default: the catalogue's rent)")->check(Within(0, 1e6));
  app->add_flag("--all", flags->all, "everything, not only the first screen");
  app->add_flag("--json", flags->json, "print JSON");
  app->footer(
      "Examples:\n"
      "  moecap plan training --model deepseek-ai/DeepSeek-V3 --on 2048xh800-sxm --pp 16 --ep 64 --products fp8 "
      "--tokens-per-step 62914560\n"
      "  moecap plan training --model deepseek-ai/DeepSeek-V3 --on 2048xh800-sxm --products fp8 --device-hours 2.664e6 "
      "--tokens 14.8e12");
  return {app, [flags] { return RunTraining(*flags); }};
}

}  // namespace moecap::app
