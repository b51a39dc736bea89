// Parts from which the config reader assembles layers. Private to it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/hf_fields.h"
#include "model/model_spec.h"
#include "model/quantization.h"

namespace moecap::model {

struct HfFamily;

// What every builder needs; one a config.
struct HfContext {
  HfFields& f;
  WeightFormats& formats;
  const HfFamily& family;
  int64_t hidden = 0;
  int layers = 0;
  std::array<std::map<std::string, int64_t>, kTensorClassCount> tally;  // parameters by class and format label
};

// Adds tensors to one layer (or to the ends, or to MTP). Module names follow the checkpoints ("self_attn.q_proj") because
// quantization_config names what it leaves alone by them.
class HfWeights {
 public:
  HfWeights(HfContext& context, std::string prefix, WeightSet& weights)
      : context_(context), prefix_(std::move(prefix)), weights_(weights) {}

  // `copies` matrices of `out` x `in`, in the module's format.
  void Matrix(TensorClass c, std::string_view module, int64_t out, int64_t in, int64_t copies = 1);
  // The same, never quantised (convolutions, routers, MTP projections); `bits` 0 = the checkpoint's dtype.
  void Plain(TensorClass c, int64_t out, int64_t in, int64_t copies = 1, double bits = 0);
  // Biases, norms, scales; `bits` 0 = the checkpoint's dtype.
  void Vector(TensorClass c, int64_t size, double bits = 0);
  // gate, up and down projections of `width`, each `copies` times.
  void SwiGlu(TensorClass c, const std::string& module, int64_t hidden, int64_t width, int64_t copies = 1);

 private:
  std::string NameOf(std::string_view module) const;
  void Add(TensorClass c, int64_t out, int64_t in, int64_t copies, const WeightFormat& format);

  HfContext& context_;
  std::string prefix_;
  WeightSet& weights_;
};

// a x b x c, or a remembered error when it is larger than any model has (2^44).
int64_t SafeProduct(HfContext& context, int64_t a, int64_t b, int64_t c = 1);

struct HfWindow {
  int64_t tokens = 0;  // 0 = sees everything
  bool chunked = false;
};

// Shape of grouped-query attention (docs: GQA = h H dk + h G dk + h G dv + H dv h).
struct GqaShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
};

// Options of HfFamily::attention. The *Flag ones ask the config whether they apply.
enum GqaOption : uint32_t {
  kQkNormHead = 1 << 0,  // q and k norms of one head's width
  kQkNormFull = 1 << 1,  // of the whole width
  kQkNormFlag = 1 << 2,  // only if use_qk_norm / qk_norm
  kBiasQkv = 1 << 3,     // unless qkv_bias is false
  kBiasQkvo = 1 << 4,
  kBiasFlag = 1 << 5,       // qkv, only if attention_bias
  kBiasFlagQkvo = 1 << 10,  // qkvo, only if attention_bias
  kSinks = 1 << 6,          // one value a query head
  kGateHead = 1 << 7,       // output gate, one value a head
  kGateElement = 1 << 8,    // output gate, one value an element
  kDoubleQuery = 1 << 9,    // the query projection also produces the gate
};

void AddGqa(HfContext& context, uint32_t options, const GqaShape& shape, HfWindow window, AttentionSpec& spec,
            HfWeights& weights);
// Adds to spec.caches too.
void AddMla(HfContext& context, AttentionSpec& spec, HfWeights& weights);
// The indexer of sparse MLA attention; `own` false: this layer reuses the choice of an earlier one.
void AddMlaIndexer(HfContext& context, bool own, AttentionSpec& spec, HfWeights& weights);

GqaShape GqaShapeOf(HfContext& context);
// Remembers an error unless the KV heads, which `field` gives, divide the query heads.
void CheckHeads(HfContext& context, const GqaShape& shape, std::string_view field);
HfWindow WindowOf(HfContext& context, int layer);

// Mixers by family, one per layer.
using MixerBuilder = void (*)(HfContext&, int layer, LayerSpec&, HfWeights&);
void BuildGqaMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildMlaMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildSparseMlaMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildGatedDeltaMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildKimiMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildLightningMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildGraniteMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildJambaMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildShortConvMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildBlockSparseMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildLagunaMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildStepMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildFactorizedMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildMimoMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildGemmaMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildHunyuanMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildInklingMixer(HfContext&, int, LayerSpec&, HfWeights&);
void BuildCompressedMixer(HfContext&, int, LayerSpec&, HfWeights&);

