#include "synth/blueprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/hf_fields.h"

namespace moecap::synth {
namespace {

using model::HfFields;

// Sizes that tensors are made of.
enum Dim {
  kEnd,  // no further dimension
  kHidden,
  kVocab,
  kHeads,
  kHeadDim,
  kQueryWidth,  // heads x head size; MLA: heads x (nope + rope)
  kKvWidth,     // KV heads x head size
  kQueryRank,
  kKvRank,
  kLatentWidth,  // KV rank + rope
  kNopeDim,
  kValueDim,
  kMixedWidth,  // what the output projection reads
  kExperts,
  kExpertWidth,
  kSharedWidth,
  kDenseWidth,
  kDimCount
};

// Parts that some families have.
enum Feature : uint32_t {
  kGqa = 1 << 0,
  kMla = 1 << 1,
  kDirectQuery = 1 << 2,   // one query matrix
  kLowRankQuery = 1 << 3,  // query through a low rank
  kBiasQkv = 1 << 4,
  kBiasO = 1 << 5,
  kQkNormHead = 1 << 6,
  kQkNormFull = 1 << 7,
  kSinks = 1 << 8,
  kFfnNorm = 1 << 9,    // the norm before the FFN is called ffn_norm
  kPostNorm = 1 << 10,  // it is called post_attention_norm
  kRouterBias = 1 << 11,
  kCorrectionBias = 1 << 12,
  kExpertBias = 1 << 13,
  kShared = 1 << 14,
  kSharedGate = 1 << 15,
};

enum class Place { kEveryLayer, kMoeLayer, kDenseLayer };

// How strongly a matrix acts on its normalised input: outputs of about `gain` standard deviations. Projections back into the
// residual stream are weak, so that it stays near its start through any number of layers and never overflows.
constexpr double kInward = 1.0;
constexpr double kBack = 0.2;

struct LayerTensor {
  std::string_view name;
  std::array<Dim, 3> dims;
  uint32_t needs;
  Place place = Place::kEveryLayer;
  Fill fill = Fill::kMatrix;
  double gain = kInward;
};

constexpr Place kEvery = Place::kEveryLayer;
constexpr Place kMoe = Place::kMoeLayer;
constexpr Place kDense = Place::kDenseLayer;

constexpr std::array kLayerTensors = {
    LayerTensor{"attn_norm.weight", {kHidden}, 0, kEvery, Fill::kOnes},
    LayerTensor{"attn_q.weight", {kHidden, kQueryWidth}, kDirectQuery},
    LayerTensor{"attn_q.bias", {kQueryWidth}, kBiasQkv, kEvery, Fill::kZeros},
    LayerTensor{"attn_q_norm.weight", {kHeadDim}, kQkNormHead, kEvery, Fill::kOnes},
    LayerTensor{"attn_q_norm.weight", {kQueryWidth}, kQkNormFull, kEvery, Fill::kOnes},
    LayerTensor{"attn_k.weight", {kHidden, kKvWidth}, kGqa},
    LayerTensor{"attn_k.bias", {kKvWidth}, kBiasQkv, kEvery, Fill::kZeros},
    LayerTensor{"attn_k_norm.weight", {kHeadDim}, kQkNormHead, kEvery, Fill::kOnes},
    LayerTensor{"attn_k_norm.weight", {kKvWidth}, kQkNormFull, kEvery, Fill::kOnes},
    LayerTensor{"attn_v.weight", {kHidden, kKvWidth}, kGqa},
    LayerTensor{"attn_v.bias", {kKvWidth}, kBiasQkv, kEvery, Fill::kZeros},
    LayerTensor{"attn_sinks.weight", {kHeads}, kSinks, kEvery, Fill::kZeros},
    LayerTensor{"attn_q_a.weight", {kHidden, kQueryRank}, kLowRankQuery},
    LayerTensor{"attn_q_a_norm.weight", {kQueryRank}, kLowRankQuery, kEvery, Fill::kOnes},
    LayerTensor{"attn_q_b.weight", {kQueryRank, kQueryWidth}, kLowRankQuery},
    LayerTensor{"attn_kv_a_mqa.weight", {kHidden, kLatentWidth}, kMla},
    LayerTensor{"attn_kv_a_norm.weight", {kKvRank}, kMla, kEvery, Fill::kOnes},
    LayerTensor{"attn_k_b.weight", {kNopeDim, kKvRank, kHeads}, kMla},
    LayerTensor{"attn_v_b.weight", {kKvRank, kValueDim, kHeads}, kMla},
    LayerTensor{"attn_output.weight", {kMixedWidth, kHidden}, 0, kEvery, Fill::kMatrix, kBack},
    LayerTensor{"attn_output.bias", {kHidden}, kBiasO, kEvery, Fill::kZeros},
    LayerTensor{"ffn_norm.weight", {kHidden}, kFfnNorm, kEvery, Fill::kOnes},
    LayerTensor{"post_attention_norm.weight", {kHidden}, kPostNorm, kEvery, Fill::kOnes},
    LayerTensor{"ffn_gate.weight", {kHidden, kDenseWidth}, 0, kDense},
    LayerTensor{"ffn_up.weight", {kHidden, kDenseWidth}, 0, kDense},
    LayerTensor{"ffn_down.weight", {kDenseWidth, kHidden}, 0, kDense, Fill::kMatrix, kBack},
    LayerTensor{"ffn_gate_inp.weight", {kHidden, kExperts}, 0, kMoe, Fill::kRouter},
    LayerTensor{"ffn_gate_inp.bias", {kExperts}, kRouterBias, kMoe, Fill::kZeros},
    LayerTensor{"exp_probs_b.bias", {kExperts}, kCorrectionBias, kMoe, Fill::kZeros},
    LayerTensor{"ffn_gate_exps.weight", {kHidden, kExpertWidth, kExperts}, 0, kMoe},
    LayerTensor{"ffn_gate_exps.bias", {kExpertWidth, kExperts}, kExpertBias, kMoe, Fill::kZeros},
    LayerTensor{"ffn_up_exps.weight", {kHidden, kExpertWidth, kExperts}, 0, kMoe},
    LayerTensor{"ffn_up_exps.bias", {kExpertWidth, kExperts}, kExpertBias, kMoe, Fill::kZeros},
    LayerTensor{"ffn_down_exps.weight", {kExpertWidth, kHidden, kExperts}, 0, kMoe, Fill::kMatrix, kBack},
    LayerTensor{"ffn_down_exps.bias", {kHidden, kExperts}, kExpertBias, kMoe, Fill::kZeros},
    LayerTensor{"ffn_gate_inp_shexp.weight", {kHidden}, kSharedGate, kMoe},
    LayerTensor{"ffn_gate_shexp.weight", {kHidden, kSharedWidth}, kShared, kMoe},
    LayerTensor{"ffn_up_shexp.weight", {kHidden, kSharedWidth}, kShared, kMoe},
    LayerTensor{"ffn_down_shexp.weight", {kSharedWidth, kHidden}, kShared, kMoe, Fill::kMatrix, kBack},
};

struct Family {
  std::string_view model_type;
  std::string_view architecture;
  uint32_t features;                // what every model of the family has
  std::string_view expert_width;    // field
  bool tied_allowed = true;         // the engine takes the embedding when the head is missing
  bool normalises_weights = false;  // default of norm_topk_prob
};

constexpr uint32_t kPlainGqa = kGqa | kDirectQuery;

constexpr std::array kFamilies = {
    Family{"mixtral", "llama", kPlainGqa | kFfnNorm, "intermediate_size"},
    Family{"qwen2_moe", "qwen2moe", kPlainGqa | kFfnNorm | kBiasQkv | kShared | kSharedGate, "moe_intermediate_size", false},
    Family{"qwen3_moe", "qwen3moe", kPlainGqa | kFfnNorm | kQkNormHead, "moe_intermediate_size"},
    Family{"olmoe", "olmoe", kPlainGqa | kFfnNorm | kQkNormFull, "intermediate_size", false},
    Family{"gpt_oss", "gpt-oss", kPlainGqa | kPostNorm | kBiasQkv | kBiasO | kSinks | kRouterBias | kExpertBias,
           "intermediate_size", false},
    Family{"glm4_moe", "glm4moe", kPlainGqa | kPostNorm | kCorrectionBias | kShared, "moe_intermediate_size", true, true},
    Family{"minimax_m2", "minimax-m2", kPlainGqa | kFfnNorm | kQkNormFull | kCorrectionBias, "intermediate_size", false},
    Family{"dots1", "dots1", kPlainGqa | kFfnNorm | kQkNormHead | kShared, "moe_intermediate_size", false, true},
    Family{"deepseek", "deepseek", kPlainGqa | kFfnNorm | kShared, "moe_intermediate_size"},
    Family{"deepseek_v2", "deepseek2", kMla | kFfnNorm | kShared, "moe_intermediate_size"},
    Family{"deepseek_v3", "deepseek2", kMla | kFfnNorm | kShared, "moe_intermediate_size", true, true},
    Family{"kimi_k2", "deepseek2", kMla | kFfnNorm | kShared, "moe_intermediate_size", true, true},
};

struct Shape {
  std::array<int64_t, kDimCount> dims{};
  uint32_t features = 0;
  int64_t layers = 0;
  int64_t dense_layers = 0;  // leading ones
  int64_t kv_heads = 0;
  int64_t rope_dim = 0;
  int64_t top_k = 0;
  int64_t shared_experts = 0;
  bool tied = false;

