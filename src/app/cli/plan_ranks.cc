// moecap plan ranks: is expert parallelism balanced, and is EPLB worth it?
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/catalogue_file.h"
#include "app/cli/model_flags.h"
#include "app/cli/output.h"
#include "app/cli/plan_verbs.h"
#include "base/fs.h"
#include "base/json.h"
#include "planner/model_work.h"
#include "report/balance_document.h"
#include "trace/pass_loads.h"

namespace moecap::app {
namespace {

struct RanksFlags {
  ModelFlags model;
  std::string trace, device = "h100-sxm", catalogue, placement = "linear", phase, write_placement;
  planner::BalanceQuestion question;
  bool json = false, all = false;
};

using routing::ExpertPlacement;

// {"physical_to_logical_map": [[expert of place 0, ...] of layer 0, ...]}: what SGLang's --init-expert-location reads.
constexpr const char* kPlacementKey = "physical_to_logical_map";

Result<std::vector<ExpertPlacement>> ReadPlacement(const std::string& file, int ranks, int experts) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const std::string wrong = fmt::format("{}: needs \"{}\", a list of each layer's experts by place, evenly over {} ranks", file,
                                        kPlacementKey, ranks);
  if (!json.is_object() || !json.contains(kPlacementKey) || !json[kPlacementKey].is_array()) return BadInput(wrong);
  std::vector<ExpertPlacement> placement;
  for (const Json& layer : json[kPlacementKey]) {
    if (!layer.is_array() || layer.empty() || layer.size() % static_cast<size_t>(ranks) != 0) return BadInput(wrong);
    ExpertPlacement& of_layer = placement.emplace_back(ExpertPlacement{ranks, {}});
    for (const Json& expert : layer) {
      if (!expert.is_number_integer() || expert.get<int64_t>() < 0 || expert.get<int64_t>() >= experts)
        return BadInput(fmt::format("{}: {} is none of {} experts", file, expert.dump(), experts));
      of_layer.expert_of.push_back(expert.get<int>());
    }
  }
  return placement;
}

Result<std::vector<ExpertPlacement>> PlacementToday(const RanksFlags& flags, const planner::BalanceQuestion& question) {
  const bool linear = flags.placement == "linear";
  if (!linear && flags.placement != "round-robin") return ReadPlacement(flags.placement, question.ranks, question.experts);
  if (question.experts % question.ranks != 0)
    return BadInput(fmt::format("{} experts cannot be spread evenly over {} ranks", question.experts, question.ranks));
  const ExpertPlacement layer = linear ? routing::LinearPlacement(question.experts, question.ranks)
                                       : routing::RoundRobinPlacement(question.experts, question.ranks);
  return std::vector<ExpertPlacement>(static_cast<size_t>(question.layers), layer);
}

Status WritePlacement(const std::string& file, const std::vector<ExpertPlacement>& placement) {
  Json layers = Json::array();
  for (const ExpertPlacement& layer : placement) layers.push_back(layer.expert_of);
  return WriteFileAtomically(file, DumpJson({{kPlacementKey, std::move(layers)}}) + "\n");
}

Result<planner::BalanceQuestion> BalanceQuestionOf(const RanksFlags& flags, const model::ModelSpec& spec,
                                                   const hardware::Device& device) {
  if (!device.bandwidth_bytes_per_s) return BadInput(fmt::format("{}: its bandwidth is not in the catalogue", device.name));
  const planner::ModelWork work = planner::MakeModelWork(spec);
  planner::BalanceQuestion question = flags.question;
  question.experts = spec.Experts();
  question.layers = spec.MoeLayers();
  question.bytes_per_expert = work.experts.front().bytes_per_expert;
  question.params_per_expert = work.experts.front().params_per_expert;
  question.bytes_per_s = *device.bandwidth_bytes_per_s;
  question.flops_per_s = planner::RateOf(device, work.expert_type).flops_per_s;
  ASSIGN_OR_RETURN(question.today, PlacementToday(flags, question));
  return question;
}

std::optional<record::PassKind> PhaseOf(const std::string& phase) {
  if (phase == "decode") return record::PassKind::kDecode;
  return phase == "prefill" ? std::optional(record::PassKind::kPrefill) : std::nullopt;
}

Status RunRanks(const RanksFlags& flags) {
  ASSIGN_OR_RETURN(const hardware::Catalogue devices, OpenCatalogue(flags.catalogue));
  ASSIGN_OR_RETURN(const hardware::Device device, devices.FindDevice(flags.device));
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  ASSIGN_OR_RETURN(const auto source, OpenTraceOf(flags.trace, spec));
  report::BalanceAnswer answer{.model = spec.id, .device = device.name};
  ASSIGN_OR_RETURN(answer.question, BalanceQuestionOf(flags, spec, device));
  ASSIGN_OR_RETURN(const trace::PassLoads loads, trace::CollectLoads(*source, PhaseOf(flags.phase)));
  answer.phase = flags.phase.empty() ? "all passes" : flags.phase + " passes";
  if (!loads.passes_known) answer.notes.emplace_back("The trace tells no passes: the tokens of a request stand for one.");
  if (loads.cut) answer.notes.emplace_back("The trace is longer than what was read: its beginning was taken.");
  ASSIGN_OR_RETURN(answer.balance, planner::JudgeBalance(answer.question, loads.passes));
  if (!flags.write_placement.empty()) RETURN_IF_ERROR(WritePlacement(flags.write_placement, answer.balance.placement));
  if (flags.json) {
    PrintText(DumpJsonPretty(report::BalanceToJson(answer)));
  } else {
    PrintDocument(report::BalanceDocument(answer), flags.all);
  }
  return {};
}

}  // namespace

