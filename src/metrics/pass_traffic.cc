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
using model::Weights;
using record::PassRecord;
using record::SequenceSlice;

constexpr double kElementBytes = 4;

bool IsQuantised(const Weights& weights) { return weights.bytes < 2 * static_cast<double>(weights.params); }

// One of an expert's three matrices.
double MatrixBytes(const LayerSpec& layer) { return layer.weights[TensorClass::kRoutedExpert].bytes / layer.ffn.experts / 3; }

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

// Blocks that so many tiles of latent attention are divided over; as many for each tile where at most a twentieth is lost by
// it.
double SplitBlocks(double tiles, double cells, const KernelTraits& kernels) {
  constexpr double kMostLost = 0.05;
  const double at_once = kernels.blocks_each * kernels.multiprocessors;
  const double blocks = std::min(at_once, std::ceil(cells / kernels.split_cells) * tiles);
  const double even = std::floor(blocks / tiles) * tiles;
  return blocks - even <= kMostLost * blocks ? even : blocks;
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
      const double tiles = sequences * std::ceil(static_cast<double>(layer.attention.query_heads) / kernels.split_heads);
      const double blocks = SplitBlocks(tiles, cells, kernels);
      const double partial = std::min(kernels.split_heads, layer.attention.query_heads) * LatentRank(layer.attention, cache);
      if (blocks > tiles)
        traffic.attention_partials += kElementBytes * blocks * partial * static_cast<double>(slice.count) / sequences;
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

// Reads of 16-bit experts after the first: one for each further tile. None where all experts' matrices fit the cache together.
double TileRereads(const LayerSpec& layer, const PassRecord& pass, int moe_layer, double distinct,
                   const KernelTraits& kernels) {
  const auto tokens = static_cast<double>(pass.NewTokens());
  if (tokens <= kernels.tile_tokens || distinct * MatrixBytes(layer) <= kernels.cache_bytes) return 0;
  const auto index = static_cast<size_t>(moe_layer);
  if (index >= pass.expert_counts.size())
    return ExpectedRereads(tokens, layer.ffn.ActiveExperts() / layer.ffn.experts, layer.ffn.experts, kernels.tile_tokens);
  double rereads = 0;
  for (const int32_t count : pass.expert_counts[index]) rereads += count > 0 ? (count - 1) / kernels.tile_tokens : 0;
  return rereads;
}

// Chance that an expert's second token finds it no more in the cache, when the slots of two tokens are even and independent
// and one slot reads `slot_bytes`: they are d slots apart in 2 (k - d) of k x k cases.
double SlotMissShare(double slots, double slot_bytes, double cache_bytes) {
  double share = 0;
  for (double apart = 1; apart < slots; ++apart)
    if (apart * slot_bytes > cache_bytes) share += 2 * (slots - apart) / (slots * slots);
  return share;
}

// Bytes of quantised experts that are read again by the slots of vector products.
double SlotRereadBytes(const LayerSpec& layer, double tokens, double distinct, const KernelTraits& kernels) {
  if (tokens > kernels.vector_tokens) return 0;
  const double experts = layer.ffn.experts;
  const double of_slot = experts * (1 - std::pow(1 - 1 / experts, tokens));
  const double matrix = MatrixBytes(layer);
  double bytes = 0;
  for (const double kernel_bytes : {2 * matrix, matrix})  // gate and up, down
    bytes += kernel_bytes * SlotMissShare(layer.ffn.ActiveExperts(), of_slot * kernel_bytes, kernels.cache_bytes);
  return (tokens * layer.ffn.ActiveExperts() - distinct) * bytes;
}

// Bytes of a quantised matrix behind its rows' ends that are read twice: once there, once where the next row begins, unless the
// cache still holds it, which then holds all but one step of the rows that are read at once. A piece begins anywhere in a
// sector, and blocks are an even number of bytes.
double RowOverread(const Weights& matrix, double row, double tokens, const KernelTraits& kernels) {
  if (!IsQuantised(matrix) || tokens <= kernels.vector_tokens || row <= 0) return 0;
  const double steps = std::ceil(row / kernels.row_step);
  const double over = steps * kernels.row_step - row;
  const double row_bytes = matrix.matrix_bytes / static_cast<double>(matrix.matrix_params) * row;
  const double between = kernels.multiprocessors * kernels.tile_rows * row_bytes * (steps - 1) / steps;
  if (over == 0 || between <= kernels.cache_bytes) return 0;
  const double rows = static_cast<double>(matrix.matrix_params) / row;
  return rows * (over / row * row_bytes + kernels.sector_bytes - 2);
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
    if (IsQuantised(layer.weights[TensorClass::kRoutedExpert]))
      traffic.quantised_rereads += SlotRereadBytes(layer, tokens, distinct, kernels);
    else
      traffic.expert_rereads += 3 * MatrixBytes(layer) * TileRereads(layer, pass, moe_layer, distinct, kernels);
    ++moe_layer;
  }
  traffic.row_overread = RowOverread(model.Head(), hidden, tokens, kernels);
  traffic.logits = kElementBytes * tokens * static_cast<double>(model.vocab);
  return traffic;
}

}  // namespace moecap::metrics