  int64_t operator[](Dim dim) const { return dims[dim]; }
  int64_t& operator[](Dim dim) { return dims[dim]; }
};

double Number(const HfFields& f, std::string_view name, double fallback) {
  const Json* value = f.Find(name);
  return value != nullptr && value->is_number() ? value->get<double>() : fallback;
}

void ReadGqa(HfFields& f, Shape& shape) {
  shape[kHeadDim] = f.Optional({"head_dim"}, shape[kHidden] / shape[kHeads]);
  shape.kv_heads = f.Need({"num_key_value_heads"});
  shape[kQueryWidth] = shape[kMixedWidth] = shape[kHeads] * shape[kHeadDim];
  shape[kKvWidth] = shape.kv_heads * shape[kHeadDim];
  shape.rope_dim = std::llround(static_cast<double>(shape[kHeadDim]) * Number(f, "partial_rotary_factor", 1));
  shape.rope_dim = f.Optional({"rotary_dim"}, shape.rope_dim);
}

void ReadMla(HfFields& f, Shape& shape) {
  shape[kKvRank] = f.Need({"kv_lora_rank"});
  shape[kQueryRank] = f.Optional({"q_lora_rank"}, 0);
  shape[kNopeDim] = f.Need({"qk_nope_head_dim"});
  shape[kValueDim] = f.Need({"v_head_dim"});
  shape.rope_dim = f.Need({"qk_rope_head_dim"});
  shape[kLatentWidth] = shape[kKvRank] + shape.rope_dim;
  shape[kQueryWidth] = shape[kHeads] * (shape[kNopeDim] + shape.rope_dim);
  shape[kMixedWidth] = shape[kHeads] * shape[kValueDim];
  shape.kv_heads = 1;
  shape.features |= shape[kQueryRank] > 0 ? kLowRankQuery : kDirectQuery;
}

Shape ReadShape(HfFields& f, const Family& family) {
  Shape shape;
  shape.features = family.features;
  shape.layers = f.Need({"num_hidden_layers"});
  shape[kHidden] = f.Need({"hidden_size"});
  shape[kVocab] = f.Need({"vocab_size"});
  shape[kHeads] = f.Need({"num_attention_heads"});
  if ((shape.features & kMla) != 0) {
    ReadMla(f, shape);
  } else {
    ReadGqa(f, shape);
  }
  shape[kExperts] = f.Need({"num_local_experts", "num_experts", "n_routed_experts"});
  shape.top_k = f.Need({"num_experts_per_tok", "experts_per_token"});
  shape[kExpertWidth] = f.Need({family.expert_width});
  shape.dense_layers = f.Optional({"first_k_dense_replace"}, 0);
  shape[kDenseWidth] = f.Optional({"intermediate_size"}, shape[kExpertWidth]);
  if ((shape.features & kShared) != 0) {
    shape.shared_experts = f.Optional({"n_shared_experts"}, 1);
    shape[kSharedWidth] = f.Optional({"shared_expert_intermediate_size"}, shape.shared_experts * shape[kExpertWidth]);
  }
  shape.tied = f.Flag("tie_word_embeddings", false);
  if (family.model_type == "glm4_moe") {
    if (f.Flag("attention_bias", false)) shape.features |= kBiasQkv;
    if (f.Flag("use_qk_norm", false)) shape.features |= kQkNormHead;
  }
  if (f.Text("topk_method") == "noaux_tc" && (shape.features & kShared) != 0) shape.features |= kCorrectionBias;
  return shape;
}

bool AllMoe(HfFields& f) {
  return f.Optional({"decoder_sparse_step"}, 1) == 1 && f.Numbers("mlp_only_layers").empty() &&
         f.Optional({"moe_layer_freq"}, 1) == 1;
}

// The engine's sliding pattern of gpt-oss is fixed: every second layer, from the first.
bool AlternatesWindows(HfFields& f) {
  const std::vector<std::string> types = f.Words("layer_types");
  for (size_t i = 0; i < types.size(); ++i) {
    if ((types[i] == "sliding_attention") != (i % 2 == 0)) return false;
  }
  return true;
}

// What the engine's loader would refuse, or silently take for another model.
Status CheckExpressible(HfFields& f, const Family& family, const Shape& shape) {
  const auto refuse = [&](const std::string& what) {
    return BadInput(fmt::format("{} has no GGUF form that the engine loads as this model: {}", family.model_type, what));
  };
  if (!AllMoe(f)) return refuse("decoder_sparse_step, mlp_only_layers or moe_layer_freq put dense layers between MoE layers");
  if (shape.dense_layers >= shape.layers) return refuse(fmt::format("all {} layers are dense", shape.layers));
  if (shape.tied && !family.tied_allowed) return refuse("tie_word_embeddings is true");
  if (shape.top_k > shape[kExperts]) return refuse("more experts per token than experts");
  const bool square = family.architecture == "qwen2moe" || family.architecture == "olmoe" || family.architecture == "deepseek";
  if (square && shape[kQueryWidth] != shape[kHidden]) return refuse("num_attention_heads x head_dim differs from hidden_size");
  const bool equal_heads = family.architecture == "olmoe" || family.architecture == "dots1";
  if (equal_heads && shape[kKvWidth] != shape[kQueryWidth])
    return refuse("num_key_value_heads is less than num_attention_heads");
  if (family.architecture == "gpt-oss" && !AlternatesWindows(f))
    return refuse("layer_types does not alternate sliding and full attention");
  const bool bias = f.Flag("attention_bias", false);
  if (bias && (shape.features & (kBiasQkv | kBiasO)) == 0) return refuse("attention_bias is true");
  if ((shape.features & kBiasQkv) != 0 && !f.Flag("qkv_bias", true)) return refuse("qkv_bias is false");
  const bool lite_depth = shape.layers == 26 || shape.layers == 27 || (shape.layers == 48 && shape[kVocab] == 128256);
  if ((shape.features & kLowRankQuery) != 0 && lite_depth) {
    return refuse(fmt::format("with {} layers the engine expects no q_lora_rank; choose another --layers", shape.layers));
  }
  return {};
}

using Keys = std::vector<std::pair<std::string, BlueprintValue>>;

void AddMoeKeys(HfFields& f, const Family& family, const Shape& shape, Keys& keys) {
  const auto add = [&](std::string_view key, int64_t value) { keys.emplace_back(key, static_cast<uint32_t>(value)); };
  add("expert_count", shape[kExperts]);
  add("expert_used_count", shape.top_k);
  add("expert_feed_forward_length", shape[kExpertWidth]);
  if (family.architecture == "qwen2moe") add("expert_shared_feed_forward_length", shape[kSharedWidth]);
  if ((shape.features & kSharedGate) != 0 || (shape.features & (kShared | kCorrectionBias)) == 0) return;
  add("leading_dense_block_count", shape.dense_layers);
  add("expert_shared_count", shape.shared_experts);
  keys.emplace_back("expert_weights_scale", static_cast<float>(Number(f, "routed_scaling_factor", 1)));
  keys.emplace_back("expert_weights_norm", f.Flag("norm_topk_prob", family.normalises_weights));
  const bool sigmoid = f.Text("scoring_func", (shape.features & kCorrectionBias) != 0 ? "sigmoid" : "softmax") != "softmax";
  add("expert_gating_func", sigmoid ? 2 : 1);
  const int64_t groups = f.Optional({"n_group"}, 1);
  if (groups <= 1) return;
  add("expert_group_count", groups);
  add("expert_group_used_count", f.Need({"topk_group"}));
}

Keys MakeKeys(HfFields& f, const Family& family, const Shape& shape) {
  Keys keys;
  const auto add = [&](std::string_view key, int64_t value) { keys.emplace_back(key, static_cast<uint32_t>(value)); };
  add("block_count", shape.layers);
  add("context_length", f.Optional({"max_position_embeddings"}, 4096));
  add("embedding_length", shape[kHidden]);
  add("vocab_size", shape[kVocab]);
  // Without dense layers the engine takes this for the experts' width where there is no key of its own.
  const bool own_width = family.expert_width != "intermediate_size";
  add("feed_forward_length", own_width ? shape[kDenseWidth] : shape[kExpertWidth]);
  add("attention.head_count", shape[kHeads]);
  add("attention.head_count_kv", shape.kv_heads);
  keys.emplace_back("attention.layer_norm_rms_epsilon", static_cast<float>(Number(f, "rms_norm_eps", 1e-6)));
  keys.emplace_back("rope.freq_base", static_cast<float>(Number(f, "rope_theta", 10000)));
  add("rope.dimension_count", shape.rope_dim);
  if ((shape.features & kMla) != 0) {
    add("attention.q_lora_rank", shape[kQueryRank]);
    add("attention.kv_lora_rank", shape[kKvRank]);
    add("attention.key_length", shape[kLatentWidth]);
    add("attention.value_length", shape[kKvRank]);
    add("attention.key_length_mla", shape[kNopeDim] + shape.rope_dim);
    add("attention.value_length_mla", shape[kValueDim]);
  } else {
    add("attention.key_length", shape[kHeadDim]);
    add("attention.value_length", shape[kHeadDim]);
  }
  if (family.architecture == "gpt-oss") add("attention.sliding_window", f.Need({"sliding_window"}));
  AddMoeKeys(f, family, shape, keys);
  return keys;
}

BlueprintTensor MakeTensor(const Shape& shape, std::string name, const std::array<Dim, 3>& dims, Fill fill, double gain) {
  BlueprintTensor tensor{std::move(name), {}, fill, 0, false};
  for (const Dim dim : dims) {
    if (dim != kEnd) tensor.dims.push_back(shape[dim]);
  }
  tensor.std_dev = gain / std::sqrt(static_cast<double>(tensor.dims[0]));
  return tensor;
}

void AddTensors(const Shape& shape, std::vector<BlueprintTensor>& tensors) {
  tensors.push_back(MakeTensor(shape, "token_embd.weight", {kHidden, kVocab}, Fill::kMatrix, 1));
  tensors.back().std_dev = 1;  // rows are taken, not multiplied
  tensors.push_back(MakeTensor(shape, "output_norm.weight", {kHidden}, Fill::kOnes, 1));
  if (!shape.tied) tensors.push_back(MakeTensor(shape, "output.weight", {kHidden, kVocab}, Fill::kMatrix, 1));
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    const Place place = layer < shape.dense_layers ? kDense : kMoe;
    for (const LayerTensor& row : kLayerTensors) {
      if ((shape.features & row.needs) != row.needs || (row.place != kEvery && row.place != place)) continue;
      tensors.push_back(MakeTensor(shape, fmt::format("blk.{}.{}", layer, row.name), row.dims, row.fill, row.gain));
      tensors.back().expert = row.name.find("_exps.") != std::string_view::npos;
    }
  }
}

// The text model of a multimodal config.
template <typename JsonType>
JsonType& TextModel(JsonType& config) {
  const auto text = config.find("text_config");
  return text != config.end() && text->is_object() ? *text : config;
}

}  // namespace

