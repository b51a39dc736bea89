#include "report/plan_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "cost/ownership.h"

namespace moecap::report {
namespace {

using planner::Candidate;
using planner::Plan;

Json PlanNumber(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json BandOf(double value, const planner::ErrorBand& band) {
  return {{"low", PlanNumber(value * band.low)}, {"high", PlanNumber(value * band.high)}, {"basis", band.basis}};
}

Json QuestionToJson(const planner::Question& question) {
  const planner::Load& load = question.load;
  const planner::Limits& limits = question.limits;
  return {{"clients", OrNull(load.clients)},
          {"requests_per_s", OrNull(load.requests_per_s)},
          {"input_tokens", load.input_tokens},
          {"output_tokens", load.output_tokens},
          {"input_cv", load.input_cv},
          {"output_cv", load.output_cv},
          {"prefix_hit", load.prefix_hit},
          {"drafted_tokens", load.drafted_tokens},
          {"accepted_tokens", load.accepted_tokens},
          {"targets",
           {{"tpot_s", OrNull(question.targets.tpot_s)},
            {"ttft_s", OrNull(question.targets.ttft_s)},
            {"e2e_s", OrNull(question.targets.e2e_s)}}},
          {"limits",
           {{"purchase_usd", OrNull(limits.purchase_usd)},
            {"usd_per_month", OrNull(limits.usd_per_month)},
            {"power_w", OrNull(limits.watts)},
            {"device_classes", limits.device_classes},
            {"devices", limits.devices},
            {"most_devices", limits.most_devices}}},
          {"objective", planner::Name(question.objective)},
          {"fidelity", planner::Name(question.fidelity)},
          {"narrow_kv", question.NarrowKv()},
          {"launch", planner::Name(question.launch)},
          {"max_running_requests", OrNull(question.max_running)},
          {"margin", question.margin}};
}

Json StepToJson(const planner::Serving& serving) {
  const planner::StepTime& step = serving.step;
  return {{"experts_s", step.experts_s},
          {"host_s", step.host_s},
          {"weights_s", step.weights_s},
          {"kv_s", step.kv_s},
          {"collectives_s", step.collectives_s},
          {"latency_s", step.latency_s},
          {"sequences_s", step.sequences_s},
          {"bytes", step.bytes},
          {"flops", step.flops},
          {"distinct_experts", step.distinct_experts}};
}

Json MoneyToJson(const Candidate& candidate) {
  const planner::Money& money = candidate.money;
  return {{"pay", cost::Name(money.pay)},
          {"usd_per_h", OrNull(money.usd_per_h)},
          {"usd_per_month", money.usd_per_h ? Json(candidate.UsdPerMonth()) : Json(nullptr)},
          {"purchase_usd", OrNull(money.purchase_usd)},
          {"break_even_utilisation", OrNull(money.break_even_utilisation)},
          {"power_w", OrNull(money.watts)},
          {"usd_per_million_input_tokens", OrNull(candidate.usd_per_million_input)},
          {"usd_per_million_output_tokens", OrNull(candidate.usd_per_million_output)},
          {"usd_per_million_tokens", OrNull(candidate.usd_per_million_tokens)}};
}

Json CandidateToJson(const Plan& plan, const Candidate& candidate) {
  const planner::Serving& serving = candidate.serving;
  const planner::Variant& variant = plan.search.variants[candidate.variant];
  const metrics::Deployment& d = candidate.deployment;
  const bool offloaded = candidate.Offloaded();
  return {{"label", Label(candidate, plan.search.variants)},
          {"device", candidate.device->id},
          {"devices", candidate.count},
          {"nodes", candidate.nodes},
          {"deployment", {{"tensor", d.tensor}, {"expert", d.expert}, {"pipeline", d.pipeline}, {"data", d.data}}},
          {"precision", variant.label},
          {"kv_type", variant.spec.kv_type},
          {"system", candidate.system},
          {"residence", planner::Name(candidate.offload.residence)},
          {"device_share_of_experts", candidate.offload.device_share},
          {"processor", candidate.processor},
          {"host_dram_bytes", candidate.host_dram_bytes},
          {"cap_class", planner::CapClass(offloaded, variant.original)},
          {"answers", candidate.Answers()},
          {"misses", candidate.misses},
          {"margin", candidate.margin},
          {"measured", candidate.measured},
          {"tpot_s", PlanNumber(serving.tpot_s)},
          {"tpot_band_s", BandOf(serving.tpot_s, candidate.band)},
          {"ttft_s", PlanNumber(serving.ttft_s)},
          {"ttft_band_s", BandOf(serving.ttft_s, candidate.ttft_band)},
          {"default_launch_time", candidate.default_time > 1 ? Json(candidate.default_time) : Json(nullptr)},
          {"e2e_s", PlanNumber(serving.e2e_s)},
          {"queue_s", PlanNumber(serving.queue_s)},
          {"over_capacity", serving.over_capacity},
          {"running_requests", PlanNumber(serving.running)},
          {"decoding_requests", PlanNumber(serving.decoding)},
          {"most_running_requests", PlanNumber(serving.most_running)},
          {"running_limit_requests", PlanNumber(candidate.running_limit)},
          {"requests_per_s", PlanNumber(serving.requests_per_s)},
          {"output_tokens_per_s", PlanNumber(serving.output_tokens_per_s)},
          {"prefill_share", serving.prefill_share},
          {"s_mbu", serving.s_mbu},
          {"s_mfu", serving.s_mfu},
          {"bound", planner::Name(serving.bound)},
          {"step", StepToJson(serving)},
          {"memory",
           {{"weights_bytes", candidate.memory.weights_bytes},
            {"other_bytes", candidate.memory.other_bytes},
            {"sequence_bytes", candidate.memory.sequence_bytes},
            {"usable_bytes", candidate.usable_bytes}}},
          {"cost", MoneyToJson(candidate)}};
}

}  // namespace

Json PlanToJson(const Plan& plan, const std::string& start_command, size_t most) {
  Json candidates = Json::array(), changes = Json::array(), why_not = Json::array();
  for (size_t i = 0; i < plan.search.candidates.size() && i < most; ++i)
    candidates.push_back(CandidateToJson(plan, plan.search.candidates[i]));
  for (const planner::Change& change : plan.changes) {
    changes.push_back({{"what", change.what},
                       {"best", change.best.empty() ? Json(nullptr) : Json(change.best)},
                       {"same", change.same},
                       {"usd_per_month", OrNull(change.usd_per_month)},
                       {"tpot_s", OrNull(change.tpot_s)}});
  }
  Json curve = Json::array();
  for (const planner::LoadPoint& at : plan.curve) {
    curve.push_back({{"clients", OrNull(at.load.clients)},
                     {"requests_per_s", PlanNumber(at.serving.requests_per_s)},
                     {"tpot_s", PlanNumber(at.serving.tpot_s)},
                     {"ttft_s", PlanNumber(at.serving.ttft_s)},
                     {"output_tokens_per_s", PlanNumber(at.serving.output_tokens_per_s)},
                     {"usd_per_million_tokens", OrNull(at.usd_per_million_tokens)},
                     {"keeps", at.keeps}});
  }
  for (const planner::WhyNot& why : plan.why_not) why_not.push_back({{"device", why.device}, {"reason", why.reason}});
  const planner::Shortage* const shortage =
      plan.search.candidates.empty() && plan.search.shortage ? &*plan.search.shortage : nullptr;
  const bool of_host = shortage && shortage->memory == planner::ShortOf::kHost;
  return {{"schema", kPlanSchema},
          {"model", plan.model},
          {"question", QuestionToJson(plan.question)},
          {"answered", plan.Answered()},
          {"best", plan.best ? CandidateToJson(plan, *plan.Best()) : Json(nullptr)},
          {"runner_up", plan.runner_up ? CandidateToJson(plan, plan.search.candidates[*plan.runner_up]) : Json(nullptr)},
          {"start_command", start_command.empty() ? Json(nullptr) : Json(start_command)},
          {"lacking_bytes_per_device", shortage && !of_host ? Json(shortage->LackingBytes()) : Json(nullptr)},
          {"lacking_host_bytes", of_host ? Json(shortage->LackingBytes()) : Json(nullptr)},
          {"lacking_memory", shortage ? Json(Name(shortage->memory)) : Json(nullptr)},
          {"curve", curve},
          {"dense_from_tokens", OrNull(plan.dense_from)},
          {"changes", changes},
          {"why_not", why_not},
          {"candidates", candidates},
          {"points", plan.search.points},
          {"notes", plan.notes}};
}

}  // namespace moecap::report
