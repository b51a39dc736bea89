// moecap plan experts: how many experts fit on the accelerators, and whether a cache of them helps.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/model_flags.h"
#include "app/cli/output.h"
#include "app/cli/plan_verbs.h"
#include "base/json.h"
#include "planner/question_file.h"
#include "report/room_document.h"
#include "trace/expert_uses.h"

namespace moecap::app {
namespace {

struct ExpertsFlags {
  ModelFlags model;
  std::string trace, own, dram, catalogue;
  planner::RoomQuestion question;
  bool json = false, all = false;
};

// The words of --own and --dram, as the question of a plan reads them.
Result<planner::RoomQuestion> RoomQuestionOf(const ExpertsFlags& flags) {
  planner::QuestionText text;
  text.Set("own", flags.own);
  text.Set("dram", flags.dram);
  ASSIGN_OR_RETURN(const planner::Question question, planner::MakeQuestion(text));
  if (!question.owned || question.owned->devices.size() != 1)
    return BadInput(fmt::format("--own {}: name devices of one kind, e.g. 2xrtx-4090", flags.own));
  planner::RoomQuestion room = flags.question;
  room.devices = question.owned->devices.front();
  room.dram_bytes = question.owned->dram_bytes;
  return room;
}

Status RunExperts(const ExpertsFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue devices, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(const cost::PriceBook prices, cost::PriceBook::Parse(cost::PriceBook::BuiltinText()));
  ASSIGN_OR_RETURN(const planner::Multipliers multipliers, planner::Multipliers::Builtin());
  ASSIGN_OR_RETURN(const planner::SystemSupport systems, planner::SystemSupport::Builtin());
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  report::RoomAnswer answer{.model = spec.id};
  ASSIGN_OR_RETURN(answer.question, RoomQuestionOf(flags));
  ASSIGN_OR_RETURN(const hardware::Device device, devices.FindDevice(answer.question.devices.id));
  answer.devices = fmt::format("{} x {}", answer.question.devices.count, device.name);
  if (!flags.trace.empty()) {
    ASSIGN_OR_RETURN(const auto source, OpenTraceOf(flags.trace, spec));
    ASSIGN_OR_RETURN(const trace::ExpertUses uses, trace::CollectUses(*source));
    answer.hits = planner::HitsOf(uses.uses, spec.Experts());
    answer.traced_distinct = uses.distinct;
  }
  ASSIGN_OR_RETURN(answer.room, planner::FindRoom(answer.question, spec, {devices, prices, multipliers, systems},
                                                  answer.hits ? &*answer.hits : nullptr));
  if (flags.json) {
    PrintText(DumpJsonPretty(report::RoomToJson(answer)));
  } else {
    PrintDocument(report::RoomDocument(answer), flags.all);
  }
  return {};
}

}  // namespace

PlanVerb AddPlanExperts(CLI::App& plan) {
  auto flags = std::make_shared<ExpertsFlags>();
  CLI::App* const app = plan.add_subcommand("experts", "how many experts fit: --n-cpu-moe, caches, whether a cache helps");
  app->add_option("trace", flags->trace, "of this model (moecap trace): what caches hit; without one they are estimated");
  app->add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app->add_option("--precision", flags->model.precision, "weights as served, instead of those stored");
  app->add_option("--kv", flags->model.kv, "layout of the KV cache (default: as stored)");
  app->add_option("--own", flags->own, "the accelerators, e.g. 1xrtx-4090")->required();
  app->add_option("--dram", flags->dram, "host memory, e.g. 64GB (default: as much as the processor takes)");
  app->add_option("--processor", flags->question.processor, "of the catalogue (default: the usual one beside such a device)");
  app->add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  app->add_option("--clients", flags->question.sequences, "requests at once (default: 1)")->check(CLI::Range(1, 100000));
  app->add_option("--context", flags->question.context_tokens, "tokens of each in the KV cache (default: 4096)")
      ->check(CLI::Range(1, 100000000));
  app->add_flag("--all", flags->all, "everything, not only the first screen");
  app->add_flag("--json", flags->json, "print JSON");
  app->footer("Example:\n  moecap plan experts routing.moetrace --model Qwen/Qwen3-30B-A3B --own 1xrtx-4090 --dram 64GB");
  return {app, [flags] { return RunExperts(*flags); }};
}

}  // namespace moecap::app
