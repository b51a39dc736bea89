#include "experiment/server_passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "metrics/estimate.h"

namespace moecap::experiment {
namespace {

using metrics::PassShare;
using record::PassRecord;
using record::RequestRecord;

// Numbers in the counts of all passes of a measurement; beyond it only how many experts differ is kept.
constexpr size_t kMostCounts = 20'000'000;

// Where the experts of each MoE layer stand in what a server tells: some number all layers, some those with experts.
Result<std::vector<int>> PlacesOf(const model::ModelSpec& model, int told_layers) {
  std::vector<int> places;
  for (size_t i = 0; i < model.layers.size(); ++i) {
    if (model.layers[i].ffn.experts > 0) places.push_back(static_cast<int>(i));
  }
  if (told_layers == std::ssize(model.layers)) return places;
  if (told_layers != std::ssize(places))
    return BadInput(
        fmt::format("the server tells experts of {} layers, but {} has {}, {} of them with experts; give the model "
                    "that it serves",
                    told_layers, model.id, model.layers.size(), places.size()));
  for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int>(i);
  return places;
}

// Counts tokens per expert over the rows of one pass.
class PassCounter {
 public:
  PassCounter(const model::ModelSpec& model, std::vector<int> places)
      : places_(std::move(places)), counts_(places_.size(), std::vector<int32_t>(static_cast<size_t>(model.Experts()))) {}

  // False when a row is not there, or shows no choice.
  bool Add(const routing::RoutedExperts& experts, int64_t begin, int64_t count) {
    if (begin + count > experts.rows) return false;
    for (int64_t row = begin; row < begin + count; ++row) {
      for (size_t layer = 0; layer < places_.size(); ++layer) {
        if (!experts.IsChoice(row, places_[layer])) return false;
        for (const uint16_t id : experts.Ids(row, places_[layer])) {
          if (id >= counts_[layer].size()) return false;
          ++counts_[layer][id];
        }
      }
    }
    return true;
  }

  void TakeInto(PassRecord& pass, bool keep_counts) {
    pass.distinct_experts.clear();
    for (const std::vector<int32_t>& layer : counts_)
      pass.distinct_experts.push_back(static_cast<double>(std::ranges::count_if(layer, [](int32_t n) { return n > 0; })));
    pass.distinct_experts_source = record::Source::kServerReported;
    if (keep_counts) pass.expert_counts = counts_;
    Clear();
  }

  void Clear() {
    for (std::vector<int32_t>& layer : counts_) std::ranges::fill(layer, 0);
  }

 private:
  std::vector<int> places_;
  std::vector<std::vector<int32_t>> counts_;
};

void CompareTokens(std::span<const RequestRecord> requests, std::span<const ToldExperts* const> told, ServerPassFacts& facts) {
  int64_t compared = 0, same = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (told[i] == nullptr || told[i]->token_ids.empty() || requests[i].token_ids.empty()) continue;
    ++compared;
    if (told[i]->token_ids == requests[i].token_ids) ++same;
  }
  if (compared > 0) facts.same_tokens = static_cast<double>(same) / static_cast<double>(compared);
}

int LayersTold(std::span<const ToldExperts* const> told) {
  for (const ToldExperts* answer : told) {
    if (answer != nullptr && !answer->experts.empty()) return answer->experts.layers;
  }
  return 0;
}

// Whether the experts of a pass, where it holds any, are those of the model's layers.
bool IsOf(const model::ModelSpec& model, const PassRecord& pass) {
  const auto layers = static_cast<size_t>(model.MoeLayers());
  const auto fits = [&](size_t told) { return told == 0 || told == layers; };
  return (fits(pass.distinct_experts.size()) || pass.distinct_experts.size() == 1) && fits(pass.expert_counts.size()) &&
         std::ranges::all_of(pass.expert_counts, [&](const auto& layer) { return std::ssize(layer) == model.Experts(); });
}

}  // namespace

bool MayAskForExperts(const model::ModelSpec& model, const ServerPassFacts& facts) {
  return facts.missing.empty() && !facts.recorded && model.MoeLayers() > 0;
}

metrics::PassReconstruction ReconstructServerPasses(std::span<const RequestRecord> requests, const metrics::PassRule* rule,
                                                    std::span<const LoggedPass> logged, ServerPassFacts& facts) {
  metrics::PassReconstruction passes;
  if (rule != nullptr) {
    passes = metrics::ReconstructPasses(requests, *rule);
  } else {
    passes.missing = "how this server forms its passes is not known";
  }
  facts.missing = passes.missing;
  if (!logged.empty() && facts.missing.empty()) {
    facts.logged = std::ssize(logged);
    facts.logged_alike = CountAlike(logged, passes.passes);
  }
  return passes;
}

bool UseRecordedPasses(const model::ModelSpec& model, const routing::ActivationSheet* sheet,
                       std::span<const PassRecord> recorded, metrics::PassReconstruction& passes, ServerPassFacts& facts) {
  if (recorded.empty()) return false;
  if (!std::ranges::all_of(recorded, [&](const PassRecord& pass) { return IsOf(model, pass); })) {
    facts.recorded_missing = fmt::format(
        "the recorded passes hold experts of other layers than those of {}, which has {} layers of {} experts; give the model "
        "that the server runs",
        model.id, model.MoeLayers(), model.Experts());
    return false;
  }
  std::vector<LoggedPass> compositions;
  for (const PassRecord& pass : recorded) compositions.push_back(CompositionOf(pass));
  facts.recorded = std::ssize(recorded);
  if (passes.missing.empty()) facts.recorded_alike = CountAlike(compositions, passes.passes);
  facts.missing.clear();
  passes.passes.assign(recorded.begin(), recorded.end());
  metrics::ExpertEstimate estimate;
  estimate.sheet = sheet;
  metrics::FillDistinctExperts(model, estimate, passes.passes);
  return true;
}

Status AddExperts(const model::ModelSpec& model, const routing::ActivationSheet* sheet, std::span<const RequestRecord> requests,
                  std::span<const ToldExperts* const> told, metrics::PassReconstruction& passes, ServerPassFacts& facts) {
  metrics::ExpertEstimate estimate;
  estimate.sheet = sheet;
  const int layers = LayersTold(told);
  if (layers == 0) {
    metrics::FillDistinctExperts(model, estimate, passes.passes);
    return {};
  }
  CompareTokens(requests, told, facts);
  ASSIGN_OR_RETURN(std::vector<int> places, PlacesOf(model, layers));
  const size_t numbers = passes.passes.size() * places.size() * static_cast<size_t>(model.Experts());
  PassCounter counter(model, std::move(places));
  int64_t complete = 0;
  for (size_t i = 0; i < passes.passes.size(); ++i) {
    const bool all = std::ranges::all_of(passes.shares[i], [&](const PassShare& share) {
      const ToldExperts* answer = told[share.request];
      return answer != nullptr && answer->experts.layers == layers && counter.Add(answer->experts, share.begin, share.count);
    });
    if (all) {
      ++complete;
      counter.TakeInto(passes.passes[i], numbers <= kMostCounts);
    } else {
      counter.Clear();
    }
  }
  metrics::FillDistinctExperts(model, estimate, passes.passes);
  if (!passes.passes.empty()) facts.told = static_cast<double>(complete) / static_cast<double>(passes.passes.size());
  return {};
}

}  // namespace moecap::experiment
