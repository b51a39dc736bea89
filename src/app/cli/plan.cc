// moecap plan: which hardware and system to serve a model with, and what it will cost.
#include "planner/plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/cli.h"
#include "app/cli/model_flags.h"
#include "app/cli/output.h"
#include "app/cli/plan_calibrate.h"
#include "app/cli/plan_dialogue.h"
#include "app/cli/plan_verbs.h"
#include "app/planned_launch.h"
#include "base/fs.h"
#include "base/json.h"
#include "metrics/estimate.h"
#include "model/catalogue.h"
#include "planner/question_file.h"
#include "report/plan_document.h"
#include "report/plan_json.h"

namespace moecap::app {
namespace {

struct PlanFlags {
  ModelFlags model;
  planner::QuestionText question;  // what flags and file say, as text
  std::string file, sheet, catalogue, prices, write_to;
  CalibrationFlags calibration;
  bool no_changes = false, json = false, all = false;
};

// Of a model that lies here, or is served as something else than is stored, the plan does not say what there is to start.
PlannedCheckpoint CheckpointOf(const ModelFlags& model) {
  PlannedCheckpoint checkpoint;
  std::error_code code;
  if (model.name.ends_with(".gguf") || std::filesystem::is_directory(model.name, code)) checkpoint.path = model.name;
  if (model.precision.empty() && model.kv.empty()) return checkpoint;
  const Result<model::ModelSpec> stored = OpenModel(ModelFlags{.name = model.name});
  checkpoint.weight_type = stored.ok() ? stored->weight_type : "unknown";
  if (stored.ok()) checkpoint.kv_type = stored->kv_type;
  return checkpoint;
}

Status PrintPlan(const planner::Plan& plan, const PlannedCheckpoint& checkpoint, const PlanFlags& flags) {
  const std::string start_command = LaunchOf(plan, checkpoint);
  const report::Document document = report::PlanDocument(plan, start_command);
  if (!flags.write_to.empty()) {
    std::vector<report::NamedText> files = {{"plan.json", DumpJsonPretty(report::PlanToJson(plan, start_command))}};
    for (const ReportFormat format : {ReportFormat::kHtml, ReportFormat::kMarkdown, ReportFormat::kCsv}) {
      for (auto& file : ReportFiles(document, format, {.all = true})) files.push_back(std::move(file));
    }
    RETURN_IF_ERROR(WriteFiles(files, flags.write_to));
  }
  if (flags.json) {
    PrintText(DumpJsonPretty(report::PlanToJson(plan, start_command)));
  } else {
    PrintDocument(document, flags.all);
  }
  if (plan.Answered()) return {};
  if (plan.best) return Error{ErrorKind::kTargetMissed, "no way keeps every target and limit; the nearest is shown"};
  return Error{ErrorKind::kTargetMissed, plan.search.refusals.empty() ? "the model fits nowhere that the limits allow"
                                                                      : "no system that runs where the model fits takes it"};
}

// What is of one model has no meaning for all of them.
Status CheckModelsFlags(const PlanFlags& flags) {
  const std::pair<const char*, bool> of_one_model[] = {{"--sheet", !flags.sheet.empty()},
                                                       {"--calibrate", !flags.calibration.sources.empty()},
                                                       {"--write-to", !flags.write_to.empty()},
                                                       {"--precision", !flags.model.precision.empty()},
                                                       {"--kv", !flags.model.kv.empty()}};
  for (const auto& [flag, given] : of_one_model) {
    if (given) return BadInput(fmt::format("{} is for one model; --model any compares all of the catalogue: name one", flag));
  }
  return {};
}

// Every model with experts of the catalogue: which of them can be served?
Status PlanModels(const planner::Question& question, const planner::Ingredients& ingredients, const PlanFlags& flags) {
  RETURN_IF_ERROR(CheckModelsFlags(flags));
  ASSIGN_OR_RETURN(const model::ModelCatalogue models, model::ModelCatalogue::Builtin());
  std::vector<planner::Plan> plans;
  for (const model::CatalogueModel& entry : models.models()) {
    ASSIGN_OR_RETURN(const model::ModelSpec spec, model::SpecOf(entry, entry.id));
    if (!spec.computes || spec.MoeLayers() == 0) continue;
    ASSIGN_OR_RETURN(planner::Plan plan, planner::MakePlan(question, spec, ingredients, {.changes = false}));
    plans.push_back(std::move(plan));
  }
  if (flags.json) {
    Json list = Json::array();
    for (const planner::Plan& plan : plans) list.push_back(report::PlanToJson(plan, LaunchOf(plan), 1));
    PrintText(DumpJsonPretty({{"plans", list}}));
  } else {
    PrintDocument(report::ModelsDocument(plans, question), flags.all);
  }
  return {};
}

// Prompts go to stderr: stdout holds the answer alone.
std::optional<std::string> AskTerminal(const std::string& prompt) {
  fmt::print(stderr, "{}", prompt);
  std::fflush(stderr);
  std::string line;
  for (int c = std::getchar(); c != '\n'; c = std::getchar()) {
    if (c == EOF) return std::nullopt;
    line += static_cast<char>(c);
  }
  return line;
}

Status CheckCalibrationFlags(const CalibrationFlags& flags) {
  if (!flags.sources.empty()) return {};
  for (const auto& [flag, value] : {std::pair("--measured-on", flags.device), {"--measured-with", flags.system}}) {
    if (!value.empty())
      return BadInput(fmt::format(
          "{} {} says of what the results of --calibrate are: name them with --calibrate, or leave {} out", flag, value, flag));
  }
  return {};
}

Status RunPlan(const PlanFlags& flags) {
  RETURN_IF_ERROR(CheckCalibrationFlags(flags.calibration));
  ASSIGN_OR_RETURN(const hardware::Catalogue devices, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(cost::PriceBook prices, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  if (!flags.prices.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.prices));
    ASSIGN_OR_RETURN(prices, prices.With(text, devices));
  }
  ASSIGN_OR_RETURN(planner::Multipliers multipliers, planner::Multipliers::Builtin());
  ASSIGN_OR_RETURN(const planner::SystemSupport systems, planner::SystemSupport::Builtin());
  planner::QuestionText text;
  if (!flags.file.empty()) {
    ASSIGN_OR_RETURN(const std::string yaml, ReadFile(flags.file));
    ASSIGN_OR_RETURN(text, planner::ParseQuestionFile(yaml, flags.file));
  }
  text.Overlay(flags.question);
  ModelFlags model = flags.model;
  if (model.name.empty()) model.name = text.Get("model");
  if (model.name.empty()) return BadInput("no model is named; give --model, e.g. --model Qwen/Qwen3-235B-A22B");
  ASSIGN_OR_RETURN(planner::Question question, planner::MakeQuestion(text));
  // Measurements of one's own are of one's own launches.
  if (!flags.calibration.sources.empty() && text.Get("launch").empty()) question.launch = planner::Launch::kTuned;
  const planner::Ingredients ingredients{devices, prices, multipliers, systems};
  if (model.name == "any") return PlanModels(question, ingredients, flags);
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(model));
  std::vector<std::string> notes;
  if (!flags.calibration.sources.empty()) {
    ASSIGN_OR_RETURN(Calibration calibration, Calibrate(flags.calibration, spec, devices, multipliers));
    multipliers = std::move(calibration.multipliers);
    notes = std::move(calibration.notes);
  }
  planner::PlanOptions options{.changes = !flags.no_changes};
  routing::ActivationSheet sheet;
  if (!flags.sheet.empty()) {
    ASSIGN_OR_RETURN(const std::string json, ReadFile(flags.sheet));
    ASSIGN_OR_RETURN(sheet, routing::ParseActivationSheet(json));
    RETURN_IF_ERROR(metrics::CheckSheet(spec, sheet));
    options.sheet = &sheet;
  }
  ASSIGN_OR_RETURN(planner::Plan plan, planner::MakePlan(question, spec, ingredients, options));
  plan.notes.insert(plan.notes.begin(), notes.begin(), notes.end());
  return PrintPlan(plan, CheckpointOf(model), flags);
}

}  // namespace

