#include "planner/model_work.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/json_at.h"
#include "routing/estimate.h"

namespace moecap::planner {
namespace {

using model::AttentionKind;
using model::LayerSpec;
using model::TensorClass;

constexpr std::array kShardedClasses = {TensorClass::kAttention, TensorClass::kSharedExpert, TensorClass::kDenseFfn};
constexpr std::array kWholeClasses = {TensorClass::kNorm, TensorClass::kRouter, TensorClass::kOther};

double Count(int64_t value) { return static_cast<double>(value); }

void AddExperts(const LayerSpec& layer, const routing::SheetLayer* measured, ModelWork& work) {
  const model::Weights& weights = layer.weights[TensorClass::kRoutedExpert];
  ExpertGroup group{1,
                    Count(layer.ffn.experts),
                    layer.ffn.ActiveExperts(),
                    weights.bytes / layer.ffn.experts,
                    Count(weights.matrix_params) / layer.ffn.experts,
                    {}};
  if (measured) {
    group.popularity =
        routing::PopularityAt(*measured, group.top_k, routing::SheetEnd::kExpected).value_or(measured->popularity);
    work.experts.push_back(std::move(group));
    return;
  }
  for (ExpertGroup& known : work.experts) {
    if (known.experts == group.experts && known.top_k == group.top_k && known.bytes_per_expert == group.bytes_per_expert) {
      ++known.layers;
      return;
    }
  }
  work.experts.push_back(std::move(group));
}

bool Alike(const model::KvCacheSpec& a, const model::KvCacheSpec& b) {
  return a.elements == b.elements && a.tokens_per_entry == b.tokens_per_entry && a.window == b.window &&
         a.chunked == b.chunked && a.top_k == b.top_k && a.borrowed == b.borrowed && a.flops_per_entry == b.flops_per_entry &&
         a.absorbed_flops_per_entry == b.absorbed_flops_per_entry;
}

void AddCaches(const LayerSpec& layer, double kv_bits, ModelWork& work) {
  const model::AttentionSpec& attention = layer.attention;
  for (size_t i = 0; i < attention.caches.size(); ++i) {
    const model::KvCacheSpec& cache = attention.caches[i];
    const double heads = attention.kind == AttentionKind::kGqa && i == 0 ? attention.kv_heads : 0;
    const double bytes = cache.EntryBytes(kv_bits);
    const auto same = std::find_if(work.caches.begin(), work.caches.end(), [&](const CacheGroup& known) {
      return Alike(known.cache, cache) && known.kv_heads == heads && known.entry_bytes == bytes;
    });
    if (same != work.caches.end()) {
      ++same->layers;
    } else {
      work.caches.push_back({1, cache, bytes, heads});
    }
  }
}

// What the dtype of a stored type is in DensePeak's words; "" = no arithmetic of its own.
std::string_view OperandOf(std::string_view type) {
  const auto begins = [&](std::string_view prefix) { return type.substr(0, prefix.size()) == prefix; };
  if (begins("fp8") || begins("mxfp8")) return "fp8";
  if (begins("nvfp4") || begins("mxfp4") || begins("fp4")) return "fp4";
  if (begins("int8")) return "int8";
  if (type == "bf16" || type == "BF16") return "bf16";
  if (type == "f16" || type == "F16") return "fp16";
  if (type == "f32" || type == "F32") return "fp32";
  return "";
}

}  // namespace

double ModelWork::RoutedBytes() const {
  double bytes = 0;
  for (const ExpertGroup& group : experts) bytes += group.layers * group.experts * group.bytes_per_expert;
  return bytes;
}

double ModelWork::ActiveRoutedParams() const {
  double params = 0;
  for (const ExpertGroup& group : experts) params += group.layers * group.top_k * group.params_per_expert;
  return params;
}

ModelWork MakeModelWork(const model::ModelSpec& spec, const routing::ActivationSheet* sheet) {
  ModelWork work;
  work.cv = routing::kDefaultPopularityCv;
  work.in_sequence_exponent = routing::kInSequenceExponent;
  work.hidden = Count(spec.hidden);
  size_t moe_layer = 0;
  for (const LayerSpec& layer : spec.layers) {
    if (layer.encoder) continue;
    ++work.layers;
    if (layer.ffn.moe()) {
      AddExperts(layer, sheet && moe_layer < sheet->layers.size() ? &sheet->layers[moe_layer] : nullptr, work);
      ++moe_layer;
    }
    AddCaches(layer, spec.kv_bits, work);
    const auto& caches = layer.attention.caches;
    work.indexer_layers += std::any_of(caches.begin(), caches.end(), [](const auto& cache) { return cache.index_keys; });
    for (const TensorClass c : kShardedClasses) {
      work.sharded_bytes += layer.weights[c].bytes;
      work.sharded_params += Count(layer.weights[c].matrix_params);
    }
    for (const TensorClass c : kWholeClasses) {
      work.whole_bytes += layer.weights[c].bytes;
      work.sharded_params += c == TensorClass::kNorm ? 0 : Count(layer.weights[c].matrix_params);
    }
    const int64_t state = layer.attention.state_elements + layer.attention.conv_state_elements;
    work.state_bytes += 2 * Count(state) * spec.state_bits / 8;
    work.state_flops += Count(layer.attention.state_flops_per_token);
  }
  work.sharded_bytes += spec.Head().bytes;
  work.head_params = Count(spec.Head().matrix_params);
  for (const TensorClass c : {TensorClass::kNorm, TensorClass::kOther}) work.whole_bytes += spec.ends[c].bytes;
  if (spec.vocab > 0) work.embedding_row_bytes = spec.ends[TensorClass::kEmbedding].bytes / Count(spec.vocab);
  work.expert_type = spec.type_by_class[static_cast<size_t>(TensorClass::kRoutedExpert)];
  work.dense_type = spec.type_by_class[static_cast<size_t>(TensorClass::kAttention)];
  if (work.dense_type.empty()) work.dense_type = spec.weight_type;
  return work;
}

double DistinctExperts(const ModelWork& work, const ExpertGroup& group, double tokens) {
  if (!group.popularity.empty())
    return std::max(group.top_k, routing::DistinctExpertsFromPopularity(group.popularity, group.top_k, tokens));
  return routing::DistinctExpertsBetaBinomial(group.experts, group.top_k, std::max(tokens, 1.0), work.cv);
}

MatrixRate RateOf(const hardware::Device& device, std::string_view type) {
  const std::string_view operand = OperandOf(type);
  if (const auto peak = operand.empty() ? std::nullopt : hardware::DensePeak(device, operand)) return {*peak, false};
  for (const std::string_view wider : {"bf16", "fp16", "fp8", "fp32", "fp4"}) {
    const bool plain = operand == "bf16" || operand == "fp16";
    if (const auto peak = hardware::DensePeak(device, wider)) return {*peak, !plain};
  }
  CHECK(false);
}

double OperandBytes(const hardware::Device& device, std::string_view type) {
  if (RateOf(device, type).widened) return 2;
  const std::string_view operand = OperandOf(type);
  if (operand == "fp8" || operand == "int8") return 1;
  if (operand == "fp4") return type.substr(0, 5) == "nvfp4" ? 4.5 / 8 : 4.25 / 8;  // a scale of 8 bits for 16, or 32
  return 2;
}

bool RowsInterleaved(std::string_view type) {
  constexpr std::array<std::string_view, 4> kInterleaved = {"q4_0", "q4_k", "iq4_nl", "mxfp4"};
  const std::string lower = model::LowerCase(type);
  return std::ranges::any_of(kInterleaved, [&](std::string_view known) { return lower.starts_with(known); });
}

}  // namespace moecap::planner