PlanVerb AddPlanRanks(CLI::App& plan) {
  auto flags = std::make_shared<RanksFlags>();
  CLI::App* const app =
      plan.add_subcommand("ranks", "is expert parallelism balanced, and are EPLB and redundant experts worth it");
  app->add_option("trace", flags->trace, "of this model, with the passes of a loaded server (moecap trace)")->required();
  app->add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app->add_option("--precision", flags->model.precision, "weights as served, instead of those stored");
  app->add_option("--ep", flags->question.ranks, "ranks that share the experts (default: 8)")->check(CLI::Range(2, 1024));
  app->add_option("--nodes", flags->question.nodes, "of these ranks (default: 1)")->check(CLI::Range(1, 1024));
  app->add_option("--groups", flags->question.groups, "of experts, with group-limited routing (default: 1)")
      ->check(CLI::Range(1, 1024));
  app->add_option("--redundant", flags->question.redundant,
                  "redundant experts of a layer to try, as 0,8,16 (default: none, one "
                  "and two a rank)")
      ->delimiter(',')
      ->check(CLI::Range(0, 4096));
  app->add_option("--placement", flags->placement,
                  "where experts lie today: linear (default), round-robin, or a JSON file as --write-placement makes it");
  app->add_option("--block-m", flags->question.block_m, "rows of a tile of the grouped kernels (default: 64)")
      ->check(CLI::Range(1, 4096));
  app->add_option("--phase", flags->phase, "passes of one kind alone: decode or prefill")
      ->check(CLI::IsMember({"decode", "prefill"}));
  app->add_option("--windows", flags->question.windows, "windows of time, half of them judged (default: 20)")
      ->check(CLI::Range(8, 1000));
  app->add_option("--device", flags->device, "of a rank, from the catalogue (default: h100-sxm)");
  app->add_option("--catalogue", flags->catalogue, "your own devices, laid over the built-in catalogue");
  app->add_option("--write-placement", flags->write_placement,
                  "write the chosen placement as SGLang's --init-expert-location "
                  "reads it");
  app->add_flag("--all", flags->all, "everything, not only the first screen");
  app->add_flag("--json", flags->json, "print JSON");
  app->footer(
      "Example:\n  moecap plan ranks routing.moetrace --model Qwen/Qwen3-30B-A3B --ep 8 --redundant 0,8,16 --phase decode");
  return {app, [flags] { return RunRanks(*flags); }};
}

}  // namespace moecap::app
