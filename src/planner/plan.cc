#include "planner/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "base/nearest_word.h"
#include "base/units.h"
#include "planner/candidate.h"
#include "planner/running_limit.h"

namespace moecap::planner {
namespace {

// The first that is not of the best's devices and count.
std::optional<size_t> RunnerUp(const std::vector<Candidate>& candidates) {
  for (size_t i = 1; i < candidates.size(); ++i) {
    const Candidate &best = candidates.front(), &other = candidates[i];
    if (other.device->id != best.device->id || other.count != best.count) return i;
  }
  return std::nullopt;
}

struct Variation {
  const char* what;
  std::function<bool(Question&)> apply;  // false: makes no sense for this question
};

std::vector<Variation> Variations() {
  const auto load = [](double factor) {
    return [factor](Question& q) {
      std::optional<double>& amount = q.load.clients ? q.load.clients : q.load.requests_per_s;
      amount = q.load.clients ? std::max(1.0, *amount * factor) : *amount * factor;
      return true;
    };
  };
  const auto tpot = [](double factor) {
    return [factor](Question& q) {
      if (q.targets.tpot_s) *q.targets.tpot_s *= factor;
      return q.targets.tpot_s.has_value();
    };
  };
  const auto context = [](double factor) {
    return [factor](Question& q) {
      q.load.input_tokens *= factor;
      return true;
    };
  };
  return {{"half the load", load(0.5)},
          {"twice the load", load(2)},
          {"half the TPOT target", tpot(0.5)},
          {"twice the TPOT target", tpot(2)},
          {"four times the input", context(4)},
          {"twice the running requests",
           [](Question& q) {
             if (q.max_running) *q.max_running *= 2;
             return q.max_running.has_value();
           }},
          {"without a safety margin",
           [](Question& q) {
             const bool differs = q.margin > 1;
             q.margin = 1;
             return differs;
           }},
          {"the other way to pay", [](Question& q) {
             if (q.owned || q.limits.purchase_usd) return false;
             q.pay = q.pay.value_or(cost::Pay::kRent) == cost::Pay::kRent ? cost::Pay::kBuy : cost::Pay::kRent;
             return true;
           }}};
}

Result<std::vector<Change>> Changes(const Plan& plan, const model::ModelSpec& spec, const Ingredients& ingredients,
                                    const PlanOptions& options) {
  std::vector<Change> changes;
  for (const Variation& variation : Variations()) {
    Question question = plan.question;
    if (!variation.apply(question) || !CheckQuestion(question).ok()) continue;
    ASSIGN_OR_RETURN(const SearchResult search, Search(question, spec, ingredients, options.sheet));
    Change change;
    change.what = variation.what;
    if (!search.candidates.empty() && search.candidates.front().Answers()) {
      const Candidate& best = search.candidates.front();
      change.best = Label(best, search.variants);
      change.same = plan.Answered() && best.device->id == plan.Best()->device->id && best.count == plan.Best()->count;
      if (best.money.usd_per_h) change.usd_per_month = best.UsdPerMonth();
      change.tpot_s = best.serving.tpot_s;
      change.band = best.band;
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

std::string Reason(const Plan& plan, const Candidate& candidate) {
  const std::string label = Label(candidate, plan.search.variants);
  if (!candidate.Answers()) {
    std::string reason = fmt::format("its best is {}, but ", label);
    for (size_t i = 0; i < candidate.misses.size(); ++i) reason += (i == 0 ? "" : "; ") + candidate.misses[i];
    return reason + ".";
  }
  if (&candidate == plan.Best()) return "it is the answer.";
  const Candidate& best = *plan.Best();
  const auto& a = candidate.money.usd_per_h;
  const auto& b = best.money.usd_per_h;
  if (a && b) {
    return fmt::format("{} keeps the targets, at {:.2f} times the cost a month and {:.2f} times the TPOT of the answer.", label,
                       *a / *b, candidate.serving.tpot_s / best.serving.tpot_s);
  }
  return fmt::format("{} keeps the targets, but its price is not known.", label);
}

// Each reason of a refusal once, joined; "" = none.
std::string Refused(const SearchResult& search, const std::function<bool(const Refusal&)>& counts) {
  return fmt::format("{}", fmt::join(ReasonsOf(search.refusals, counts), "; "));
}

// "H100 SXM5, L40S and 12 others"
std::string DevicesOf(const Plan& plan) {
  constexpr size_t kNamed = 3;
  const auto& devices = plan.search.devices;
  std::vector<std::string> names;
  for (size_t i = 0; i < devices.size() && i < kNamed; ++i) names.push_back(devices[i].name);
  const size_t others = devices.size() - names.size();
  return fmt::format("{}{}", fmt::join(names, ", "), others > 0 ? fmt::format(" and {} others", others) : "");
}

WhyNot ExplainSystem(const SystemRelease& system, const Plan& plan, const model::ModelSpec& spec,
                     const Ingredients& ingredients) {
  const std::string name = fmt::format("{} {}", system.name, system.version);
  if (ingredients.systems.Serves(system.name, spec) == Served::kNo)
    return {name, fmt::format("it does not have this model: {} (read on {}: {}).",
                              ingredients.systems.WhyNotModel(system.name, spec), system.date, system.source)};
  const auto& candidates = plan.search.candidates;
  const auto found =
      std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& c) { return c.system == system.name; });
  if (found != candidates.end()) return {name, Reason(plan, *found)};
  const std::string refused = Refused(plan.search, [&](const Refusal& one) { return one.system == system.name; });
  if (!refused.empty()) return {name, refused + "."};
  const auto proposed = ProposedSystems();
  if (std::find(proposed.begin(), proposed.end(), system.name) == proposed.end())
    return {name,
            fmt::format("the planner proposes only systems whose speed it can predict: {}; of this one no multipliers are "
                        "fitted.",
                        fmt::join(proposed, ", "))};
  return {name,
          fmt::format("it is not proposed for {}, or not with experts where the model would fit there.", DevicesOf(plan))};
}

Result<WhyNot> Explain(const std::string& name, const Plan& plan, const model::ModelSpec& spec, const Ingredients& ingredients,
                       const PlanOptions& options) {
  if (const SystemRelease* const system = ingredients.systems.Find(name))
    return ExplainSystem(*system, plan, spec, ingredients);
  std::vector<std::string> systems;
  for (const SystemRelease& system : ingredients.systems.systems()) systems.push_back(system.name);
  const auto known = ingredients.devices.FindDevice(name);
  if (const std::string near = NearestWord(name, systems); !known.ok() && !near.empty())
    return BadInput(fmt::format("why_not: '{}' is no system and no device of the catalogue, did you mean '{}'?", name, near));
  if (!known.ok()) return BadInput(fmt::format("why_not: {}", known.error().message));
  const hardware::Device& device = *known;
  const auto on_device = [&](const Candidate& c) { return c.device->id == device.id; };
  const auto& candidates = plan.search.candidates;
  const auto found = std::find_if(candidates.begin(), candidates.end(), on_device);
  if (found != candidates.end()) return WhyNot{device.name, Reason(plan, *found)};
  Question question = plan.question;
  question.owned = std::nullopt;
  question.limits.device_classes.clear();
  question.limits.devices = {device.id};
  const Result<SearchResult> search = Search(question, spec, ingredients, options.sheet);
  if (!search.ok()) return WhyNot{device.name, "its bandwidth, memory or peak rate are not in the catalogue."};
  if (const std::string refused = Refused(*search, [](const Refusal&) { return true; });
      search->candidates.empty() && !refused.empty())
    return WhyNot{device.name, refused + "."};
  if (search->candidates.empty()) {
    return WhyNot{device.name, search->shortage
                                   ? fmt::format("the model does not fit: {}.", WordsOf(*search->shortage, search->variants))
                                   : "no layout of the model on so many of it is possible."};
  }
  return WhyNot{device.name, "it is not among the devices that the limits allow."};
}

void AddNotes(const model::ModelSpec& spec, const SystemSupport& systems, Plan& plan) {
  plan.notes = spec.notes;
  if (const std::string refused = Refused(plan.search, [](const Refusal& one) { return one.model; }); !refused.empty())
    plan.notes.push_back(fmt::format("Left out: {}.", refused));
  if (std::string note = NotCheckedNote(plan.search.not_checked); !note.empty()) plan.notes.push_back(std::move(note));
  if (const Candidate* best = plan.Best()) {
    if (best->Offloaded())
      plan.notes.emplace_back(
          "Which experts are read is taken from the published hit rates of one engine; a trace of this model says more.");
    const Load& load = plan.question.load;
    if (std::string note =
            StatesNote(systems.Find(best->system), best->memory, best->default_running, PlannedRunning(*best, load), load);
        !note.empty())
      plan.notes.push_back(std::move(note));
    if (best->serving.step.bytes > 0 && best->serving.s_mbu > 1)
      plan.notes.emplace_back("The predicted step would be faster than the memory allows; do not use it.");
  }
  if (plan.question.load.prefix_hit > 0)
    plan.notes.emplace_back(
        "Prefix hits are taken as given; they need memory that is not counted beyond the running requests.");
}

}  // namespace

std::string PlaceOf(const Offload& offload) {
  if (offload.residence == Residence::kDevice) return "all on the devices";
  const double ssd = 1 - offload.device_share - offload.dram_share;
  std::string place = fmt::format("{:.0f} % of the experts in {}",
                                  100 * (offload.residence == Residence::kSsd ? offload.dram_share : 1 - offload.device_share),
                                  offload.residence == Residence::kCopy ? "DRAM, copied" : "DRAM, computed there");
  if (offload.residence == Residence::kSsd) place += fmt::format(", {:.0f} % on an SSD", 100 * ssd);
  return place;
}

std::string Label(const Candidate& candidate, const std::vector<Variant>& variants) {
  std::string label = fmt::format("{} x {}, {}, {}", candidate.count, candidate.device->name, candidate.system,
                                  variants[candidate.variant].Precision());
  if (candidate.Offloaded()) label += ", " + PlaceOf(candidate.offload);
  return label;
}

Result<Plan> MakePlan(const Question& question, const model::ModelSpec& spec, const Ingredients& ingredients,
                      const PlanOptions& options) {
  RETURN_IF_ERROR(CheckQuestion(question));
  if (!spec.computes)
    return Failed(fmt::format("{}: only its weights are known, not what they compute; no time can be predicted", spec.id));
  ASSIGN_OR_RETURN(SearchResult search, Search(question, spec, ingredients, options.sheet));
  Plan plan;
  plan.model = spec.id;
  plan.question = question;
  plan.search = std::move(search);
  if (!plan.search.candidates.empty()) {
    plan.best = 0;
    plan.runner_up = RunnerUp(plan.search.candidates);
  }
  if (plan.best) {
    plan.curve = LoadCurve(question, plan.search, *plan.Best(), ingredients);
    constexpr double kNearlyAll = 0.9;
    plan.dense_from = DenseFrom(plan.search.variants.front().work, kNearlyAll);
  }
  if (options.changes && plan.best) {
    ASSIGN_OR_RETURN(plan.changes, Changes(plan, spec, ingredients, options));
  }
  for (const std::string& device : question.why_not) {
    ASSIGN_OR_RETURN(WhyNot why_not, Explain(device, plan, spec, ingredients, options));
    plan.why_not.push_back(std::move(why_not));
  }
  AddNotes(spec, ingredients.systems, plan);
  return plan;
}

}  // namespace moecap::planner
