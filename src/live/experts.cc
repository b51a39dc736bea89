#include "live/experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <cmath>

#include "metrics/estimate.h"
#include "routing/estimate.h"
#include "stats/ratios.h"

namespace moecap::live {
namespace {

constexpr int64_t kLongestBlock = 256;
constexpr double kRefitGrowth = 1.25;
constexpr size_t kMostKnown = 4096;  // compositions

std::vector<std::pair<int64_t, int64_t>> CompositionOf(const record::PassRecord& pass) {
  std::map<int64_t, int64_t> sequences;
  for (const record::SequenceSlice& slice : pass.sequences) sequences[slice.new_tokens] += slice.count;
  return {sequences.begin(), sequences.end()};
}

double EffectiveTokens(const std::vector<std::pair<int64_t, int64_t>>& sequences, double exponent) {
  double tokens = 0;
  for (const auto& [new_tokens, count] : sequences)
    tokens += static_cast<double>(count) * std::pow(static_cast<double>(new_tokens), exponent);
  return tokens;
}

}  // namespace

std::string_view Name(ExpertSource source) {
  switch (source) {
    case ExpertSource::kNone:
      return "none";
    case ExpertSource::kEstimated:
      return "estimated";
    case ExpertSource::kSheet:
      return "sheet";
    case ExpertSource::kSampled:
      return "sampled";
  }
  return "none";
}

Experts::Experts(const model::ModelSpec& model, std::optional<routing::ActivationSheet> sheet)
    : model_(model), sheet_(std::move(sheet)) {
  for (size_t i = 0; i < model.layers.size(); ++i) {
    const model::FfnSpec& ffn = model.layers[i].ffn;
    if (!ffn.moe()) continue;
    Layer layer;
    layer.index = static_cast<int>(i);
    layer.experts = ffn.experts;
    layer.top_k = ffn.ActiveExperts();
    layers_.push_back(std::move(layer));
  }
  ForgetAnswers();
}

void Experts::ForgetAnswers() {
  answers_ = 0;
  known_.clear();
  for (Layer& layer : layers_) {
    layer.counts.assign(kMostGroups, std::vector<int64_t>(static_cast<size_t>(layer.experts), 0));
    layer.tokens.assign(kMostGroups, 0);
    layer.blocks.clear();
    for (int64_t size = 1; size <= kLongestBlock; size *= 2) layer.blocks.push_back({size, 0, 0});
    layer.exponent.reset();
    layer.fitted_tokens = 0;
  }
}

int64_t Experts::tokens() const {
  int64_t tokens = 0;
  if (!layers_.empty()) {
    for (const int64_t group : layers_.front().tokens) tokens += group;
  }
  return tokens;
}

ExpertSource Experts::source() const {
  if (layers_.empty()) return ExpertSource::kNone;
  if (answers_ >= kLeastAnswers) return ExpertSource::kSampled;
  return sheet_ ? ExpertSource::kSheet : ExpertSource::kEstimated;
}

Status Experts::AddAnswer(const routing::RoutedExperts& answer) {
  const bool all_layers = answer.layers == static_cast<int>(model_.layers.size());
  if (!all_layers && answer.layers != static_cast<int>(layers_.size())) {
    return BadInput(fmt::format("the server tells the experts of {} layers, but {} has {}, {} of them with experts",
                                answer.layers, model_.id, model_.layers.size(), layers_.size()));
  }
  for (const Layer& layer : layers_) {
    const int of = all_layers ? layer.index : static_cast<int>(&layer - layers_.data());
    const int zero = model_.layers[static_cast<size_t>(layer.index)].ffn.zero_experts;
    for (int64_t row = 0; row < answer.rows; ++row) {
      for (const uint16_t id : answer.Ids(row, of)) {
        if (id == routing::kNoExpert || id < layer.experts + zero) continue;
        return BadInput(
            fmt::format("the server tells expert {} of layer {}, but {} has {} there", id, of, model_.id, layer.experts));
      }
    }
  }
  const auto group = static_cast<size_t>(answers_ % kMostGroups);
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const int of = all_layers ? layer.index : static_cast<int>(i);
    for (int64_t row = 0; row < answer.rows; ++row) {
      if (!answer.IsChoice(row, of)) continue;
      ++layer.tokens[group];
      for (const uint16_t id : answer.Ids(row, of)) {
        if (id < layer.experts) ++layer.counts[group][id];
      }
    }
    AddBlocks(layer, answer, of);
  }
  ++answers_;
  known_.clear();
  return {};
}

