// Whole models: the plain list of layers, multi-token prediction, and families with another structure.
#include <fmt/format.h>

#include <algorithm>

#include "model/hf_build.h"

namespace moecap::model {
namespace {

using enum TensorClass;

std::string LayerPrefix(int layer) { return fmt::format("model.layers.{}.", layer); }

bool HasEmbeddingScores(const HfContext& context) {
  return (context.family.ffn & kResidualScores) != 0 && context.f.Has("attn_res_block_size");
}

// One complete layer of the family into `spec`.
// `prefix`: of the names of its modules, which patterns of the quantisation match.
void BuildLayer(HfContext& context, int layer, bool moe, LayerSpec& spec, const std::string& prefix) {
  HfWeights weights(context, prefix, spec.weights);
  context.family.mixer(context, layer, spec, weights);
  BuildFfn(context, layer, moe, spec, weights);
  AddLayerNorms(context, weights);
  if (HasEmbeddingScores(context)) {
    // A score vector and a norm before attention and before the FFN.
    weights.Vector(kOther, 2 * context.hidden);
    weights.Vector(kNorm, 2 * context.hidden);
  }
}

void BuildLayer(HfContext& context, int layer, bool moe, LayerSpec& spec) {
  BuildLayer(context, layer, moe, spec, LayerPrefix(layer));
}

// A copy of the context whose tally is thrown away: MTP does not decide the model's dominant types.
HfContext Scratch(const HfContext& context) { return context; }

void AddMtp(HfContext& context, ModelSpec& spec, const LayerSpec& layer, int64_t norms, bool copies) {
  HfWeights weights(context, LayerPrefix(context.layers), spec.mtp);
  spec.mtp += layer.weights;
  weights.Plain(kOther, context.hidden, 2 * context.hidden);
  weights.Vector(kNorm, norms * context.hidden);
  if (!copies) return;
  spec.mtp_copy_params += 2 * spec.vocab * context.hidden;
  spec.mtp_copy_bytes += static_cast<double>(2 * spec.vocab * context.hidden) * context.formats.plain_bits() / 8;
}

int64_t MtpLayers(HfContext& context, int64_t fallback) {
  return std::min<int64_t>(context.f.Optional({"num_nextn_predict_layers", "mtp_num_hidden_layers"}, fallback), 64);
}

}  // namespace

void BuildPlainModel(HfContext& context, ModelSpec& spec) {
  spec.layers.resize(static_cast<size_t>(context.layers));
  for (int i = 0; i < context.layers && !context.f.error(); ++i) {
    BuildLayer(context, i, IsMoeLayer(context, i), spec.layers[static_cast<size_t>(i)]);
  }
  HfWeights ends(context, "", spec.ends);
  if (HasEmbeddingScores(context)) {
    ends.Vector(kOther, context.hidden);
    ends.Vector(kNorm, context.hidden);
  }
  if (context.f.Has("hc_mult")) AddHyperHead(context, ends);
  if (context.f.Flag("lm_head_bias", false)) ends.Vector(kHead, spec.vocab);
}

void BuildNoMtp(HfContext&, ModelSpec&) {}

void BuildDeepseekMtp(HfContext& original, ModelSpec& spec) {
  HfContext context = Scratch(original);
  spec.mtp_layers = static_cast<int>(MtpLayers(context, 0));
  for (int i = 0; i < spec.mtp_layers; ++i) {
    LayerSpec layer;
    BuildLayer(context, context.layers + i, true, layer);
    AddMtp(context, spec, layer, 3, context.family.model_type != "hy_v3");
  }
}

// One gated-attention MoE layer, 2 h x h and three norms.
void BuildQwenMtp(HfContext& original, ModelSpec& spec) {
  HfContext context = Scratch(original);
  spec.mtp_layers = static_cast<int>(MtpLayers(context, 1));
  for (int i = 0; i < spec.mtp_layers; ++i) {
    LayerSpec layer;
    HfWeights weights(context, "mtp.layers.0.", layer.weights);
    AddGqa(context, context.family.attention, GqaShapeOf(context), HfWindow{}, layer.attention, weights);
    BuildFfn(context, context.layers, true, layer, weights);
    AddLayerNorms(context, weights);
    AddMtp(context, spec, layer, 3, false);
  }
}

// One dense layer.
void BuildExaoneMtp(HfContext& original, ModelSpec& spec) {
  HfContext context = Scratch(original);
  spec.mtp_layers = static_cast<int>(MtpLayers(context, 0));
  for (int i = 0; i < spec.mtp_layers; ++i) {
    LayerSpec layer;
    HfWeights weights(context, LayerPrefix(context.layers + i), layer.weights);
    AddGqa(context, context.family.attention, GqaShapeOf(context), HfWindow{}, layer.attention, weights);
    BuildFfn(context, 0, false, layer, weights);
    AddLayerNorms(context, weights);
    AddMtp(context, spec, layer, 3, false);
  }
}

// Step-3.5: dense layers with the sliding head counts, each with an output head of its own.
void BuildStepMtp(HfContext& original, ModelSpec& spec) {
  HfContext context = Scratch(original);
  HfFields& f = context.f;
  spec.mtp_layers = static_cast<int>(MtpLayers(context, 0));
  for (int i = 0; i < spec.mtp_layers; ++i) {
    LayerSpec layer;
    HfWeights weights(context, LayerPrefix(context.layers + i), layer.weights);
    GqaShape shape;
    shape.heads = f.Need({"attention_other_setting.num_attention_heads"});
    shape.kv_heads = f.Need({"attention_other_setting.num_attention_groups"});
    shape.key_dim = shape.value_dim = f.Need({"attention_other_setting.head_dim"});
    const uint32_t gate = f.Flag("use_head_wise_attn_gate", false) ? kGateHead : 0U;
    AddGqa(context, context.family.attention | gate, shape, HfWindow{}, layer.attention, weights);
    BuildFfn(context, 0, false, layer, weights);
    AddLayerNorms(context, weights);
    AddMtp(context, spec, layer, 3, false);
    spec.mtp_copy_params += spec.vocab * context.hidden;
    spec.mtp_copy_bytes += static_cast<double>(spec.vocab * context.hidden) * context.formats.plain_bits() / 8;
  }
}

// DeepSeek-V4: a layer without compression, its own hyper-connection head, 2 h x h, three norms.
void BuildCompressedMtp(HfContext& original, ModelSpec& spec) {
  HfContext context = Scratch(original);
  spec.mtp_layers = static_cast<int>(MtpLayers(context, 0));
  for (int i = 0; i < spec.mtp_layers; ++i) {
    LayerSpec layer;
    const std::string prefix = fmt::format("mtp.layers.{}.", i);
    BuildLayer(context, context.layers + i, true, layer, prefix);
    HfWeights weights(context, prefix, layer.weights);
    AddHyperHead(context, weights);
    AddMtp(context, spec, layer, 3, false);
  }
}

// LongCat: a layer is two attention blocks and two dense FFNs around one MoE, whose router may also choose identity experts.
// Told as two layers: attention with MoE and dense FFN, attention with dense FFN.
void BuildLongcatModel(HfContext& context, ModelSpec& spec) {
  HfFields& f = context.f;
  for (int i = 0; i < context.layers && !f.error(); ++i) {
    for (const bool moe : {true, false}) {
      LayerSpec layer;
      HfWeights weights(context, LayerPrefix(i), layer.weights);
      AddMla(context, layer.attention, weights);
      BuildFfn(context, i, moe, layer, weights);
      weights.Vector(kNorm, 2 * context.hidden);
      spec.layers.push_back(std::move(layer));
    }
  }
  HfContext scratch = Scratch(context);
  LayerSpec mtp;
  HfWeights weights(scratch, LayerPrefix(context.layers), mtp.weights);
  AddMla(scratch, mtp.attention, weights);
  BuildFfn(scratch, 0, false, mtp, weights);
  spec.mtp_layers = 1;
  AddMtp(scratch, spec, mtp, 5, false);
  spec.mtp_copy_params = spec.vocab * context.hidden;
  spec.mtp_copy_bytes = static_cast<double>(spec.mtp_copy_params) * context.formats.plain_bits() / 8;
}

}  // namespace moecap::model
