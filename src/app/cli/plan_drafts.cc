// moecap plan drafts: does speculative decoding pay on this model?
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/cli/catalogue_file.h"
#include "app/cli/model_flags.h"
#include "app/cli/numbers.h"
#include "app/cli/output.h"
#include "app/cli/plan_verbs.h"
#include "base/json.h"
#include "report/drafts_document.h"
#include "routing/estimate.h"
#include "trace/consecutive.h"

namespace moecap::app {
namespace {

struct DraftsFlags {
  ModelFlags model;
  std::string trace, device = "h100-sxm", catalogue;
  int most = 8;
  std::optional<double> bandwidth, flops;  // null = the device's
  planner::SpeculationSetting setting;
  bool json = false, all = false;
};

// Without a trace: tokens of one sequence are worth tokens^0.6 independent ones.
trace::ConsecutiveExperts EstimatedExperts(const model::ModelSpec& spec, int most) {
  trace::ConsecutiveExperts estimate;
  for (int tokens = 1; tokens <= most + 1; ++tokens) {
    const double worth = routing::EffectiveTokens(std::array{static_cast<double>(tokens)}, routing::kInSequenceExponent);
    std::vector<double>& layers = estimate.distinct.emplace_back();
    for (const model::LayerSpec& layer : spec.layers) {
      if (layer.ffn.moe())
        layers.push_back(routing::DistinctExpertsBetaBinomial(layer.ffn.experts, layer.ffn.ActiveExperts(), worth));
    }
  }
  for (const model::LayerSpec& layer : spec.layers) {
    if (layer.ffn.moe()) estimate.popularity.emplace_back(static_cast<size_t>(layer.ffn.experts), 1.0 / layer.ffn.experts);
  }
  return estimate;
}

Result<planner::PassCeilings> DraftCeilings(const DraftsFlags& flags, const model::ModelSpec& spec) {
  planner::PassCeilings ceilings = flags.setting.ceilings;
  ceilings.bytes_per_s = flags.bandwidth.value_or(0);
  ceilings.flops_per_s = flags.flops.value_or(0);
  if (flags.bandwidth && flags.flops) return ceilings;
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(flags.device));
  const auto peak = hardware::DensePeak(device, spec.compute_type.empty() ? "bf16" : spec.compute_type);
  if ((!device.bandwidth_bytes_per_s && !flags.bandwidth) || (!peak && !flags.flops))
    return BadInput(
        fmt::format("{}: its bandwidth or peak rate is not in the catalogue; give --bandwidth-bytes-per-s and "
                    "--flops-per-s",
                    device.name));
  if (!flags.bandwidth) ceilings.bytes_per_s = *device.bandwidth_bytes_per_s;
  if (!flags.flops) ceilings.flops_per_s = *peak;
  return ceilings;
}

Status RunDrafts(const DraftsFlags& flags) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  if (spec.MoeLayers() == 0 || !spec.computes)
    return BadInput(fmt::format("{} has no experts whose reads drafts could multiply", spec.id));
  report::DraftsAnswer answer{.model = spec.id, .setting = flags.setting};
  ASSIGN_OR_RETURN(answer.setting.ceilings, DraftCeilings(flags, spec));
  trace::ConsecutiveExperts experts;
  if (flags.trace.empty()) {
    experts = EstimatedExperts(spec, flags.most);
  } else {
    ASSIGN_OR_RETURN(const auto source, OpenTraceOf(flags.trace, spec));
    ASSIGN_OR_RETURN(experts, trace::CountConsecutive(*source, flags.most + 1));
    answer.windows = experts.windows;
    answer.decoded = experts.decoded;
  }
  answer.rows = planner::PredictSpeculation(spec, experts.distinct, experts.popularity, answer.setting);
  if (flags.json) {
    PrintText(DumpJsonPretty(report::DraftsToJson(answer)));
  } else {
    PrintDocument(report::DraftsDocument(answer), flags.all);
  }
  return {};
}

}  // namespace

PlanVerb AddPlanDrafts(CLI::App& plan) {
  auto flags = std::make_shared<DraftsFlags>();
  CLI::App* const app = plan.add_subcommand("drafts", "does speculative decoding pay: by length of the drafts and acceptance");
  app->add_option("trace", flags->trace, "of this model (moecap trace): its consecutive tokens; without one it is estimated");
  app->add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app->add_option("--precision", flags->model.precision, "weights as served, instead of those stored");
  app->add_option("--kv", flags->model.kv, "layout of the KV cache (default: as stored)");
  app->add_option("--device", flags->device, "of the catalogue (default: h100-sxm)");
  app->add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  app->add_option("--bandwidth-bytes-per-s", flags->bandwidth, "what memory reaches, instead of the device's peak")
      ->check(RateOfDevice());
  app->add_option("--flops-per-s", flags->flops, "what arithmetic reaches, instead of the device's peak")
      ->check(RateOfDevice());
  app->add_option("--pass-s", flags->setting.ceilings.pass_s, "seconds of each pass beside bytes and FLOPs (default: 0)")
      ->check(Within(0, 10));
  app->add_option("--acceptance", flags->setting.acceptance,
                  "chance of a drafted token, all before it accepted (default: 0.7, an assumption)")
      ->check(Within(0, 1));
  app->add_option("--draft-s", flags->setting.draft_s_per_token, "seconds to draft a token (default: 0, as of n-grams)")
      ->check(Within(0, 10));
  app->add_option("--most", flags->most, "longest draft (default: 8)")->check(CLI::Range(1, 64));
  app->add_option("--clients", flags->setting.sequences, "sequences that decode at once (default: 1)")
      ->check(CLI::Range(1, 100000));
  app->add_option("--context", flags->setting.context_tokens, "tokens of each in the KV cache (default: 1024)")
      ->check(CLI::Range(0, 100000000));
  app->add_flag("--all", flags->all, "everything, not only the first screen");
  app->add_flag("--json", flags->json, "print JSON");
  app->footer("Example:\n  moecap plan drafts routing.moetrace --model Qwen/Qwen3-30B-A3B --device h200-sxm --acceptance 0.6");
  return {app, [flags] { return RunDrafts(*flags); }};
}

}  // namespace moecap::app
