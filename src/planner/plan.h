// The whole answer to a question: the best way, the next, what would change it, and why it is not the device that was named.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/curve.h"
#include "planner/search.h"

namespace moecap::planner {

// The question with one thing changed, and what would then be the best.
struct Change {
  std::string what;   // "twice the clients"
  std::string best;   // Label() of it; "" = nothing keeps the targets
  bool same = false;  // the same devices and count as the plan's own
  std::optional<double> usd_per_month, tpot_s;
  ErrorBand band;  // of the time
};

struct WhyNot {
  std::string device;  // name; or a system with its version
  std::string reason;  // a sentence
};

struct Plan {
  std::string model;
  Question question;
  SearchResult search;
  std::optional<size_t> best;         // in search.candidates; null: nothing fits
  std::optional<size_t> runner_up;    // on other devices, or of another count
  std::vector<LoadPoint> curve;       // of the best
  std::optional<int64_t> dense_from;  // tokens of a step that read nine tenths of the experts (DenseFrom)
  std::vector<Change> changes;
  std::vector<WhyNot> why_not;
  std::vector<std::string> notes;

  const Candidate* Best() const { return best ? &search.candidates[*best] : nullptr; }
  bool Answered() const { return best && Best()->Answers(); }
};

// Where the experts lie: "all on the devices", "84 % of the experts in DRAM, computed there".
std::string PlaceOf(const Offload& offload);

// "4 x H200 SXM, vllm, as stored (fp8)"
std::string Label(const Candidate& candidate, const std::vector<Variant>& variants);

struct PlanOptions {
  bool changes = true;  // the sensitivity costs a search each
  const routing::ActivationSheet* sheet = nullptr;
};

// Errors: kBadInput of CheckQuestion and Search; kFailed for a model that only its weights are known of.
Result<Plan> MakePlan(const Question& question, const model::ModelSpec& spec, const Ingredients& ingredients,
                      const PlanOptions& options = {});

}  // namespace moecap::planner
