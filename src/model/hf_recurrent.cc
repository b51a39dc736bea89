// Mixers with a recurrent state. FLOPs per state element and token: gated delta rules 7, Mamba 1 6, Mamba 2 and lightning 5.
#include <algorithm>

#include "model/hf_build.h"

namespace moecap::model {
namespace {

using enum TensorClass;

// Whether layer `layer` is full attention in a family that interleaves: layer_types, else one in full_attention_interval.
bool IsFullAttention(HfContext& context, int layer) {
  const std::vector<std::string> types = context.f.Words("layer_types");
  if (!types.empty()) {
    context.f.NeedLength("layer_types", types.size(), static_cast<size_t>(context.layers));
    return static_cast<size_t>(layer) < types.size() && types[static_cast<size_t>(layer)] == "full_attention";
  }
  return (layer + 1) % context.f.Need({"full_attention_interval"}) == 0;
}

void SetState(AttentionSpec& spec, AttentionKind kind, int64_t state, int64_t conv, int64_t flops_per_element) {
  spec.kind = kind;
  spec.state_elements = state;
  spec.conv_state_elements = conv;
  spec.state_flops_per_token = flops_per_element * state;
}

// Kimi delta attention. The output gate goes through the head width, or is one full matrix.
void AddKimiDelta(HfContext& context, AttentionSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const int64_t h = context.hidden;
  const int64_t heads = f.Need({"linear_attn_config.num_heads"});
  const int64_t dim = f.Need({"linear_attn_config.head_dim"});
  const int64_t kernel = f.Need({"linear_attn_config.short_conv_kernel_size"});
  const int64_t inner = heads * dim;
  for (const char* name : {"q", "k", "v"}) weights.Matrix(kAttention, std::string("self_attn.") + name + "_proj", inner, h);
  weights.Plain(kAttention, inner, kernel, 3);
  weights.Matrix(kAttention, "self_attn.f_a_proj", dim, h);
  weights.Matrix(kAttention, "self_attn.f_b_proj", inner, dim);
  weights.Matrix(kAttention, "self_attn.b_proj", heads, h);
  weights.Vector(kAttention, heads, 32);
  weights.Vector(kAttention, inner);
  if (f.Flag("linear_attn_config.use_full_rank_gate", false)) {
    weights.Matrix(kAttention, "self_attn.g_proj", inner, h);
  } else {
    weights.Matrix(kAttention, "self_attn.g_a_proj", dim, h);
    weights.Matrix(kAttention, "self_attn.g_b_proj", inner, dim);
  }
  weights.Vector(kNorm, dim);
  weights.Matrix(kAttention, "self_attn.o_proj", h, inner);
  SetState(spec, AttentionKind::kLinear, SafeProduct(context, heads, dim, dim), SafeProduct(context, 3, kernel - 1, inner), 7);
  spec.query_heads = static_cast<int>(heads);
  spec.key_dim = spec.value_dim = static_cast<int>(dim);
}

}  // namespace

// Gated delta net in three of four layers, gated attention in the fourth.
void BuildGatedDeltaMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  if (IsFullAttention(context, layer)) {
    return AddGqa(context, context.family.attention, GqaShapeOf(context), HfWindow{}, spec.attention, weights);
  }
  HfFields& f = context.f;
  const int64_t h = context.hidden;
  const int64_t key_heads = f.Need({"linear_num_key_heads"});
  const int64_t value_heads = f.Need({"linear_num_value_heads"});
  const int64_t key_dim = f.Need({"linear_key_head_dim"});
  const int64_t value_dim = f.Need({"linear_value_head_dim"});
  const int64_t kernel = f.Need({"linear_conv_kernel_dim"});
  const int64_t keys = key_heads * key_dim;
  const int64_t values = value_heads * value_dim;
  weights.Matrix(kAttention, "linear_attn.in_proj_qkv", 2 * keys + values, h);
  weights.Matrix(kAttention, "linear_attn.in_proj_z", values, h);
  weights.Matrix(kAttention, "linear_attn.in_proj_b", value_heads, h);
  weights.Matrix(kAttention, "linear_attn.in_proj_a", value_heads, h);
  weights.Plain(kAttention, 2 * keys + values, kernel);
  weights.Vector(kAttention, value_heads, 32);  // A_log
  weights.Vector(kAttention, value_heads);      // dt bias
  weights.Vector(kNorm, value_dim, 32);
  weights.Matrix(kAttention, "linear_attn.out_proj", h, values);
  SetState(spec.attention, AttentionKind::kLinear, SafeProduct(context, value_heads, key_dim, value_dim),
           SafeProduct(context, kernel - 1, 2 * keys + values), 7);
  spec.attention.query_heads = static_cast<int>(key_heads);
  spec.attention.key_dim = static_cast<int>(key_dim);
  spec.attention.value_dim = static_cast<int>(value_dim);
}

// The layer lists of linear_attn_config count from 1.
void BuildKimiMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  const std::vector<int64_t> full = context.f.Numbers("linear_attn_config.full_attn_layers");
  if (full.empty()) context.f.Fail("the field 'linear_attn_config.full_attn_layers' is missing");
  if (std::find(full.begin(), full.end(), layer + 1) != full.end()) return AddMla(context, spec.attention, weights);
  AddKimiDelta(context, spec.attention, weights);
}

void BuildLightningMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  bool full = false;
  if (const std::vector<int64_t> kinds = f.Numbers("attn_type_list"); !kinds.empty()) {
    f.NeedLength("attn_type_list", kinds.size(), static_cast<size_t>(context.layers));
    full = static_cast<size_t>(layer) < kinds.size() && kinds[static_cast<size_t>(layer)] == 1;
  } else if (f.Has("layer_types")) {
    full = IsFullAttention(context, layer);
  } else {
    f.Fail("the field 'attn_type_list' is missing");
  }
  const GqaShape shape = GqaShapeOf(context);
  if (full) return AddGqa(context, 0, shape, HfWindow{}, spec.attention, weights);
  const int64_t inner = shape.heads * shape.key_dim;
  weights.Matrix(kAttention, "self_attn.qkv_proj", 3 * inner, context.hidden);
  weights.Matrix(kAttention, "self_attn.output_gate", inner, context.hidden);
  weights.Matrix(kAttention, "self_attn.out_proj", context.hidden, inner);
  weights.Vector(kNorm, inner);
  SetState(spec.attention, AttentionKind::kLinear, SafeProduct(context, inner, shape.key_dim), 0, 5);
  spec.attention.query_heads = static_cast<int>(shape.heads);
  spec.attention.key_dim = spec.attention.value_dim = static_cast<int>(shape.key_dim);
}

void AddMamba2(HfContext& context, const Mamba2Shape& shape, AttentionSpec& spec, HfWeights& weights) {
  const int64_t h = context.hidden;
  const int64_t inner = shape.heads * shape.head_dim;
  const int64_t channels = inner + 2 * shape.groups * shape.state;
  weights.Matrix(kAttention, "mamba.in_proj", 2 * inner + 2 * shape.groups * shape.state + shape.heads, h);
  weights.Plain(kAttention, channels, shape.kernel);
  if (shape.conv_bias) weights.Vector(kAttention, channels);
  weights.Vector(kAttention, 3 * shape.heads);
  weights.Vector(kNorm, inner);
  weights.Matrix(kAttention, "mamba.out_proj", h, inner);
  SetState(spec, AttentionKind::kMamba, SafeProduct(context, inner, shape.state),
           SafeProduct(context, shape.kernel - 1, channels), 5);
}

void BuildGraniteMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const std::vector<std::string> types = f.Words("layer_types");
  f.NeedLength("layer_types", types.size(), static_cast<size_t>(context.layers));
  if (static_cast<size_t>(layer) < types.size() && types[static_cast<size_t>(layer)] == "attention") {
    return AddGqa(context, context.family.attention, GqaShapeOf(context), HfWindow{}, spec.attention, weights);
  }
  Mamba2Shape shape;
  shape.heads = f.Need({"mamba_n_heads"});
  shape.head_dim = f.Need({"mamba_d_head"});
  shape.groups = f.Need({"mamba_n_groups"});
  shape.state = f.Need({"mamba_d_state"});
  shape.kernel = f.Need({"mamba_d_conv"});
  shape.conv_bias = f.Flag("mamba_conv_bias", true);
  AddMamba2(context, shape, spec.attention, weights);
}

// Mamba 1 except where the attention period says otherwise.
void BuildJambaMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const int64_t offset = f.Optional({"attn_layer_offset"}, 0);
  if (layer % f.Need({"attn_layer_period"}) == offset) {
    return AddGqa(context, 0, GqaShapeOf(context), HfWindow{}, spec.attention, weights);
  }
  const int64_t h = context.hidden;
  const int64_t inner = f.Need({"mamba_expand"}) * h;
  const int64_t state = f.Need({"mamba_d_state"});
  const int64_t kernel = f.Need({"mamba_d_conv"});
  const int64_t rank = f.Need({"mamba_dt_rank"});
  weights.Matrix(kAttention, "mamba.in_proj", 2 * inner, h);
  weights.Plain(kAttention, inner, kernel);
  if (f.Flag("mamba_conv_bias", true)) weights.Vector(kAttention, inner);
  weights.Matrix(kAttention, "mamba.x_proj", rank + 2 * state, inner);
  weights.Matrix(kAttention, "mamba.dt_proj", inner, rank);
  weights.Vector(kAttention, inner);
  weights.Vector(kNorm, rank + 2 * state);
  weights.Plain(kAttention, inner, state);  // A_log
  weights.Vector(kAttention, inner);        // D
  weights.Matrix(kAttention, "mamba.out_proj", h, inner);
  SetState(spec.attention, AttentionKind::kMamba, SafeProduct(context, inner, state), SafeProduct(context, kernel - 1, inner),
           6);
}

void BuildShortConvMixer(HfContext& context, int layer, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const std::vector<std::string> types = f.Words("layer_types");
  f.NeedLength("layer_types", types.size(), static_cast<size_t>(context.layers));
  if (static_cast<size_t>(layer) >= types.size() || types[static_cast<size_t>(layer)] != "conv") {
    return AddGqa(context, context.family.attention, GqaShapeOf(context), HfWindow{}, spec.attention, weights);
  }
  const int64_t h = context.hidden;
  const int64_t kernel = f.Need({"conv_L_cache"});
  weights.Matrix(kAttention, "conv.in_proj", 3 * h, h);
  weights.Plain(kAttention, h, kernel);
  weights.Matrix(kAttention, "conv.out_proj", h, h);
  SetState(spec.attention, AttentionKind::kShortConv, 0, (kernel - 1) * h, 0);
}

}  // namespace moecap::model
