// Token mixers of each family: full and sliding attention, MLA, and their variants with gates or factorised projections.
// Recurrent mixers are in hf_recurrent.cc.
#include <algorithm>

#include "model/hf_build.h"

namespace moecap::model {
namespace {

// The compressed entries behind the window, and for ratio 4 the indexer that chooses among them.
void AddCompressedCaches(HfContext& context, int64_t ratio, int64_t query_rank, AttentionSpec& attention, HfWeights& weights) {
  using enum TensorClass;
  HfFields& f = context.f;
  const int64_t h = context.hidden;
  const int64_t dim = attention.key_dim;
  const int64_t width = ratio == 4 ? 2 * dim : dim;  // ratio 4 compresses overlapping pairs of blocks
  // No config says so, but released checkpoints leave the compressors as they are, and the positions in fp32.
  weights.Plain(kAttention, width, h, 2);
  weights.Plain(kAttention, ratio, width, 1, 32);
  weights.Vector(kNorm, dim);
  KvCacheSpec compressed;
  compressed.elements = dim;
  compressed.rope_elements = attention.caches.front().rope_elements;
  compressed.tokens_per_entry = ratio;
  compressed.flops_per_entry = attention.caches.front().flops_per_entry;
  if (ratio == 4) compressed.top_k = f.Need({"index_topk"});
  attention.caches.push_back(compressed);
  if (ratio != 4) return;
  const int64_t index_heads = f.Need({"index_n_heads"});
  const int64_t index_dim = f.Need({"index_head_dim"});
  weights.Matrix(kAttention, "self_attn.indexer.wq_b", index_heads * index_dim, query_rank);
  weights.Plain(kAttention, index_heads, h);
  weights.Plain(kAttention, 2 * index_dim, h, 2);
  weights.Plain(kAttention, ratio, 2 * index_dim, 1, 32);
  weights.Vector(kNorm, index_dim);
  KvCacheSpec keys;
  keys.elements = index_dim;
  keys.index_keys = true;
  keys.tokens_per_entry = ratio;
  keys.flops_per_entry = 2 * index_heads * index_dim;
  attention.caches.push_back(keys);
}

}  // namespace

void BuildGqaMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  AddGqa(context, context.family.attention, GqaShapeOf(context), WindowOf(context, layer), spec.attention, weights);
}

// DeepSeek-V2's smallest relatives (VL2-Tiny, OCR) have plain heads.
void BuildMlaMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  if (!context.f.Flag("use_mla", true)) return BuildGqaMixer(context, layer, spec, weights);
  AddMla(context, spec.attention, weights);
}

void BuildSparseMlaMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  AddMla(context, spec.attention, weights);
  const std::vector<std::string> types = context.f.Words("indexer_types");
  const bool own = static_cast<size_t>(layer) >= types.size() || types[static_cast<size_t>(layer)] == "full";
  AddMlaIndexer(context, own, spec.attention, weights);
}

// MiniMax-M3: an index query and one index key per token choose blocks of the plain cache.
void BuildBlockSparseMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  BuildGqaMixer(context, layer, spec, weights);
  HfFields& f = context.f;
  const std::vector<int64_t> sparse = f.Numbers("sparse_attention_config.sparse_attention_freq");
  f.NeedLength("sparse_attention_config.sparse_attention_freq", sparse.size(), static_cast<size_t>(context.layers));
  if (static_cast<size_t>(layer) >= sparse.size() || sparse[static_cast<size_t>(layer)] == 0) return;
  const int64_t heads = f.Need({"sparse_attention_config.sparse_num_index_heads"});
  const int64_t dim = f.Need({"sparse_attention_config.sparse_index_dim"});
  const int64_t block = f.Need({"sparse_attention_config.sparse_block_size"});
  const int64_t chosen = f.Need({"sparse_attention_config.sparse_topk_blocks"});
  const int64_t local = f.Optional({"sparse_attention_config.sparse_local_block"}, 0);
  weights.Matrix(TensorClass::kAttention, "self_attn.index_q_proj", heads * dim, context.hidden);
  weights.Matrix(TensorClass::kAttention, "self_attn.index_k_proj", dim, context.hidden);
  weights.Vector(TensorClass::kNorm, 2 * dim);
  spec.attention.caches.back().top_k = (chosen + local) * block;
  KvCacheSpec keys;
  keys.elements = dim;
  keys.index_keys = true;
  keys.flops_per_entry = 2 * heads * dim;
  spec.attention.caches.push_back(keys);
}

