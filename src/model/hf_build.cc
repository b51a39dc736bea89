#include "model/hf_build.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap::model {
namespace {

// No tensor of a real model comes near; keeps sums of parameters far from overflow.
constexpr int64_t kMostParams = int64_t{1} << 44;
// Experts that are looked up one by one, where a config names single ones.
constexpr int64_t kMostNamedExperts = 4096;

// width x heads or similar, each factor at most 2^24: fits, but the product with another matrix side may not.
bool Fits(int64_t out, int64_t in, int64_t copies) {
  int64_t params = 0;
  if (__builtin_mul_overflow(out, in, &params) || __builtin_mul_overflow(params, copies, &params)) return false;
  return params >= 0 && params <= kMostParams;
}

}  // namespace

int64_t SafeProduct(HfContext& context, int64_t a, int64_t b, int64_t c) {
  if (Fits(a, b, c)) return a * b * c;
  context.f.Fail(fmt::format("{} x {} x {} elements are more than any model has", a, b, c));
  return 1;
}

void HfWeights::Add(TensorClass c, int64_t out, int64_t in, int64_t copies, const WeightFormat& format) {
  if (!Fits(out, in, copies)) {
    context_.f.Fail(fmt::format("{}: a matrix of {} x {}, {} times, is larger than any model", prefix_, out, in, copies));
    return;
  }
  Weights added;
  added.params = added.matrix_params = out * in * copies;
  added.bytes = added.matrix_bytes = format.Bytes(out, in) * static_cast<double>(copies);
  weights_[c] += added;
  context_.tally[static_cast<size_t>(c)][format.label] += added.params;
}

// Blocks that are one mixer each call every one of them so.
std::string HfWeights::NameOf(std::string_view module) const {
  if (context_.family.model != BuildNemotronModel) return prefix_ + std::string(module);
  return prefix_ + "mixer" + std::string(module.substr(std::min(module.find('.'), module.size())));
}

void HfWeights::Matrix(TensorClass c, std::string_view module, int64_t out, int64_t in, int64_t copies) {
  const std::string name = NameOf(module);
  const size_t number = name.find(".experts.0.");
  if (copies == 1 || number == std::string::npos || !context_.formats.names_single_experts() || copies > kMostNamedExperts)
    return Add(c, out, in, copies, context_.formats.Of(c, name));
  const size_t digit = number + std::string_view(".experts.").size();
  for (int64_t expert = 0; expert < copies; ++expert)
    Add(c, out, in, 1, context_.formats.Of(c, fmt::format("{}{}{}", name.substr(0, digit), expert, name.substr(digit + 1))));
}

void HfWeights::Plain(TensorClass c, int64_t out, int64_t in, int64_t copies, double bits) {
  WeightFormat format = context_.formats.plain();
  if (bits == 32) format = WeightFormat{"f32", 32, 0, 0, 0, 0, 0};
  Add(c, out, in, copies, format);
}

void HfWeights::Vector(TensorClass c, int64_t size, double bits) {
  if (!Fits(size, 1, 1)) {
    context_.f.Fail(fmt::format("{}: a vector of {} is larger than any model", prefix_, size));
    return;
  }
  Weights added;
  added.params = size;
  added.bytes = static_cast<double>(size) * (bits > 0 ? bits : context_.formats.plain_bits()) / 8;
  weights_[c] += added;
  context_.tally[static_cast<size_t>(c)][context_.formats.plain().label] += size;
}

void HfWeights::SwiGlu(TensorClass c, const std::string& module, int64_t hidden, int64_t width, int64_t copies) {
  Matrix(c, module + ".gate_proj", width, hidden, copies);
  Matrix(c, module + ".up_proj", width, hidden, copies);
  Matrix(c, module + ".down_proj", hidden, width, copies);
}

void CheckHeads(HfContext& context, const GqaShape& shape, std::string_view field) {
  if (shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0) return;
  context.f.Fail(
      fmt::format("the field '{}' is {}, which does not divide the {} query heads", field, shape.kv_heads, shape.heads));
}

