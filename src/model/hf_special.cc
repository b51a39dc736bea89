// Models whose blocks are not "mixer, then FFN": Nemotron-H, JetMoE, and the encoder-decoders Switch and NLLB.
#include <fmt/format.h>

#include <algorithm>

#include "model/hf_build.h"

namespace moecap::model {
namespace {

using enum TensorClass;

// Two matrices without a gate: up (width x hidden) and down.
void AddTwoMatrixFfn(TensorClass c, const std::string& module, int64_t hidden, int64_t width, int64_t copies,
                     HfWeights& weights) {
  weights.Matrix(c, module + ".up_proj", width, hidden, copies);
  weights.Matrix(c, module + ".down_proj", hidden, width, copies);
}

int64_t ExpertCount(HfContext& context, FfnSpec& ffn) {
  HfFields& f = context.f;
  ffn.experts = static_cast<int>(f.Need({"n_routed_experts", "num_experts", "moe_num_experts"}));
  ffn.top_k = static_cast<int>(f.Need({"num_experts_per_tok", "moe_top_k", "num_selected_experts"}));
  if (ffn.top_k > ffn.experts) f.Fail(fmt::format("{} experts per token, but only {} experts", ffn.top_k, ffn.experts));
  return ffn.experts;
}

// ---- Nemotron-H: every block is one mixer, attention, MLP or MoE, with one norm.

void AddNemotronMoe(HfContext& context, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  const int64_t h = context.hidden;
  const int64_t experts = ExpertCount(context, spec.ffn);
  const int64_t latent = f.Optional({"moe_latent_size"}, 0);
  spec.ffn.expert_width = f.Need({"moe_intermediate_size"});
  weights.Matrix(kRouter, "mixer.gate", experts, h);
  weights.Vector(kRouter, experts, 32);
  AddTwoMatrixFfn(kRoutedExpert, "mixer.experts.0", latent > 0 ? latent : h, spec.ffn.expert_width, experts, weights);
  if (latent > 0) {
    weights.Matrix(kOther, "mixer.fc1_latent_proj", latent, h);
    weights.Matrix(kOther, "mixer.fc2_latent_proj", h, latent);
  }
  spec.ffn.shared_width = f.Optional({"moe_shared_expert_intermediate_size"}, 0);
  spec.ffn.shared_experts = spec.ffn.shared_width > 0 ? static_cast<int>(f.Optional({"n_shared_experts"}, 1)) : 0;
  if (spec.ffn.shared_width > 0) AddTwoMatrixFfn(kSharedExpert, "mixer.shared_experts", h, spec.ffn.shared_width, 1, weights);
}

void AddNemotronBlock(HfContext& context, char kind, LayerSpec& spec, HfWeights& weights) {
  HfFields& f = context.f;
  weights.Vector(kNorm, context.hidden);
  if (kind == 'M') {
    Mamba2Shape shape;
    shape.heads = f.Need({"mamba_num_heads"});
    shape.head_dim = f.Need({"mamba_head_dim"});
    shape.groups = f.Need({"n_groups"});
    shape.state = f.Need({"ssm_state_size"});
    shape.kernel = f.Need({"conv_kernel"});
    shape.conv_bias = f.Flag("use_conv_bias", true);
    AddMamba2(context, shape, spec.attention, weights);
  } else if (kind == '*') {
    AddGqa(context, 0, GqaShapeOf(context), HfWindow{}, spec.attention, weights);
  } else if (kind == 'E') {
    AddNemotronMoe(context, spec, weights);
  } else if (kind == '-') {
    spec.ffn.dense_width = f.Need({"intermediate_size"});
    AddTwoMatrixFfn(kDenseFfn, "mixer", context.hidden, spec.ffn.dense_width, 1, weights);
  } else {
    f.Fail(fmt::format("the field 'hybrid_override_pattern' has the unknown character '{}'", kind));
  }
}

// One character a block, from the pattern or from the list of block types.
std::string NemotronPattern(HfContext& context, std::string_view pattern_field, std::string_view list_field) {
  std::string pattern = context.f.Text(pattern_field);
  if (!pattern.empty()) return pattern;
  for (const std::string& type : context.f.Words(list_field)) {
    pattern += type == "moe" ? 'E' : type == "mamba" ? 'M' : type == "attention" ? '*' : type == "mlp" ? '-' : '?';
  }
  return pattern;
}

// ---- Encoder-decoders.

// Self- or cross-attention with full heads; `bias` adds one vector a matrix.
void AddSeq2SeqAttention(HfContext& context, int64_t heads, int64_t dim, bool bias, bool cached, AttentionSpec& spec,
                         HfWeights& weights) {
  const int64_t h = context.hidden;
  const int64_t inner = heads * dim;
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    weights.Matrix(kAttention, std::string("self_attn.") + name, inner, h);
  weights.Matrix(kAttention, "self_attn.out_proj", h, inner);
  if (bias) weights.Vector(kAttention, 3 * inner + h);
  if (!cached) return;
  spec.kind = AttentionKind::kGqa;
  spec.query_heads = spec.kv_heads = static_cast<int>(heads);
  spec.key_dim = spec.value_dim = static_cast<int>(dim);
  KvCacheSpec cache;
  cache.elements = 2 * inner;
  cache.flops_per_entry = 4 * inner;
  spec.caches.push_back(cache);
}

struct Seq2SeqShape {
  int64_t heads = 0;
  int64_t dim = 0;
  int64_t width = 0;
  int64_t sparse_step = 0;
  bool bias = false;
  int64_t norm_vectors = 1;    // per norm: 2 with a bias
  bool first_of_step = false;  // i % step == 1 (Switch) instead of (i + 1) % step == 0
};

bool IsSparse(const Seq2SeqShape& shape, int layer) {
  if (shape.sparse_step <= 0) return false;
  if (shape.sparse_step == 1) return true;
  return shape.first_of_step ? layer % shape.sparse_step == 1 : (layer + 1) % shape.sparse_step == 0;
}

LayerSpec Seq2SeqLayer(HfContext& context, const Seq2SeqShape& shape, int layer, bool encoder) {
  LayerSpec spec;
  spec.encoder = encoder;
  HfWeights weights(context, fmt::format("{}.layers.{}.", encoder ? "encoder" : "decoder", layer), spec.weights);
  AddSeq2SeqAttention(context, shape.heads, shape.dim, shape.bias, !encoder, spec.attention, weights);
  if (!encoder) AddSeq2SeqAttention(context, shape.heads, shape.dim, shape.bias, false, spec.attention, weights);
  weights.Vector(kNorm, (encoder ? 2 : 3) * shape.norm_vectors * context.hidden);
  const int64_t biases = shape.bias ? shape.width + context.hidden : 0;
  if (IsSparse(shape, layer)) {
    const int64_t experts = ExpertCount(context, spec.ffn);
    spec.ffn.expert_width = shape.width;
    weights.Matrix(kRouter, "ffn.router", experts, context.hidden);
    AddTwoMatrixFfn(kRoutedExpert, "ffn.experts.0", context.hidden, shape.width, experts, weights);
    if (biases > 0) weights.Vector(kRoutedExpert, biases * experts);
  } else {
    spec.ffn.dense_width = shape.width;
    AddTwoMatrixFfn(kDenseFfn, "ffn", context.hidden, shape.width, 1, weights);
    if (biases > 0) weights.Vector(kDenseFfn, biases);
  }
  return spec;
}

}  // namespace

void BuildNemotronModel(HfContext& context, ModelSpec& spec) {
  HfFields& f = context.f;
  const std::string pattern = NemotronPattern(context, "hybrid_override_pattern", "layers_block_type");
  if (pattern.empty()) return f.Fail("the field 'hybrid_override_pattern' is missing");
  if (pattern.size() != static_cast<size_t>(context.layers)) {
    return f.Fail(fmt::format("the field 'hybrid_override_pattern' describes {} layers, num_hidden_layers is {}",
                              pattern.size(), context.layers));
  }
  for (size_t i = 0; i < pattern.size() && !f.error(); ++i) {
    LayerSpec layer;
    HfWeights weights(context, fmt::format("backbone.layers.{}.", i), layer.weights);
    AddNemotronBlock(context, pattern[i], layer, weights);
    spec.layers.push_back(std::move(layer));
  }
  const std::string mtp = NemotronPattern(context, "mtp_hybrid_override_pattern", "mtp_layers_block_type");
  spec.mtp_layers = static_cast<int>(std::min<int64_t>(f.Optional({"num_nextn_predict_layers"}, 0), 64));
  HfContext scratch = context;
  for (int i = 0; i < spec.mtp_layers && !mtp.empty(); ++i) {
    HfWeights weights(scratch, fmt::format("mtp.layers.{}.", i), spec.mtp);
    LayerSpec unused;
    for (const char kind : mtp) AddNemotronBlock(scratch, kind, unused, weights);
    weights.Plain(kOther, context.hidden, 2 * context.hidden);
    weights.Vector(kNorm, 3 * context.hidden);
  }
}

// JetMoE routes attention too: per expert its own q and o, one shared KV. Told as two layers, a mixture of attention heads and
// a mixture of FFNs, so that both count as MoE layers.
void BuildJetMoeModel(HfContext& context, ModelSpec& spec) {
  HfFields& f = context.f;
  const int64_t h = context.hidden;
  const int64_t groups = f.Need({"num_key_value_heads"});
  const int64_t dim = f.Need({"kv_channels", "head_dim"});
  const int64_t width = f.Need({"ffn_hidden_size", "intermediate_size"});
  for (int i = 0; i < context.layers && !f.error(); ++i) {
    LayerSpec attention;
    HfWeights first(context, fmt::format("model.layers.{}.", i), attention.weights);
    const int64_t experts = ExpertCount(context, attention.ffn);
    const int64_t top_k = attention.ffn.top_k;
    attention.ffn.expert_width = groups * dim;
    first.Matrix(kAttention, "self_attention.kv_proj", 2 * groups * dim, h);
    first.Matrix(kRouter, "self_attention.experts.router", experts, h);
    first.Matrix(kRoutedExpert, "self_attention.experts.input_linear", groups * dim, h, experts);
    first.Matrix(kRoutedExpert, "self_attention.experts.output_linear", h, groups * dim, experts);
    first.Vector(kAttention, h);
    first.Vector(kNorm, h);
    attention.attention.kind = AttentionKind::kGqa;
    attention.attention.query_heads = static_cast<int>(top_k * groups);
    attention.attention.kv_heads = static_cast<int>(groups);
    attention.attention.key_dim = attention.attention.value_dim = static_cast<int>(dim);
    KvCacheSpec cache;
    cache.elements = 2 * groups * dim;
    cache.flops_per_entry = 4 * SafeProduct(context, top_k, groups, dim);
    attention.attention.caches.push_back(cache);
    spec.layers.push_back(std::move(attention));

    LayerSpec ffn;
    HfWeights second(context, fmt::format("model.layers.{}.", i), ffn.weights);
    ExpertCount(context, ffn.ffn);
    ffn.ffn.expert_width = width;
    second.Matrix(kRouter, "mlp.router", experts, h);
    second.SwiGlu(kRoutedExpert, "mlp.experts.0", h, width, experts);
    second.Vector(kOther, h);
    second.Vector(kNorm, h);
    spec.layers.push_back(std::move(ffn));
  }
}

// T5 blocks: no biases, relative position table once per stack, RMS norms.
void BuildSwitchModel(HfContext& context, ModelSpec& spec) {
  HfFields& f = context.f;
  Seq2SeqShape shape;
  shape.heads = f.Need({"num_heads"});
  shape.dim = f.Need({"d_kv"});
  shape.width = f.Need({"d_ff"});
  shape.first_of_step = true;
  const int64_t buckets = f.Need({"relative_attention_num_buckets"});
  for (const bool encoder : {true, false}) {
    const int64_t layers = encoder ? f.Need({"num_layers"}) : f.Need({"num_decoder_layers", "num_layers"});
    shape.sparse_step = encoder ? f.Optional({"encoder_sparse_step"}, 0) : f.Optional({"decoder_sparse_step"}, 0);
    for (int i = 0; i < std::min<int64_t>(layers, 4096) && !f.error(); ++i) {
      spec.layers.push_back(Seq2SeqLayer(context, shape, i, encoder));
    }
    HfWeights ends(context, "", spec.ends);
    ends.Vector(kOther, buckets * shape.heads);
    if (encoder) ends.Vector(kNorm, context.hidden);
  }
}

void BuildNllbModel(HfContext& context, ModelSpec& spec) {
  HfFields& f = context.f;
  for (const bool encoder : {true, false}) {
    Seq2SeqShape shape;
    shape.heads = encoder ? f.Need({"encoder_attention_heads"}) : f.Need({"decoder_attention_heads"});
    shape.dim = std::max<int64_t>(context.hidden / shape.heads, 1);
    shape.width = encoder ? f.Need({"encoder_ffn_dim"}) : f.Need({"decoder_ffn_dim"});
    shape.sparse_step = encoder ? f.Need({"encoder_sparse_step"}) : f.Need({"decoder_sparse_step"});
    shape.bias = true;
    shape.norm_vectors = 2;
    const int64_t layers = encoder ? f.Need({"encoder_layers"}) : f.Need({"decoder_layers"});
    for (int i = 0; i < std::min<int64_t>(layers, 4096) && !f.error(); ++i) {
      spec.layers.push_back(Seq2SeqLayer(context, shape, i, encoder));
    }
    HfWeights ends(context, "", spec.ends);
    if (encoder) ends.Vector(kNorm, 2 * context.hidden);
  }
}

}  // namespace moecap::model