// Per-layer head counts and an output gate per head or per element.
void BuildLagunaMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  GqaShape shape = GqaShapeOf(context);
  shape.heads = context.f.Need({"num_attention_heads_per_layer", "num_attention_heads"}, layer);
  uint32_t options = context.family.attention;
  if (context.f.Text("gating") == "per-element") {
    options |= kGateElement;
  } else if (context.f.Flag("gating", context.f.Text("gating") == "per-head")) {
    options |= kGateHead;
  }
  AddGqa(context, options, shape, WindowOf(context, layer), spec.attention, weights);
}

// Step-3.5: sliding layers have their own head counts.
void BuildStepMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const HfWindow window = WindowOf(context, layer);
  GqaShape shape = GqaShapeOf(context);
  if (window.tokens > 0) {
    shape.heads = f.Need({"attention_other_setting.num_attention_heads"});
    shape.kv_heads = f.Need({"attention_other_setting.num_attention_groups"});
    shape.key_dim = shape.value_dim = f.Need({"attention_other_setting.head_dim"});
    CheckHeads(context, shape, "attention_other_setting.num_attention_groups");
  }
  uint32_t options = context.family.attention;
  if (f.Flag("use_head_wise_attn_gate", false)) options |= kGateHead;
  AddGqa(context, options, shape, window, spec.attention, weights);
}

// Step-3: multi-matrix factorised attention, queries through a low rank, one shared KV head.
void BuildFactorizedMixer(HfContext& context, int, LayerSpec& spec, HfWeights& weights) {
  using enum TensorClass;
  const GqaShape shape = GqaShapeOf(context);
  const int64_t rank = context.f.Need({"share_q_dim"});
  const int64_t h = context.hidden;
  weights.Matrix(kAttention, "self_attn.q_proj", rank, h);
  weights.Vector(kNorm, rank);
  weights.Matrix(kAttention, "self_attn.wq", shape.heads * shape.key_dim, rank);
  weights.Matrix(kAttention, "self_attn.k_proj", shape.kv_heads * shape.key_dim, h);
  weights.Matrix(kAttention, "self_attn.v_proj", shape.kv_heads * shape.key_dim, h);
  weights.Matrix(kAttention, "self_attn.o_proj", h, shape.heads * shape.key_dim);
  AttentionSpec& attention = spec.attention;
  attention.kind = AttentionKind::kGqa;
  attention.query_heads = static_cast<int>(shape.heads);
  attention.kv_heads = static_cast<int>(shape.kv_heads);
  attention.key_dim = attention.value_dim = static_cast<int>(shape.key_dim);
  KvCacheSpec cache;
  cache.elements = 2 * shape.kv_heads * shape.key_dim;
  cache.flops_per_entry = 4 * shape.heads * shape.key_dim;
  attention.caches.push_back(cache);
}

// MiMo: sliding layers have their own head counts and widths, values are narrower than keys, sinks by flag.
void BuildMimoMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const HfWindow window = WindowOf(context, layer);
  GqaShape shape = GqaShapeOf(context);
  shape.value_dim = f.Optional({"v_head_dim"}, shape.key_dim);
  if (window.tokens > 0) {
    shape.heads = f.Need({"swa_num_attention_heads"});
    shape.kv_heads = f.Need({"swa_num_key_value_heads"});
    CheckHeads(context, shape, "swa_num_key_value_heads");
    shape.key_dim = f.Need({"swa_head_dim"});
    shape.value_dim = f.Need({"swa_v_head_dim"});
  }
  const bool sinks = f.Flag(window.tokens > 0 ? "add_swa_attention_sink_bias" : "add_full_attention_sink_bias", false);
  AddGqa(context, context.family.attention | (sinks ? kSinks : 0U), shape, window, spec.attention, weights);
}

