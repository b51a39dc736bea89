// moecap plan devices: which devices of all classes of deployment suffice for a model, from batch 1 on.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/model_flags.h"
#include "app/cli/output.h"
#include "app/cli/plan_verbs.h"
#include "base/json.h"
#include "report/suffice_document.h"

namespace moecap::app {
namespace {

struct DevicesFlags {
  ModelFlags model;
  planner::QuestionText text;
  std::string catalogue, write_to;
  std::vector<int64_t> batches = {1, 4, 16, 64};
  int64_t context_tokens = 4096;
  bool json = false, all = false;
};

Status RunDevices(const DevicesFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  if (!spec.computes) return BadInput(fmt::format("{}: only its weights are known, not what a step reads", spec.id));
  planner::QuestionText text = flags.text;
  if (text.Get("tpot").empty() && text.Get("tokens_per_s").empty()) text.Set("tpot", "100ms");
  ASSIGN_OR_RETURN(const planner::Question question, planner::MakeQuestion(text));
  report::SufficeAnswer answer{.model = spec.id, .context_tokens = flags.context_tokens};
  answer.tpot_s = question.targets.tpot_s.value_or(answer.tpot_s);
  std::vector<int64_t> batches = flags.batches;
  std::sort(batches.begin(), batches.end());
  answer.needs = planner::NeedsOf(spec, batches, flags.context_tokens, answer.tpot_s);
  answer.classes = planner::WhichSuffice(catalogue, answer.needs);
  answer.weight_bytes = spec.WeightBytes();
  const report::Document document = report::SufficeDocument(answer, catalogue);
  if (!flags.write_to.empty()) {
    for (const ReportFormat format : {ReportFormat::kHtml, ReportFormat::kSvg})
      RETURN_IF_ERROR(WriteFiles(ReportFiles(document, format, {.all = true}), flags.write_to));
  }
  if (flags.json) {
    PrintText(DumpJsonPretty(report::SufficeToJson(answer)));
  } else {
    PrintDocument(document, flags.all);
  }
  return {};
}

}  // namespace

PlanVerb AddPlanDevices(CLI::App& plan) {
  auto flags = std::make_shared<DevicesFlags>();
  CLI::App* const app =
      plan.add_subcommand("devices", "which devices suffice: cloud, workstation, laptop, phone; from batch 1 on");
  app->add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app->add_option("--precision", flags->model.precision, "weights as served, instead of those stored");
  app->add_option("--kv", flags->model.kv, "layout of the KV cache (default: as stored)");
  constexpr std::array<std::string_view, 2> kKeys = {"tpot", "tokens_per_s"};
  AddQuestionFlags(*app, kKeys, flags->text);
  app->add_option("--batch", flags->batches, "sequences that decode at once (default: 1,4,16,64)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1000000));
  app->add_option("--context", flags->context_tokens, "tokens of each in the KV cache (default: 4096)")
      ->check(CLI::Range(0, 100000000));
  app->add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  app->add_option("--write-to", flags->write_to, "also write report.html and the map as SVG into this folder");
  app->add_flag("--all", flags->all, "everything, not only the first screen");
  app->add_flag("--json", flags->json, "print JSON");
  app->footer("Example:\n  moecap plan devices --model openai/gpt-oss-20b --tpot 100ms --batch 1,8,32 --write-to map");
  return {app, [flags] { return RunDevices(*flags); }};
}

}  // namespace moecap::app
