#include "metrics/engine_memory.h"

#include <algorithm>

namespace moecap::metrics {
namespace {

constexpr int64_t kCellBlock = 256;
constexpr double kFloatBytes = 4, kMaskBytes = 2;

int64_t Padded(int64_t cells) { return (cells + kCellBlock - 1) / kCellBlock * kCellBlock; }

// Cells of one slot for a cache.
int64_t CellsOf(const model::KvCacheSpec& cache, const EngineMemoryDemand& demand) {
  const int64_t all = Padded(demand.context_tokens);
  if (cache.window == 0 || demand.full_windows) return all;
  return std::min(all, Padded(std::min(all, cache.window + demand.pass_tokens)));
}

// Elements for each token of a graph that are live at once in the widest place of a layer.
double WidestOf(const model::LayerSpec& layer, double hidden) {
  const model::FfnSpec& ffn = layer.ffn;
  const double routed = static_cast<double>(ffn.top_k) * static_cast<double>(ffn.expert_width);
  const double width = std::max({routed, static_cast<double>(ffn.shared_width), static_cast<double>(ffn.dense_width)});
  double widest = 3 * width + 4 * hidden;
  const model::AttentionSpec& attention = layer.attention;
  if (attention.kind == model::AttentionKind::kMla && !attention.caches.empty()) {
    const model::KvCacheSpec& latent = attention.caches.front();
    const auto value = static_cast<double>(latent.elements - latent.rope_elements);
    const double head = attention.key_dim + 2 * static_cast<double>(latent.elements) + value;
    widest = std::max(widest, attention.query_heads * head + 2 * hidden);
  }
  return widest;
}

}  // namespace

EngineMemory MemoryOfEngine(const model::ModelSpec& model, const EngineMemoryDemand& demand) {
  const auto slots = static_cast<double>(demand.slots), tokens = static_cast<double>(demand.pass_tokens);
  const auto hidden = static_cast<double>(model.hidden), vocab = static_cast<double>(model.vocab);
  EngineMemory memory;
  memory.weights = model.WeightBytes();
  double widest = 0;
  int64_t whole = 0, windowed = 0;  // cells of a slot in each kind of cache
  for (const model::LayerSpec& layer : model.layers) {
    for (const model::KvCacheSpec& cache : layer.attention.caches) {
      if (cache.borrowed) continue;
      const int64_t cells = CellsOf(cache, demand);
      memory.kv_cache += slots * static_cast<double>(cells) * cache.EntryBytes(model.kv_bits);
      int64_t& kind = cache.window > 0 ? windowed : whole;
      kind = std::max(kind, cells);
    }
    const int64_t state = layer.attention.state_elements + layer.attention.conv_state_elements;
    memory.kv_cache += slots * static_cast<double>(state) * model.state_bits / 8;
    widest = std::max(widest, WidestOf(layer, hidden));
  }
  const double layer = kFloatBytes * widest + kMaskBytes * static_cast<double>(whole + windowed);
  memory.compute = tokens * std::max(layer, kFloatBytes * (vocab + 2 * hidden));
  memory.outputs = slots * vocab * kFloatBytes;
  return memory;
}

}  // namespace moecap::metrics