GqaShape GqaShapeOf(HfContext& context) {
  HfFields& f = context.f;
  GqaShape shape;
  shape.heads = f.Need({"num_attention_heads", "n_heads"});
  shape.kv_heads = f.Need({"num_key_value_heads", "attn_config.kv_n_heads", "num_attention_groups"});
  const int64_t given = f.Optional({"head_dim", "attention_head_dim", "kv_channels"}, 0);
  shape.key_dim = given > 0 ? given : std::max<int64_t>(context.hidden / shape.heads, 1);
  shape.value_dim = shape.key_dim;
  CheckHeads(context, shape, "num_key_value_heads");
  return shape;
}

HfWindow WindowOf(HfContext& context, int layer) {
  HfFields& f = context.f;
  const auto window = [&] { return HfWindow{f.Need({"sliding_window", "sliding_window_size"}), false}; };
  if (const std::vector<std::string> types = f.Words("layer_types"); !types.empty()) {
    f.NeedLength("layer_types", types.size(), static_cast<size_t>(context.layers));
    const std::string type = static_cast<size_t>(layer) < types.size() ? types[static_cast<size_t>(layer)] : "";
    if (type.find("sliding") != std::string::npos) return window();
    if (type.find("chunked") != std::string::npos) return {f.Need({"attention_chunk_size"}), true};
    return {};
  }
  for (const char* field : {"hybrid_layer_pattern", "sliding_window_layout"}) {
    const std::vector<int64_t> pattern = f.Numbers(field);
    if (pattern.empty()) continue;
    f.NeedLength(field, pattern.size(), static_cast<size_t>(context.layers));
    return static_cast<size_t>(layer) < pattern.size() && pattern[static_cast<size_t>(layer)] == 1 ? window() : HfWindow{};
  }
  if (f.Has("attention_chunk_size") && context.family.sparsity == Sparsity::kLlama4) {
    // Layers without RoPE see everything; the class default is every fourth.
    const std::vector<int64_t> rope = f.Numbers("no_rope_layers");
    const int64_t interval = std::max<int64_t>(f.Optional({"no_rope_layer_interval"}, 4), 1);
    const bool local =
        static_cast<size_t>(layer) < rope.size() ? rope[static_cast<size_t>(layer)] != 0 : (layer + 1) % interval != 0;
    return local ? HfWindow{f.Need({"attention_chunk_size"}), true} : HfWindow{};
  }
  const int64_t size = f.Optional({"sliding_window"}, 0);
  if (size == 0 || !f.Flag("use_sliding_window", true)) return {};
  // A window as long as the longest context never cuts anything.
  if (size >= f.Optional({"max_position_embeddings"}, int64_t{1} << 24)) return {};
  if (const int64_t every = f.Optional({"global_attn_every_n_layers"}, 0); every > 0) {
    return (layer + 1) % every != 0 ? window() : HfWindow{};
  }
  if ((context.family.attention & kSinks) != 0) return layer % 2 == 0 ? window() : HfWindow{};  // gpt-oss: class default
  if (f.Has("use_sliding_window") && layer < f.Optional({"max_window_layers"}, 0)) return {};
  return window();
}

void AddGqa(HfContext& context, uint32_t options, const GqaShape& shape, HfWindow window, AttentionSpec& spec,
            HfWeights& weights) {
  using enum TensorClass;
  const int64_t h = context.hidden;
  const int64_t q = shape.heads * shape.key_dim;
  const int64_t k = shape.kv_heads * shape.key_dim;
  const int64_t v = shape.kv_heads * shape.value_dim;
  const int64_t o = shape.heads * shape.value_dim;
  weights.Matrix(kAttention, "self_attn.q_proj", (options & kDoubleQuery) != 0 ? 2 * q : q, h);
  weights.Matrix(kAttention, "self_attn.k_proj", k, h);
  weights.Matrix(kAttention, "self_attn.v_proj", v, h);
  weights.Matrix(kAttention, "self_attn.o_proj", h, o);
  if ((options & kGateHead) != 0) weights.Matrix(kAttention, "self_attn.g_proj", shape.heads, h);
  if ((options & kGateElement) != 0) weights.Matrix(kAttention, "self_attn.gate_proj", o, h);

  const bool flagged = (options & (kBiasFlag | kBiasFlagQkvo)) != 0 && context.f.Flag("attention_bias", false);
  const bool always = (options & kBiasQkvo) != 0 || ((options & kBiasQkv) != 0 && context.f.Flag("qkv_bias", true));
  if (flagged || always) weights.Vector(kAttention, q + k + v);
  if ((options & kBiasQkvo) != 0 || (flagged && (options & kBiasFlagQkvo) != 0)) weights.Vector(kAttention, h);
  if ((options & kSinks) != 0) weights.Vector(kAttention, shape.heads);
  const bool norms = (options & kQkNormFlag) == 0 || context.f.Flag("use_qk_norm", context.f.Flag("qk_norm", false));
  if (norms && (options & kQkNormHead) != 0) weights.Vector(kNorm, 2 * shape.key_dim);
  if (norms && (options & kQkNormFull) != 0) weights.Vector(kNorm, q + k);

  spec.kind = AttentionKind::kGqa;
  spec.query_heads = static_cast<int>(shape.heads);
  spec.kv_heads = static_cast<int>(shape.kv_heads);
  spec.key_dim = static_cast<int>(shape.key_dim);
  spec.value_dim = static_cast<int>(shape.value_dim);
  KvCacheSpec cache;
  cache.elements = k + v;
  cache.window = window.tokens;
  cache.chunked = window.chunked;
  cache.flops_per_entry = 2 * shape.heads * (shape.key_dim + shape.value_dim);
  spec.caches.push_back(cache);
}