Action AddPlan(CLI::App& app, const Invocation& invocation) {
  auto flags = std::make_shared<PlanFlags>();
  app.add_option("file", flags->file, "question as YAML (docs/planner.md); flags go before what it says");
  app.add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf; any = all of the catalogue");
  app.add_option("--precision", flags->model.precision, "weights as served, instead of those stored");
  app.add_option("--kv", flags->model.kv, "layout of the KV cache (default: as stored)");
  std::vector<std::string_view> keys;
  for (const planner::QuestionKey& key : planner::QuestionKeys()) {
    if (!key.flag.empty()) keys.push_back(key.name);
  }
  AddQuestionFlags(app, keys, flags->question);
  app.add_option("--sheet", flags->sheet, "activation sheet of this model (moecap trace), instead of the estimator");
  app.add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  app.add_option("--prices", flags->prices, "your own price list, laid over the built-in one");
  app.add_option(
      "--calibrate", flags->calibration.sources,
      "refit the multipliers to your own measurements first: stored runs (folder, id or \"latest\"), a folder of runs, or "
      "results of vllm bench serve, llama-bench and other clients");
  app.add_option("--measured-on", flags->calibration.device, "the devices of other clients' results, e.g. 4xh100-sxm");
  app.add_option("--measured-with", flags->calibration.system,
                 "the system of those results: vllm, sglang, trtllm or llama-server")
      ->check(CLI::IsMember({"vllm", "sglang", "trtllm", "llama-server"}));
  app.add_option("--write-to", flags->write_to, "also write plan.json, report.html, report.md and report.csv into this folder");
  app.add_flag("--no-changes", flags->no_changes, "leave out what would change the answer: one search instead of eight");
  app.add_flag("--all", flags->all, "everything, not only the first screen");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer(
      "Every time is a prediction with an error band. Exit code 3: nothing keeps every target and limit.\n\nExamples:\n"
      "  moecap plan --model Qwen/Qwen3-235B-A22B --clients 200 --tpot 50ms\n"
      "  moecap plan --model openai/gpt-oss-120b --scenario coding-agent --why-not rtx-5090\n"
      "  moecap plan --model any --scenario single-user --own 2xrtx-4090 --dram 256GB --speed 10 --fidelity any");
  const std::vector<PlanVerb> verbs = {AddPlanExperts(app), AddPlanRanks(app),  AddPlanApart(app),   AddPlanLoad(app),
                                       AddPlanDevices(app), AddPlanDrafts(app), AddPlanTraining(app)};
  app.require_subcommand(0, 1);
  const bool asked = invocation.command.size() == 2;  // "moecap plan" alone
  return [flags, verbs, asked]() -> Status {
    for (const PlanVerb& verb : verbs) {
      if (verb.app->parsed()) return verb.run();
    }
    if (asked && ::isatty(STDIN_FILENO)) {
      ASSIGN_OR_RETURN(flags->question, AskQuestion(AskTerminal));
      fmt::print(stderr, "{}\n", CommandOf(flags->question));
    }
    return RunPlan(*flags);
  };
}

}  // namespace moecap::app
