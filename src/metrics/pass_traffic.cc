#include "metrics/pass_traffic.h"

#include <algorithm>
#include <cmath>

#include "metrics/pass_cost.h"

namespace moecap::metrics {
namespace {

using model::AttentionSpec;
using model::KvCacheSpec;
using model::LayerSpec;
using model::ModelSpec;
using model::TensorClass;
using record::PassRecord;
using record::SequenceSlice;

constexpr double kElementBytes = 4;

bool IsQuantised(const model::Weights& weights) { return weights.bytes < 2 * static_cast<double>(weights.params); }

bool IsLatent(const KvCacheSpec& cache) { return cache.absorbed_flops_per_entry > 0; }

// Elements of a latent entry without its rotary part, from 2 H (2 r + rope) FLOPs and r + rope elements an entry.
double LatentRank(const AttentionSpec& attention, const KvCacheSpec& cache) {
  return static_cast<double>(cache.absorbed_flops_per_entry) / (2.0 * attention.query_heads) -
         static_cast<double>(cache.elements);
}

// Results of the products before the FFN, for one token: queries, keys and values (or the latent entry, queries and values in
// its space), and the output projection.
double AttentionResults(const AttentionSpec& attention, double hidden) {
  const double queries = static_cast<double>(attention.query_heads) * attention.key_dim;
  double elements = queries + hidden;
  for (const KvCacheSpec& cache : attention.caches) {
    elements += static_cast<double>(cache.elements);
    if (IsLatent(cache)) elements += 2.0 * attention.query_heads * LatentRank(attention, cache);
  }
  return elements;
}

struct FfnResults {
  double routed = 0;  // gate, up and down of the chosen experts
  double others = 0;  // router, gate, up and down of shared experts or a dense FFN
  double gated = 0;   // activations between them
};

FfnResults ResultsOf(const LayerSpec& layer, double hidden) {
  const double active = layer.ffn.ActiveExperts();
  const double width = static_cast<double>(layer.ffn.expert_width);
  const double always = static_cast<double>(layer.ffn.shared_width + layer.ffn.dense_width);
  FfnResults results;
  results.routed = layer.ffn.moe() ? active * (2 * width + hidden) : 0;
  results.others = layer.ffn.experts + 2 * always + (always > 0 ? hidden : 0);
  results.gated = (layer.ffn.moe() ? active * width : 0) + always;
  return results;
}

void AddActivations(const LayerSpec& layer, double tokens, double hidden, PassTraffic& traffic) {
  const FfnResults ffn = ResultsOf(layer, hidden);
  const double attended = static_cast<double>(layer.attention.query_heads) * layer.attention.value_dim;
  constexpr double kResultsOfHidden = 5;  // two norms, two sums with the residual stream, the sum over experts
  const double written =
      AttentionResults(layer.attention, hidden) + attended + ffn.routed + ffn.others + ffn.gated + kResultsOfHidden * hidden;
  traffic.activations_written += kElementBytes * tokens * written;
  traffic.activations_read += kElementBytes * tokens * ffn.routed;
}

void AddAttention(const ModelSpec& model, const LayerSpec& layer, const PassRecord& pass, const KernelTraits& kernels,
                  PassTraffic& traffic) {
  const auto sequences = static_cast<double>(pass.SequenceCount());
  for (const SequenceSlice& slice : pass.sequences) {
    const double cells =
        std::ceil(static_cast<double>(slice.context_tokens + 1) / kernels.cells_at_once) * kernels.cells_at_once;
    for (const KvCacheSpec& cache : layer.attention.caches) {
      const double entry_bytes = static_cast<double>(slice.count) * cache.EntryBytes(model.kv_bits);
      traffic.kv_padding += entry_bytes * (cells - static_cast<double>(slice.context_tokens));
      traffic.kv_outside_windows +=
          entry_bytes * (static_cast<double>(slice.context_tokens) - cache.Read(slice.context_tokens, slice.new_tokens));
      if (!IsLatent(cache)) continue;
      const double parts = std::floor(std::min(cells / kernels.split_cells, std::max(1.0, kernels.split_blocks / sequences)));
      const double partial = layer.attention.query_heads * LatentRank(layer.attention, cache);
      traffic.attention_partials += kElementBytes * static_cast<double>(slice.count) * parts * partial;
    }
  }
}

// Reads of an expert after the first, summed over the experts of a layer, when `tokens` choose evenly.
double ExpectedRereads(double tokens, double chance, double experts, int tile) {
  double probability = std::pow(1 - chance, tokens);  // of no token
  double rereads = 0;
  for (int n = 1; n <= static_cast<int>(tokens); ++n) {
    probability *= (tokens - n + 1) / n * chance / (1 - chance);
    rereads += probability * static_cast<double>((n - 1) / tile);
  }
  return rereads * experts;
}

double Rereads(const LayerSpec& layer, const PassRecord& pass, int moe_layer, double distinct, const KernelTraits& kernels) {
  const auto tokens = static_cast<double>(pass.NewTokens());
  if (IsQuantised(layer.weights[TensorClass::kRoutedExpert])) {
    const double chosen = tokens * layer.ffn.ActiveExperts();
    return tokens <= kernels.vector_tokens ? kernels.vector_miss_share * (chosen - distinct) : 0;
  }
  if (tokens <= kernels.tile_tokens) return 0;
  const auto index = static_cast<size_t>(moe_layer);
  if (index >= pass.expert_counts.size())
    return ExpectedRereads(tokens, layer.ffn.ActiveExperts() / layer.ffn.experts, layer.ffn.experts, kernels.tile_tokens);
  double rereads = 0;
  for (const int32_t count : pass.expert_counts[index]) rereads += count > 0 ? (count - 1) / kernels.tile_tokens : 0;
  return rereads;
}

}  // namespace

std::optional<PassTraffic> TrafficOf(const ModelSpec& model, const PassRecord& pass, const KernelTraits& kernels) {
  if (pass.kind != record::PassKind::kDecode || pass.NewTokens() != pass.SequenceCount()) return std::nullopt;
  const auto formula = TermsOf(model, pass);
  if (!formula) return std::nullopt;
  PassTraffic traffic;
  traffic.formula = *formula;
  const auto tokens = static_cast<double>(pass.NewTokens());
  const auto hidden = static_cast<double>(model.hidden);
  int moe_layer = 0;
  for (const LayerSpec& layer : model.layers) {
    AddAttention(model, layer, pass, kernels, traffic);
    AddActivations(layer, tokens, hidden, traffic);
    if (!layer.ffn.moe()) continue;
    const double distinct = DistinctExperts(pass, moe_layer, model.MoeLayers()).value_or(0);
    const double expert_bytes = layer.weights[TensorClass::kRoutedExpert].bytes / layer.ffn.experts;
    const bool quantised = IsQuantised(layer.weights[TensorClass::kRoutedExpert]);
    (quantised ? traffic.quantised_rereads : traffic.expert_rereads) +=
        expert_bytes * Rereads(layer, pass, moe_layer, distinct, kernels);
    ++moe_layer;
  }
  if (IsQuantised(model.Head()) && tokens > kernels.vector_tokens)
    traffic.block_overread = kernels.block_overread_share * model.Head().bytes;
  traffic.logits = kElementBytes * tokens * static_cast<double>(model.vocab);
  return traffic;
}

}  // namespace moecap::metrics
