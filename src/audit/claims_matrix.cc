// Rows of MoE-CAP's decision matrix (Table 7), asked of the planner.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "audit/evaluators.h"
#include "base/units.h"
#include "planner/plan.h"

namespace moecap::audit {
namespace {

using planner::Candidate;
using planner::SearchResult;

constexpr double kUnknown = 1e300;
constexpr double kTie = 0.02;  // relative: nobody pays for less
// The systems that Table 7 chooses among.
constexpr std::string_view kOfTheTable[] = {"sglang", "vllm", "ktransformers", "moe-infinity"};

// "original", "8-bit", "quantised"
std::string WeightsOf(const Candidate& candidate, const SearchResult& search) {
  const planner::Variant& variant = search.variants[candidate.variant];
  if (variant.original) return "original";
  return variant.label == "fp8" || variant.label == "q8_0" ? "8-bit" : "quantised";
}

double AccuracyLoss(std::string_view weights) { return weights == "original" ? 0 : weights == "8-bit" ? 1 : 2; }

// What is to be small.
double ValueOf(std::string_view goal, const Candidate& candidate, const SearchResult& search) {
  if (goal == "latency") return candidate.serving.tpot_s;
  if (goal == "throughput") return 1 / candidate.serving.output_tokens_per_s;
  if (goal == "cost") return candidate.money.purchase_usd.value_or(kUnknown);
  if (goal == "power") return candidate.money.watts.value_or(kUnknown);
  return AccuracyLoss(WeightsOf(candidate, search));
}

// -1: `a` is the better by the first goal that tells them apart; 0: none does.
int Compare(const Candidate& a, const Candidate& b, const DecisionRow& row, const SearchResult& search) {
  for (const std::string& goal : row.goals) {
    const double left = ValueOf(goal, a, search), right = ValueOf(goal, b, search);
    if (std::abs(left - right) > kTie * std::max(left, right)) return left < right ? -1 : 1;
  }
  return 0;
}

bool IsNamed(const Candidate& candidate, const DecisionRow& row, const SearchResult& search) {
  return std::find(row.systems.begin(), row.systems.end(), candidate.system) != row.systems.end() &&
         candidate.Offloaded() == row.offload && WeightsOf(candidate, search) == row.weights;
}

planner::Question QuestionOf(const DecisionRow& row, int64_t batch) {
  const bool accuracy = std::find(row.goals.begin(), row.goals.end(), "accuracy") != row.goals.end();
  planner::Question question;
  question.load.clients = static_cast<double>(batch);
  question.limits.devices = {row.device.text};
  question.limits.most_devices = static_cast<int>(row.most_devices);
  question.pay = cost::Pay::kBuy;
  question.fidelity = accuracy ? planner::Fidelity::kOriginal : planner::Fidelity::kAny;
  question.narrow_kv = false;  // the table speaks of weights
  question.objective = planner::Objective::kSpeed;
  question.margin = 1;
  return question;
}

// "2 x RTX A5000, vllm, as stored (bf16): 31.2 ms, 1240 tokens/s, USD 9000, 620 W"
std::string Describe(const Candidate& c, const SearchResult& search) {
  std::string text = fmt::format("{}: {}, {:.0f} tokens/s", planner::Label(c, search.variants), FormatSeconds(c.serving.tpot_s),
                                 c.serving.output_tokens_per_s);
  if (c.money.purchase_usd) text += fmt::format(", USD {:.0f}", *c.money.purchase_usd);
  if (c.money.watts) text += fmt::format(", {:.0f} W", *c.money.watts);
  return text;
}

std::string WayName(std::string_view systems, std::string_view weights, bool offload) {
  return fmt::format("{}, {}{}", systems, weights, offload ? ", experts offloaded" : "");
}

// The best by the goals, of the table's systems or of all; among equals one that the row names, then the fastest. Null: nothing
// fits.
const Candidate* BestOf(const SearchResult& search, const DecisionRow& row, bool of_the_table) {
  const Candidate* best = nullptr;
  for (const Candidate& candidate : search.candidates) {
    if (candidate.serving.over_capacity) continue;
    if (of_the_table && std::find(std::begin(kOfTheTable), std::end(kOfTheTable), candidate.system) == std::end(kOfTheTable))
      continue;
    const int order = best ? Compare(candidate, *best, row, search) : -1;
    const bool named = IsNamed(candidate, row, search);
    if (order < 0 || (order == 0 && named && !IsNamed(*best, row, search))) best = &candidate;
  }
  return best;
}

// The fastest named way; null: the planner has none.
const Candidate* NamedOf(const SearchResult& search, const DecisionRow& row) {
  const Candidate* named = nullptr;
  for (const Candidate& candidate : search.candidates) {
    if (candidate.serving.over_capacity || !IsNamed(candidate, row, search)) continue;
    if (!named || Compare(candidate, *named, row, search) < 0) named = &candidate;
  }
  return named;
}

void AddBatch(const DecisionRow& row, int64_t batch, const SearchResult& search, ClaimReport& report) {
  const std::string published = WayName(fmt::format("{}", fmt::join(row.systems, " or ")), row.weights, row.offload);
  Figure figure;
  figure.quantity = fmt::format("best by {} at batch {}", fmt::join(row.goals, ", then "), batch);
  figure.published_text = published;
  const Candidate* const best = BestOf(search, row, true);
  if (!best) {
    report.missing.push_back(fmt::format("batch {}: no way holds the model with so many requests", batch));
    return;
  }
  const bool holds = IsNamed(*best, row, search);
  figure.computed_text = holds ? published : WayName(best->system, WeightsOf(*best, search), best->Offloaded());
  figure.estimated = true;
  report.figures.push_back(std::move(figure));
  std::string reason = fmt::format("Batch {}: the best is {}", batch, Describe(*best, search));
  if (const Candidate* named = NamedOf(search, row); !holds)
    reason += named ? fmt::format("; what the row names is {}", Describe(*named, search))
                    : "; the planner has no way that the row names, as the weights fit on the devices or the system does not "
                      "take them";
  if (const Candidate* all = BestOf(search, row, false); Compare(*all, *best, row, search) < 0)
    reason += fmt::format("; of systems outside the table {}", Describe(*all, search));
  reason += fmt::format(". Predicted times are {:g} to {:g} times.", best->band.low, best->band.high);
  report.reasons.push_back(std::move(reason));
}

}  // namespace

Status Fill(const DecisionRow& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  if (const auto device = FindDevice(inputs.device, claim, sources); !device.ok()) return device.error();
  ASSIGN_OR_RETURN(const planner::Multipliers multipliers, planner::Multipliers::Builtin());
  ASSIGN_OR_RETURN(const planner::SystemSupport served, planner::SystemSupport::Builtin());
  const planner::SystemSupport systems = served.ForBatches();  // the table speaks of batches, not of servers
  for (const int64_t batch : inputs.batches) {
    ASSIGN_OR_RETURN(const SearchResult search,
                     planner::Search(QuestionOf(inputs, batch), spec, {sources.devices, sources.prices, multipliers, systems}));
    AddBatch(inputs, batch, search, report);
  }
  return {};
}

}  // namespace moecap::audit