std::vector<std::string> KnownFamilies() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.model_type);
  std::sort(names.begin(), names.end());
  return names;
}

Result<Json> Shortened(const Json& config, int layers, std::vector<std::string>& notes) {
  if (layers == 0) return config;
  Json result = config;
  Json& text = TextModel(result);
  const auto count = text.find("num_hidden_layers");
  if (count == text.end() || !count->is_number_integer())
    return BadInput("config.json: the field 'num_hidden_layers' is missing");
  const auto all = count->get<int64_t>();
  if (layers < 0 || layers > all) return BadInput(fmt::format("--layers {}: the model has {}", layers, all));
  *count = layers;
  notes.push_back(fmt::format("{} of {} layers.", layers, all));
  for (auto& [name, value] : text.items()) {
    if (value.is_array() && static_cast<int64_t>(value.size()) == all) value.erase(value.begin() + layers, value.end());
  }
  const auto dense = text.find("first_k_dense_replace");
  if (dense == text.end() || !dense->is_number_integer() || dense->get<int64_t>() < layers) return result;
  notes.push_back(
      fmt::format("{} leading dense layers instead of {}, so that an MoE layer is left.", layers - 1, dense->get<int64_t>()));
  *dense = layers - 1;
  return result;
}

Result<Blueprint> MakeBlueprint(const Json& config) {
  if (!config.is_object()) return BadInput("config.json: not an object");
  HfFields f(config, TextModel(config));
  const std::string model_type = f.Text("model_type");
  const auto* family = std::find_if(kFamilies.begin(), kFamilies.end(),
                                    [&](const Family& candidate) { return candidate.model_type == model_type; });
  if (family == kFamilies.end()) {
    std::string known;
    for (const std::string& name : KnownFamilies()) known += (known.empty() ? "" : ", ") + name;
    return BadInput(fmt::format("no synthetic form for model_type '{}'; known are {}", model_type, known));
  }
  const Shape shape = ReadShape(f, *family);
  if (f.error()) return *f.error();
  RETURN_IF_ERROR(CheckExpressible(f, *family, shape));
  Blueprint blueprint;
  blueprint.architecture = family->architecture;
  blueprint.keys = MakeKeys(f, *family, shape);
  if (f.error()) return *f.error();
  blueprint.vocab = shape[kVocab];
  blueprint.experts = static_cast<int>(shape[kExperts]);
  blueprint.top_k = static_cast<int>(shape.top_k);
  AddTensors(shape, blueprint.tensors);
  return blueprint;
}

}  // namespace moecap::synth
