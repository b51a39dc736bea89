#include "metrics/pass_cost.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace moecap::metrics {
namespace {

using model::KvCacheSpec;
using model::LayerSpec;
using model::ModelSpec;
using model::TensorClass;
using model::Weights;
using record::PassRecord;
using record::SequenceSlice;

constexpr std::array kAlwaysRead = {TensorClass::kAttention, TensorClass::kRouter, TensorClass::kSharedExpert,
                                    TensorClass::kDenseFfn,  TensorClass::kNorm,   TensorClass::kOther};
constexpr std::array kAlwaysReadPaper = {TensorClass::kAttention, TensorClass::kSharedExpert, TensorClass::kDenseFfn};
constexpr std::array kAlwaysMultiplied = {TensorClass::kAttention, TensorClass::kRouter, TensorClass::kSharedExpert,
                                          TensorClass::kDenseFfn, TensorClass::kOther};
constexpr std::array kAlwaysMultipliedPaper = {TensorClass::kAttention, TensorClass::kRouter, TensorClass::kSharedExpert,
                                               TensorClass::kDenseFfn};

double Count(int64_t value) { return static_cast<double>(value); }

// Layers of the encoder of an encoder-decoder model run when the prompt is read, not for decoded tokens.
bool Runs(const LayerSpec& layer, const PassRecord& pass) { return !(layer.encoder && pass.kind == record::PassKind::kDecode); }

double KvEntries(const KvCacheSpec& cache, const SequenceSlice& slice, Convention convention) {
  if (convention != Convention::kPaper) {
    return cache.Read(slice.context_tokens, slice.new_tokens) + cache.Written(slice.context_tokens, slice.new_tokens);
  }
  // Eq. 4 counts the whole cache after the pass; of sparse caches what the queries can select.
  KvCacheSpec owned = cache;
  owned.borrowed = false;
  const double resident = owned.Resident(slice.context_tokens + slice.new_tokens);
  return cache.top_k > 0 ? std::min(resident, Count(cache.top_k) * Count(slice.new_tokens)) : resident;
}

// Bytes of the layers' weights of one layer without its routed experts.
double FixedLayerBytes(const LayerSpec& layer, Convention convention, const Replication& replication) {
  double bytes = 0;
  if (convention == Convention::kPaper) {
    for (const TensorClass c : kAlwaysReadPaper) bytes += layer.weights[c].matrix_bytes;
  } else {
    for (const TensorClass c : kAlwaysRead) bytes += replication.OfWeights(c) * layer.weights[c].bytes;
  }
  return bytes;
}

double RoutedExpertBytes(const LayerSpec& layer, Convention convention) {
  const Weights& routed = layer.weights[TensorClass::kRoutedExpert];
  return (convention == Convention::kPaper ? routed.matrix_bytes : routed.bytes) / layer.ffn.experts;
}

// Head, final norm and whatever else lies outside the layers, once; one embedding row per token.
double EndBytes(const ModelSpec& model, double tokens, const Replication& replication) {
  const Weights& embedding = model.ends[TensorClass::kEmbedding];
  double bytes = replication.OfWeights(TensorClass::kHead) * model.Head().bytes;
  for (const TensorClass c : {TensorClass::kNorm, TensorClass::kOther}) bytes += replication.OfWeights(c) * model.ends[c].bytes;
  if (model.vocab > 0) bytes += tokens * embedding.bytes / Count(model.vocab);
  return bytes;
}

// Tokens that go through the FFN of a layer: the rows routed there if recorded (null counts: all tokens of the pass).
double FfnRows(const LayerSpec& layer, const PassRecord& pass, int moe_layer, double tokens) {
  const auto index = static_cast<size_t>(moe_layer);
  if (!layer.ffn.moe() || index >= pass.expert_counts.size() || layer.ffn.top_k == 0) return tokens;
  const std::vector<int32_t>& counts = pass.expert_counts[index];
  const double routed = std::accumulate(counts.begin(), counts.end(), 0.0);
  return routed / layer.ffn.top_k;
}

double FlopsPerPair(const KvCacheSpec& cache, MlaForm form) {
  const bool absorbed = form == MlaForm::kAbsorbed && cache.absorbed_flops_per_entry > 0;
  return Count(absorbed ? cache.absorbed_flops_per_entry : cache.flops_per_entry);
}

double AttentionFlops(const LayerSpec& layer, const PassRecord& pass, MlaForm form) {
  double flops = 0;
  for (const SequenceSlice& slice : pass.sequences) {
    for (const KvCacheSpec& cache : layer.attention.caches) {
      flops += Count(slice.count) * FlopsPerPair(cache, form) * cache.Pairs(slice.context_tokens, slice.new_tokens);
    }
  }
  return flops;
}

// FLOPs of all matrices of a layer: those before the FFN for every token, the FFN's for its rows.
double LayerMatrixFlops(const LayerSpec& layer, double tokens, double ffn_rows, Convention convention) {
  double flops = 0;
  const auto add = [&](TensorClass c) {
    const bool before_ffn = c == TensorClass::kAttention || c == TensorClass::kOther;
    flops += 2 * Count(layer.weights[c].matrix_params) * (before_ffn ? tokens : ffn_rows);
  };
  if (convention == Convention::kPaper) {
    for (const TensorClass c : kAlwaysMultipliedPaper) add(c);
  } else {
    for (const TensorClass c : kAlwaysMultiplied) add(c);
  }
  if (layer.ffn.moe()) {
    const double experts = convention == Convention::kVanilla ? layer.ffn.experts : layer.ffn.ActiveExperts();
    flops += 2 * Count(layer.weights[TensorClass::kRoutedExpert].matrix_params) / layer.ffn.experts * experts * ffn_rows;
  }
  return flops;
}

}  // namespace