void AddMla(HfContext& context, AttentionSpec& spec, HfWeights& weights) {
  using enum TensorClass;
  HfFields& f = context.f;
  const int64_t h = context.hidden;
  const int64_t heads = f.Need({"num_attention_heads"});
  const int64_t rank = f.Need({"kv_lora_rank"});
  const int64_t nope = f.Need({"qk_nope_head_dim"});
  const int64_t rope = f.Need({"qk_rope_head_dim"});
  const int64_t value = f.Need({"v_head_dim"});
  const int64_t query_rank = f.Optional({"q_lora_rank"}, 0);
  if (query_rank > 0) {
    weights.Matrix(kAttention, "self_attn.q_a_proj", query_rank, h);
    weights.Vector(kNorm, query_rank);
    weights.Matrix(kAttention, "self_attn.q_b_proj", heads * (nope + rope), query_rank);
  } else {
    weights.Matrix(kAttention, "self_attn.q_proj", heads * (nope + rope), h);
  }
  weights.Matrix(kAttention, "self_attn.kv_a_proj_with_mqa", rank + rope, h);
  weights.Vector(kNorm, rank);
  weights.Matrix(kAttention, "self_attn.kv_b_proj", heads * (nope + value), rank);
  weights.Matrix(kAttention, "self_attn.o_proj", h, heads * value);
  if (f.Flag("mla_use_output_gate", false)) weights.Matrix(kAttention, "self_attn.g_proj", heads * value, h);

  spec.kind = AttentionKind::kMla;
  spec.query_heads = static_cast<int>(heads);
  spec.key_dim = static_cast<int>(nope + rope);
  spec.value_dim = static_cast<int>(value);
  KvCacheSpec cache;
  cache.elements = rank + rope;
  cache.rope_elements = rope;
  cache.flops_per_entry = 2 * heads * (nope + rope + value);
  cache.absorbed_flops_per_entry = 2 * heads * (2 * rank + rope);
  spec.caches.push_back(cache);
}

void AddMlaIndexer(HfContext& context, bool own, AttentionSpec& spec, HfWeights& weights) {
  using enum TensorClass;
  HfFields& f = context.f;
  spec.caches.back().top_k = f.Need({"index_topk"});
  if (!own) return;
  const int64_t heads = f.Need({"index_n_heads"});
  const int64_t dim = f.Need({"index_head_dim"});
  weights.Matrix(kAttention, "self_attn.indexer.wq_b", heads * dim, f.Need({"q_lora_rank"}));
  weights.Matrix(kAttention, "self_attn.indexer.wk", dim, context.hidden);
  weights.Vector(kNorm, 2 * dim);
  weights.Plain(kAttention, heads, context.hidden);
  KvCacheSpec keys;
  keys.elements = dim;
  keys.index_keys = true;
  keys.flops_per_entry = 2 * heads * dim;
  spec.caches.push_back(keys);
}

void AddLayerNorms(HfContext& context, HfWeights& weights) {
  weights.Vector(TensorClass::kNorm, context.family.norms * context.hidden);
}

}  // namespace moecap::model
