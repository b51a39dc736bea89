// moecap plan load: what a token costs at a given load.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/model_flags.h"
#include "app/cli/numbers.h"
#include "app/cli/output.h"
#include "app/cli/plan_verbs.h"
#include "base/fs.h"
#include "base/json.h"
#include "report/load_cost_document.h"

namespace moecap::app {
namespace {

struct LoadCostFlags {
  ModelFlags model;
  planner::QuestionText text;
  std::string devices, catalogue, prices, write_to;
  planner::LoadCostQuestion question;
  bool json = false, all = false;
};

Status RunLoadCost(const LoadCostFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue devices, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(cost::PriceBook prices, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  if (!flags.prices.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.prices));
    ASSIGN_OR_RETURN(prices, prices.With(text, devices));
  }
  ASSIGN_OR_RETURN(const planner::Multipliers multipliers, planner::Multipliers::Builtin());
  ASSIGN_OR_RETURN(const planner::SystemSupport systems, planner::SystemSupport::Builtin());
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  ASSIGN_OR_RETURN(const planner::Question question, planner::MakeQuestion(flags.text));
  report::LoadCostAnswer answer{.model = spec.id, .question = flags.question};
  ASSIGN_OR_RETURN(answer.question.devices, planner::ParseDevices(flags.devices));
  answer.question.load = question.load;
  answer.question.targets = question.targets;
  answer.question.margin = question.margin;
  answer.question.launch = question.launch;
  answer.question.max_running = question.max_running;
  ASSIGN_OR_RETURN(const hardware::Device device, devices.FindDevice(answer.question.devices.id));
  answer.devices = fmt::format("{} x {}", answer.question.devices.count, device.name);
  ASSIGN_OR_RETURN(answer.cost, planner::CostOfLoad(answer.question, spec, {devices, prices, multipliers, systems}));
  const report::Document document = report::LoadCostDocument(answer);
  if (!flags.write_to.empty())
    RETURN_IF_ERROR(WriteFiles(ReportFiles(document, ReportFormat::kHtml, {.all = true}), flags.write_to));
  if (flags.json) {
    PrintText(DumpJsonPretty(report::LoadCostToJson(answer)));
  } else {
    PrintDocument(document, flags.all);
  }
  return {};
}

}  // namespace

PlanVerb AddPlanLoad(CLI::App& plan) {
  auto flags = std::make_shared<LoadCostFlags>();
  CLI::App* const app =
      plan.add_subcommand("load", "what a token costs at a given load: USD and J, rented and owned, idle time paid for");
  app->add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app->add_option("--precision", flags->model.precision, "weights as served, instead of those stored");
  app->add_option("--kv", flags->model.kv, "layout of the KV cache (default: as stored)");
  app->add_option("--devices", flags->devices, "that serve one replica, e.g. 1xh100-sxm")->required();
  app->add_option("--system", flags->question.system,
                  "whose multipliers are taken: vllm (default), sglang, trtllm or llama-server")
      ->check(CLI::IsMember({"vllm", "sglang", "trtllm", "llama-server"}));
  app->add_option("--rates", flags->question.rates, "requests/s, as 1,5,25 (default: from a 64th of saturation to saturation)")
      ->delimiter(',')
      ->check(Within(1e-9, 1e9));
  app->add_option("--usd-per-h", flags->question.usd_per_h, "what all devices cost an hour, instead of the catalogue's prices")
      ->check(Within(0, 1e6));
  app->add_option("--idle-power", flags->question.idle_power_share,
                  "power of idle time, a share of that under load (default: 0.3, an assumption)")
      ->check(Within(0, 1));
  app->add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  app->add_option("--prices", flags->prices, "your own price list, laid over the built-in one");
  constexpr std::array<std::string_view, 12> kKeys = {"scenario",  "input_tokens", "output_tokens", "input_cv",
                                                      "output_cv", "prefix_hit",   "tpot",          "ttft",
                                                      "e2e",       "margin",       "launch",        "max_running"};
  AddQuestionFlags(*app, kKeys, flags->text);
  app->add_option("--write-to", flags->write_to, "also write report.html, with the curve, into this folder");
  app->add_flag("--all", flags->all, "everything, not only the first screen");
  app->add_flag("--json", flags->json, "print JSON");
  app->footer(
      "Example:\n  moecap plan load --model Qwen/Qwen3-30B-A3B --devices 1xh100-sxm --input 512 --output 256 --tpot 30ms");
  return {app, [flags] { return RunLoadCost(*flags); }};
}

}  // namespace moecap::app
