// moecap plan apart: prefill and decode on pools of their own, or on one?
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/model_flags.h"
#include "app/cli/output.h"
#include "app/cli/plan_verbs.h"
#include "base/json.h"
#include "report/apart_document.h"

namespace moecap::app {
namespace {

struct ApartFlags {
  ModelFlags model;
  planner::QuestionText text;
  std::string devices, catalogue, system = "sglang";
  bool json = false, all = false;
};

// The keys of a plan's question that this one shares.
constexpr std::array<std::string_view, 7> kApartKeys = {"scenario", "input_tokens", "output_tokens", "prefix_hit",
                                                        "tpot",     "ttft",         "margin"};

Status RunApart(const ApartFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue devices, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(const cost::PriceBook prices, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  ASSIGN_OR_RETURN(const planner::Multipliers multipliers, planner::Multipliers::Builtin());
  ASSIGN_OR_RETURN(const planner::SystemSupport systems, planner::SystemSupport::Builtin());
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  ASSIGN_OR_RETURN(const planner::Question question, planner::MakeQuestion(flags.text));
  report::ApartAnswer answer{.model = spec.id};
  ASSIGN_OR_RETURN(answer.question.devices, planner::ParseDevices(flags.devices));
  answer.question.system = flags.system;
  answer.question.load = question.load;
  answer.question.targets = question.targets;
  answer.question.margin = question.margin;
  ASSIGN_OR_RETURN(const hardware::Device device, devices.FindDevice(answer.question.devices.id));
  answer.devices = fmt::format("{} x {}", answer.question.devices.count, device.name);
  answer.band = multipliers.BandOf(flags.system, device, false);
  ASSIGN_OR_RETURN(answer.apart, planner::JudgeApart(answer.question, spec, {devices, prices, multipliers, systems}));
  if (flags.json) {
    PrintText(DumpJsonPretty(report::ApartToJson(answer)));
  } else {
    PrintDocument(report::ApartDocument(answer), flags.all);
  }
  if (!answer.apart.Answered()) return Error{ErrorKind::kTargetMissed, "neither one pool nor two keep the targets at any rate"};
  return {};
}

}  // namespace

PlanVerb AddPlanApart(CLI::App& plan) {
  auto flags = std::make_shared<ApartFlags>();
  CLI::App* const app = plan.add_subcommand("apart", "prefill and decode on pools of their own, or on one: which serves more");
  app->add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app->add_option("--precision", flags->model.precision, "weights as served, instead of those stored");
  app->add_option("--kv", flags->model.kv, "layout of the KV cache (default: as stored)");
  app->add_option("--devices", flags->devices, "all of them, e.g. 16xh100-sxm")->required();
  app->add_option("--system", flags->system, "whose multipliers are taken: vllm, sglang (default) or trtllm")
      ->check(CLI::IsMember({"vllm", "sglang", "trtllm"}));
  app->add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  AddQuestionFlags(*app, kApartKeys, flags->text);
  app->add_flag("--all", flags->all, "everything, not only the first screen");
  app->add_flag("--json", flags->json, "print JSON");
  app->footer("Example:\n  moecap plan apart --model deepseek-ai/DeepSeek-V3 --devices 64xh200-sxm --scenario rag --tpot 30ms");
  return {app, [flags] { return RunApart(*flags); }};
}

}  // namespace moecap::app