// Gemma 4: full layers have wider heads, and no value projection when keys serve as values.
void BuildGemmaMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  using enum TensorClass;
  HfFields& f = context.f;
  const HfWindow window = WindowOf(context, layer);
  GqaShape shape = GqaShapeOf(context);
  const bool full = window.tokens == 0;
  if (full) {
    shape.key_dim = shape.value_dim = f.Need({"global_head_dim"});
    shape.kv_heads = f.Need({"num_global_key_value_heads", "num_key_value_heads"});
    CheckHeads(context, shape, "num_global_key_value_heads");
  }
  const int64_t q = shape.heads * shape.key_dim;
  const int64_t k = shape.kv_heads * shape.key_dim;
  const bool shares_projection = full && f.Flag("attention_k_eq_v", false);
  const int64_t borrowing = f.Optional({"num_kv_shared_layers"}, 0);
  const bool borrowed = borrowing > 0 && layer >= context.layers - borrowing;
  weights.Matrix(kAttention, "self_attn.q_proj", q, context.hidden);
  weights.Matrix(kAttention, "self_attn.o_proj", context.hidden, q);
  if (!borrowed) weights.Matrix(kAttention, "self_attn.k_proj", k, context.hidden);
  if (!borrowed && !shares_projection) weights.Matrix(kAttention, "self_attn.v_proj", k, context.hidden);
  weights.Vector(kNorm, borrowed ? shape.key_dim : 2 * shape.key_dim);
  weights.Vector(kNorm, 1);  // the layer's output scale

  AttentionSpec& attention = spec.attention;
  attention.kind = AttentionKind::kGqa;
  attention.query_heads = static_cast<int>(shape.heads);
  attention.kv_heads = static_cast<int>(shape.kv_heads);
  attention.key_dim = attention.value_dim = static_cast<int>(shape.key_dim);
  KvCacheSpec cache;
  cache.elements = 2 * k;
  cache.window = window.tokens;
  cache.flops_per_entry = 4 * q;
  cache.borrowed = borrowed;
  attention.caches.push_back(cache);
}

// Cross-layer attention: only every cla_share_factor-th layer has keys and values, the others read those of the one before.
void BuildHunyuanMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  const int64_t factor = context.f.Flag("use_cla", false) ? context.f.Need({"cla_share_factor"}) : 1;
  if (layer % factor == 0) return BuildGqaMixer(context, layer, spec, weights);
  const GqaShape shape = GqaShapeOf(context);
  weights.Matrix(TensorClass::kAttention, "self_attn.q_proj", shape.heads * shape.key_dim, context.hidden);
  weights.Matrix(TensorClass::kAttention, "self_attn.o_proj", context.hidden, shape.heads * shape.key_dim);
  if (context.f.Flag("use_qk_norm", false)) weights.Vector(TensorClass::kNorm, 2 * shape.key_dim);
  WeightSet unused;
  HfContext scratch = context;
  HfWeights nowhere(scratch, "", unused);
  AddGqa(scratch, 0, shape, HfWindow{}, spec.attention, nowhere);
  spec.attention.caches.back().borrowed = true;
}