std::string_view Name(MlaForm form) { return form == MlaForm::kAbsorbed ? "absorbed" : "expanded"; }

std::optional<double> DistinctExperts(const PassRecord& pass, int moe_layer, int moe_layers) {
  const auto index = static_cast<size_t>(moe_layer);
  if (pass.distinct_experts.size() == 1) return pass.distinct_experts.front();
  if (pass.distinct_experts.size() == static_cast<size_t>(moe_layers)) return pass.distinct_experts[index];
  if (!pass.distinct_experts.empty() || pass.expert_counts.size() != static_cast<size_t>(moe_layers)) return std::nullopt;
  const std::vector<int32_t>& counts = pass.expert_counts[index];
  return static_cast<double>(std::count_if(counts.begin(), counts.end(), [](int32_t count) { return count > 0; }));
}

double PassKvBytes(const ModelSpec& model, const PassRecord& pass, Convention convention, const Replication& replication) {
  const Replication copies = convention == Convention::kPaper ? Replication{} : replication;
  double bytes = 0;
  double state_elements = 0;
  for (const LayerSpec& layer : model.layers) {
    if (!Runs(layer, pass)) continue;
    for (const SequenceSlice& slice : pass.sequences) {
      for (size_t i = 0; i < layer.attention.caches.size(); ++i) {
        const KvCacheSpec& cache = layer.attention.caches[i];
        const double once = Count(slice.count) * cache.EntryBytes(model.kv_bits) * KvEntries(cache, slice, convention);
        bytes += copies.OfCache(layer.attention, i) * once;
      }
      // Read before the first token and written after the last, whatever the length; ranks share its heads and channels.
      state_elements += 2 * Count(slice.count) * Count(layer.attention.state_elements + layer.attention.conv_state_elements);
    }
  }
  const double state_bytes = convention == Convention::kPaper ? 0 : state_elements * model.state_bits / 8;
  return bytes + state_bytes;
}

std::optional<std::vector<double>> PassRoutedBytes(const ModelSpec& model, const PassRecord& pass, Convention convention) {
  std::vector<double> bytes;
  const int moe_layers = model.MoeLayers();
  int moe_layer = 0;
  for (const LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe()) continue;
    const std::optional<double> distinct = convention == Convention::kVanilla ? std::optional<double>(layer.ffn.experts)
                                                                              : DistinctExperts(pass, moe_layer, moe_layers);
    ++moe_layer;
    if (!distinct) return std::nullopt;
    bytes.push_back(Runs(layer, pass) ? *distinct * RoutedExpertBytes(layer, convention) : 0);
  }
  return bytes;
}

std::optional<double> PassBytes(const ModelSpec& model, const PassRecord& pass, Convention convention,
                                const Replication& replication) {
  const auto routed = PassRoutedBytes(model, pass, convention);
  if (!routed) return std::nullopt;
  double bytes = std::accumulate(routed->begin(), routed->end(), PassKvBytes(model, pass, convention, replication));
  for (const LayerSpec& layer : model.layers) {
    if (Runs(layer, pass)) bytes += FixedLayerBytes(layer, convention, replication);
  }
  if (convention != Convention::kPaper) bytes += EndBytes(model, Count(pass.NewTokens()), replication);
  return bytes;
}

double PassFlops(const ModelSpec& model, const PassRecord& pass, Convention convention, std::optional<int64_t> head_rows,
                 MlaForm mla_form) {
  const MlaForm form = convention == Convention::kPaper ? MlaForm::kExpanded : mla_form;
  const double tokens = Count(pass.NewTokens());
  double flops = 0;
  int moe_layer = 0;
  for (const LayerSpec& layer : model.layers) {
    const int index = layer.ffn.moe() ? moe_layer++ : 0;
    if (!Runs(layer, pass)) continue;
    const double rows = convention == Convention::kPaper ? tokens : FfnRows(layer, pass, index, tokens);
    flops += LayerMatrixFlops(layer, tokens, rows, convention) + AttentionFlops(layer, pass, form);
    if (convention != Convention::kPaper) flops += tokens * Count(layer.attention.state_flops_per_token);
  }
  if (convention == Convention::kPaper) return flops;
  const bool decode = pass.kind == record::PassKind::kDecode;
  const double rows = head_rows ? Count(*head_rows) : decode ? tokens : Count(pass.SequenceCount());
  return flops + 2 * Count(model.Head().matrix_params) * rows;
}

}  // namespace moecap::metrics