void Experts::AddBlocks(Layer& layer, const routing::RoutedExperts& answer, int row_layer) {
  for (routing::CoveragePoint& block : layer.blocks) {
    for (int64_t begin = 0; begin + block.tokens <= answer.rows; begin += block.tokens) {
      std::bitset<routing::kMostExperts> used;
      for (int64_t row = begin; row < begin + block.tokens; ++row) {
        for (const uint16_t id : answer.Ids(row, row_layer)) {
          if (id < layer.experts) used.set(id);
        }
      }
      const auto before = static_cast<double>(block.samples);
      block.distinct = (block.distinct * before + static_cast<double>(used.count())) / (before + 1);
      ++block.samples;
    }
  }
}

void Experts::FitExponent(Layer& layer) const {
  int64_t tokens = 0;
  std::vector<double> share(static_cast<size_t>(layer.experts), 0);
  for (size_t group = 0; group < layer.counts.size(); ++group) {
    tokens += layer.tokens[group];
    for (size_t expert = 0; expert < share.size(); ++expert) share[expert] += static_cast<double>(layer.counts[group][expert]);
  }
  if (static_cast<double>(tokens) < kRefitGrowth * static_cast<double>(layer.fitted_tokens)) return;
  layer.fitted_tokens = tokens;
  layer.exponent = routing::FitInSequenceExponent(layer.blocks, share, layer.top_k);
}

double Experts::Rarefied(const Layer& layer, double tokens, int left_out) const {
  std::vector<int64_t> counts(static_cast<size_t>(layer.experts), 0);
  int64_t all = 0;
  for (int group = 0; group < kMostGroups; ++group) {
    if (group == left_out) continue;
    const auto& own = layer.counts[static_cast<size_t>(group)];
    for (size_t expert = 0; expert < counts.size(); ++expert) counts[expert] += own[expert];
    all += layer.tokens[static_cast<size_t>(group)];
  }
  const auto low = static_cast<int64_t>(tokens);
  if (low + 1 <= all) {
    const double below = routing::DistinctExpertsRarefied(counts, all, low);
    if (tokens == static_cast<double>(low)) return below;
    return below + (tokens - static_cast<double>(low)) * (routing::DistinctExpertsRarefied(counts, all, low + 1) - below);
  }
  // More tokens than the sample has: its popularity goes on, but for what it has seen already.
  const std::vector<double> share(counts.begin(), counts.end());
  const auto seen = std::ranges::count_if(counts, [](int64_t count) { return count > 0; });
  return std::max(static_cast<double>(seen), routing::DistinctExpertsFromPopularity(share, layer.top_k, tokens));
}

Experts::Distinct Experts::Sampled(const record::PassRecord& pass) {
  const auto composition = CompositionOf(pass);
  const int groups = std::min(answers_, kMostGroups);
  Distinct distinct;
  distinct.variants.resize(static_cast<size_t>(groups));
  for (Layer& layer : layers_) {
    FitExponent(layer);
    const double tokens = EffectiveTokens(composition, layer.exponent.value_or(routing::kInSequenceExponent));
    distinct.expected.push_back(Rarefied(layer, tokens, -1));
    for (int group = 0; group < groups; ++group)
      distinct.variants[static_cast<size_t>(group)].push_back(Rarefied(layer, tokens, group));
  }
  return distinct;
}

Experts::Distinct Experts::Of(const record::PassRecord& pass) {
  if (layers_.empty()) return {};
  if (known_.size() >= kMostKnown) known_.clear();
  const auto [entry, is_new] = known_.try_emplace(CompositionOf(pass));
  if (!is_new) return entry->second;
  if (source() == ExpertSource::kSampled) return entry->second = Sampled(pass);
  const auto estimate = [&](metrics::ExpertEstimate of) {
    if (sheet_) of.sheet = &*sheet_;
    std::vector<record::PassRecord> one = {pass};
    one.front().distinct_experts.clear();
    one.front().expert_counts.clear();
    metrics::FillDistinctExperts(model_, of, one);
    return std::move(one.front().distinct_experts);
  };
  entry->second.expected = estimate({});
  entry->second.variants = {estimate(metrics::kFewestExperts), estimate(metrics::kMostExperts)};
  return entry->second;
}

stats::Interval Experts::Band(double expected, std::span<const double> variants) const {
  if (variants.empty()) return {expected, expected};
  if (source() != ExpertSource::kSampled) {
    const auto [low, high] = std::ranges::minmax(variants);
    return {std::min(low, expected), std::max(high, expected)};
  }
  const auto groups = static_cast<double>(variants.size());
  double mean = 0, squares = 0;
  for (const double value : variants) mean += value / groups;
  for (const double value : variants) squares += (value - mean) * (value - mean);
  const double error = std::sqrt((groups - 1) / groups * squares);
  const double half = stats::TwoSidedT(groups - 1, 0.95) * error;
  return {expected - half, expected + half};
}

}  // namespace moecap::live