// Inkling: relative-position logits from a projection and a table, short convolutions after k, v, attention and FFN.
void BuildInklingMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  using enum TensorClass;
  HfFields& f = context.f;
  const HfWindow window = WindowOf(context, layer);
  GqaShape shape = GqaShapeOf(context);
  if (window.tokens > 0) {
    shape.heads = f.Need({"swa_num_attention_heads"});
    shape.kv_heads = f.Need({"swa_num_key_value_heads"});
    CheckHeads(context, shape, "swa_num_key_value_heads");
    shape.key_dim = shape.value_dim = f.Need({"swa_head_dim"});
  }
  AddGqa(context, context.family.attention, shape, window, spec.attention, weights);
  const int64_t relative = f.Need({"d_rel"});
  const int64_t extent = f.Need({"rel_extent"});
  const int64_t kernel = f.Need({"conv_kernel_size"});
  weights.Matrix(kAttention, "self_attn.r_proj", shape.heads * relative, context.hidden);
  weights.Plain(kAttention, relative, window.tokens > 0 ? std::min(extent, window.tokens) : extent);
  const int64_t channels = 2 * shape.kv_heads * shape.key_dim + 2 * context.hidden;
  weights.Plain(kAttention, channels, kernel);
  spec.attention.conv_state_elements = SafeProduct(context, kernel - 1, channels);
}

// DeepSeek-V4: low-rank queries, one KV vector shared by all heads (key = value) in a sliding window, compressed entries behind
// it (chosen by an indexer where the ratio is 4), grouped low-rank output.
void BuildCompressedMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  using enum TensorClass;
  HfFields& f = context.f;
  const int64_t h = context.hidden;
  const int64_t heads = f.Need({"num_attention_heads"});
  const int64_t dim = f.Need({"head_dim"});
  const int64_t query_rank = f.Need({"q_lora_rank"});
  const int64_t groups = f.Need({"o_groups"});
  const int64_t output_rank = f.Need({"o_lora_rank"});
  weights.Matrix(kAttention, "self_attn.wq_a", query_rank, h);
  weights.Vector(kNorm, query_rank);
  weights.Matrix(kAttention, "self_attn.wq_b", heads * dim, query_rank);
  weights.Matrix(kAttention, "self_attn.wkv", dim, h);
  weights.Vector(kNorm, dim);
  weights.Matrix(kAttention, "self_attn.wo_a", output_rank, heads * dim / groups, groups);
  weights.Matrix(kAttention, "self_attn.wo_b", h, groups * output_rank);
  weights.Vector(kAttention, heads, 32);
  AddHyperConnection(context, weights);
  AddHyperConnection(context, weights);

  AttentionSpec& attention = spec.attention;
  attention.kind = AttentionKind::kMla;
  attention.query_heads = static_cast<int>(heads);
  attention.key_dim = attention.value_dim = static_cast<int>(dim);
  KvCacheSpec recent;
  recent.elements = dim;
  recent.rope_elements = std::min(f.Optional({"qk_rope_head_dim"}, 0), dim);
  recent.window = f.Need({"sliding_window"});
  recent.flops_per_entry = 4 * heads * dim;
  attention.caches.push_back(recent);
  const std::vector<int64_t> ratios = f.Numbers("compress_ratios");
  f.NeedLength("compress_ratios", ratios.size(), static_cast<size_t>(context.layers));
  const int64_t ratio = static_cast<size_t>(layer) < ratios.size() ? ratios[static_cast<size_t>(layer)] : 0;
  if (ratio <= 0) return;
  if (ratio > 1 << 20) return f.Fail("the field 'compress_ratios' has an entry above 2^20");
  AddCompressedCaches(context, ratio, query_rank, attention, weights);
}

void AddHyperConnection(HfContext& context, HfWeights& weights) {
  const int64_t streams = context.f.Need({"hc_mult"});
  weights.Plain(TensorClass::kOther, (2 + streams) * streams, streams * context.hidden, 1, 32);
  weights.Vector(TensorClass::kOther, (2 + streams) * streams + 3, 32);
}

void AddHyperHead(HfContext& context, HfWeights& weights) {
  const int64_t streams = context.f.Need({"hc_mult"});
  weights.Plain(TensorClass::kOther, streams, streams * context.hidden, 1, 32);
  weights.Vector(TensorClass::kOther, streams + 1, 32);
}

}  // namespace moecap::model
