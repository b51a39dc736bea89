#include "metrics/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

namespace moecap::metrics {
namespace {

// How many sequences have so many new tokens: all that an estimate depends on.
using Composition = std::map<int64_t, int64_t>;

Composition CompositionOf(const record::PassRecord& pass) {
  Composition sequences;
  for (const record::SequenceSlice& slice : pass.sequences) {
    if (slice.new_tokens > 0) sequences[slice.new_tokens] += slice.count;
  }
  return sequences;
}

double EffectiveTokens(const Composition& sequences, double exponent) {
  double tokens = 0;
  for (const auto& [new_tokens, count] : sequences)
    tokens += static_cast<double>(count) * std::pow(static_cast<double>(new_tokens), exponent);
  return std::max(tokens, 0.0);
}

constexpr double kMostExponent = 2;  // of a sheet; tokens that choose independently have 1

// What one MoE layer's experts follow from.
struct LayerEstimate {
  double experts = 0, top_k = 0, exponent = 0;
  std::optional<std::vector<double>> popularity;  // null: Beta-binomial with `cv`
  double cv = 0;

  double Of(const Composition& sequences) const {
    const double tokens = EffectiveTokens(sequences, exponent);
    if (!popularity) return routing::DistinctExpertsBetaBinomial(experts, top_k, tokens, cv);
    const double distinct = routing::DistinctExpertsFromPopularity(*popularity, top_k, tokens);
    return tokens >= 1 ? std::max(distinct, top_k) : distinct;
  }
};

std::vector<LayerEstimate> LayersOf(const model::ModelSpec& model, const ExpertEstimate& estimate) {
  std::vector<LayerEstimate> layers;
  for (const model::LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe()) continue;
    LayerEstimate own{static_cast<double>(layer.ffn.experts), layer.ffn.ActiveExperts(), estimate.in_sequence_exponent,
                      std::nullopt, estimate.cv};
    if (estimate.sheet != nullptr) {
      const routing::SheetLayer& row = estimate.sheet->layers[layers.size()];
      own.exponent = row.in_sequence_exponent.value_or(own.exponent);
      own.popularity = routing::PopularityAt(row, own.top_k, estimate.end);
    }
    layers.push_back(std::move(own));
  }
  return layers;
}

std::vector<double> DistinctOf(const std::vector<LayerEstimate>& layers, const Composition& sequences) {
  std::vector<double> distinct;
  distinct.reserve(layers.size());
  for (const LayerEstimate& layer : layers) distinct.push_back(layer.Of(sequences));
  return distinct;
}

}  // namespace

std::vector<double> EstimateDistinctExperts(const model::ModelSpec& model, const record::PassRecord& pass, double cv,
                                            double in_sequence_exponent) {
  return DistinctOf(LayersOf(model, {cv, in_sequence_exponent}), CompositionOf(pass));
}

Status CheckSheet(const model::ModelSpec& model, const routing::ActivationSheet& sheet) {
  const std::string of = sheet.model.empty() ? "" : fmt::format(" of {}", sheet.model);
  const auto refuse = [&](const std::string& what) {
    return BadInput(fmt::format("the activation sheet{} {}; give a sheet of this model (moecap trace FILE --sheet)", of, what));
  };
  const size_t moe_layers = static_cast<size_t>(model.MoeLayers());
  if (moe_layers == 0) return BadInput(fmt::format("{} has no experts, so no activation sheet can be of it", model.id));
  if (sheet.layers.size() != moe_layers)
    return refuse(fmt::format("has {} layers, but {} has {} with experts", sheet.layers.size(), model.id, moe_layers));
  size_t index = 0;
  for (const model::LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe()) continue;
    const routing::SheetLayer& row = sheet.layers[index++];
    if (sheet.experts != layer.ffn.experts)
      return refuse(fmt::format("has {} experts a layer, but {} has {}", sheet.experts, model.id, layer.ffn.experts));
    if (sheet.top_k > 0 && sheet.top_k != layer.ffn.top_k)
      return refuse(fmt::format("is of top-{} routing, but {} routes to {}", sheet.top_k, model.id, layer.ffn.top_k));
    const double sum = std::accumulate(row.popularity.begin(), row.popularity.end(), 0.0);
    if (!(sum > 0)) return refuse(fmt::format("saw no tokens in layer {}", row.layer));
    const double exponent = row.in_sequence_exponent.value_or(routing::kInSequenceExponent);
    if (!std::isfinite(sum) || !(exponent >= 0 && exponent <= kMostExponent))
      return refuse(fmt::format("has a popularity or an exponent in layer {} that no recording gives", row.layer));
  }
  return {};
}

bool NeedsEstimate(const record::PassRecord& pass) {
  if (!pass.expert_counts.empty()) return false;
  return pass.distinct_experts.empty() || pass.distinct_experts_source == record::Source::kEstimated;
}

int64_t FillDistinctExperts(const model::ModelSpec& model, const ExpertEstimate& estimate,
                            std::vector<record::PassRecord>& passes) {
  const std::vector<LayerEstimate> layers = LayersOf(model, estimate);
  if (layers.empty()) return 0;
  std::map<Composition, std::vector<double>> known;  // passes of equal composition are many
  int64_t filled = 0;
  for (record::PassRecord& pass : passes) {
    if (!NeedsEstimate(pass)) continue;
    const auto [entry, is_new] = known.try_emplace(CompositionOf(pass));
    if (is_new) entry->second = DistinctOf(layers, entry->first);
    pass.distinct_experts = entry->second;
    pass.distinct_experts_source = record::Source::kEstimated;
    ++filled;
  }
  return filled;
}

}  // namespace moecap::metrics