// Mamba 2 mixer (granite, nemotron): inner width heads x head_dim, `groups` of B and C of `state` each.
struct Mamba2Shape {
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t groups = 0;
  int64_t state = 0;
  int64_t kernel = 0;
  bool conv_bias = true;
};
void AddMamba2(HfContext& context, const Mamba2Shape& shape, AttentionSpec& spec, HfWeights& weights);

// FFN part of layer `layer`: the family's dense or MoE form. `moe` false: dense only.
void BuildFfn(HfContext& context, int layer, bool moe, LayerSpec& spec, HfWeights& weights);
bool IsMoeLayer(HfContext& context, int layer);
// The layer's norms of `hidden` each.
void AddLayerNorms(HfContext& context, HfWeights& weights);

// Families whose model is not a plain list of mixer + FFN layers.
using ModelBuilder = void (*)(HfContext&, ModelSpec&);
void BuildPlainModel(HfContext&, ModelSpec&);
void BuildNemotronModel(HfContext&, ModelSpec&);
void BuildLongcatModel(HfContext&, ModelSpec&);
void BuildJetMoeModel(HfContext&, ModelSpec&);
void BuildSwitchModel(HfContext&, ModelSpec&);
void BuildNllbModel(HfContext&, ModelSpec&);

// Multi-token-prediction layers.
using MtpBuilder = void (*)(HfContext&, ModelSpec&);
void BuildNoMtp(HfContext&, ModelSpec&);
void BuildDeepseekMtp(HfContext&, ModelSpec&);  // full layer + eh_proj + 3 norms; checkpoints may add embedding and head copies
void BuildQwenMtp(HfContext&, ModelSpec&);
void BuildExaoneMtp(HfContext&, ModelSpec&);
void BuildStepMtp(HfContext&, ModelSpec&);
void BuildCompressedMtp(HfContext&, ModelSpec&);

// Hyper-connections of DeepSeek-V4: per sublayer, and before the head.
void AddHyperConnection(HfContext& context, HfWeights& weights);
void AddHyperHead(HfContext& context, HfWeights& weights);

enum class Sparsity {
  kNone,
  kAll,
  kStep,
  kFirstDense,
  kFirstDenseOptional,
  kLlama4,
  kPeriod,
  kErnie,
  kNumDense,
  kTypes,
  kEnum,
  kFrequencyList
};

enum FfnOption : uint32_t {
  kRouterBias = 1 << 0,
  kRouterBiasNoaux = 1 << 1,  // only if topk_method is noaux_tc
  kRouterBiasFlag = 1 << 2,  // only if use_routing_bias / use_expert_bias / moe_router_enable_expert_bias / use_moe_router_bias
  kSharedGate = 1 << 3,      // a vector of `hidden` gates the shared expert
  kExpertBias = 1 << 4,      // gate, up and down biases in every expert, and a router bias in the checkpoint's dtype
  kSharedIsExpert = 1 << 5,  // always one shared expert of the routed width
  kDenseBeside = 1 << 6,     // a dense FFN in parallel in every MoE layer
  kDenseBesideFlag = 1 << 7,  // only if residual_moe
  kDenseSquare = 1 << 8,      // the dense FFN is `hidden` wide
  kLatentExperts = 1 << 9,    // experts work in a latent space of routed_expert_hidden_size if that field is present
  kResidualScores = 1 << 10,  // attention-residual scores with it
  kHashLayers = 1 << 11,      // the first num_hash_layers have no router bias
  kGemmaRouter = 1 << 12,     // router input scale and per-expert scale
  kSharedInRouter = 1 << 13,  // the router also scores the shared experts, with one global scale
  kRouterFloat32 = 1 << 14,   // the router is stored in fp32 whatever the dtype
};

struct HfFamily {
  std::string_view model_type;
  MixerBuilder mixer;
  uint32_t attention = 0;  // GqaOption
  Sparsity sparsity = Sparsity::kAll;
  std::string_view expert_width = "moe_intermediate_size";
  std::string_view dense_width = "intermediate_size";
  uint32_t ffn = 0;  // FfnOption
  int norms = 2;     // vectors of `hidden` per layer (weight and bias of a LayerNorm count as two)
  int final_norms = 1;
  bool tied = false;  // when tie_word_embeddings is missing
  MtpBuilder mtp = BuildNoMtp;
  ModelBuilder model = BuildPlainModel;
};

// Null: unknown. Aliases (hunyuan_v1_moe, minimax, ...) resolve to the same shapes.
const HfFamily* FindHfFamily(std::string_view model_type);
std::vector<std::string> HfFamilyNames();
// Of a family that servers know and we do not read: the family most like it; empty for any other name.
std::string_view NearestOfUnread(std::string_view name);
std::vector<std::string> UnreadFamilyNames();

}  // namespace moecap::model
