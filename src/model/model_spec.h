// What a model is, as numbers: a list of layers with parameters and bytes by tensor class, KV caches, recurrent state and
// experts. Every formula of bytes and FLOPs is a sum over these, so no code needs to ask for a model's name.
//
// Built by SpecFromGguf (gguf_spec.h) from a file's own tensor table, or by SpecFromConfig (hf_config.h) from a config.json.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/kv_cache.h"

namespace moecap::model {

enum class TensorClass { kEmbedding, kAttention, kRouter, kRoutedExpert, kSharedExpert, kDenseFfn, kNorm, kHead, kOther };
inline constexpr int kTensorClassCount = 9;
inline constexpr std::array<TensorClass, kTensorClassCount> kTensorClasses = {
    TensorClass::kEmbedding,    TensorClass::kAttention,    TensorClass::kRouter,
    TensorClass::kRoutedExpert, TensorClass::kSharedExpert, TensorClass::kDenseFfn,
    TensorClass::kNorm,         TensorClass::kHead,         TensorClass::kOther};
// "embedding", "attention", "router", "routed_expert", "shared_expert", "dense_ffn", "norm", "head", "other".
std::string_view TensorClassName(TensorClass value);

// The tensors of one class in one place. Routed experts: all E experts together. The matrix part is what a token is multiplied
// with (tensors of two or more dimensions): 2 FLOPs per parameter and token; the rest are biases, norms and other vectors.
struct Weights {
  int64_t params = 0;
  double bytes = 0;  // as stored, block scales included
  int64_t matrix_params = 0;
  double matrix_bytes = 0;

  double BitsPerWeight() const { return params == 0 ? 0 : 8 * bytes / static_cast<double>(params); }
  Weights& operator+=(const Weights& other);
};

struct WeightSet {
  std::array<Weights, kTensorClassCount> by_class;

  Weights& operator[](TensorClass c) { return by_class[static_cast<size_t>(c)]; }
  const Weights& operator[](TensorClass c) const { return by_class[static_cast<size_t>(c)]; }
  WeightSet& operator+=(const WeightSet& other);
  int64_t Params() const;
  double Bytes() const;
};

// What mixes tokens in a layer. The kind is a label; the arithmetic uses `caches` and the state.
enum class AttentionKind { kNone, kGqa, kMla, kLinear, kMamba, kShortConv };
std::string_view AttentionKindName(AttentionKind value);

struct AttentionSpec {
  AttentionKind kind = AttentionKind::kNone;
  int query_heads = 0;
  int kv_heads = 0;   // 0 for MLA and recurrent layers
  int key_dim = 0;    // per head; MLA: nope + rope
  int value_dim = 0;  // per head
  std::vector<KvCacheSpec> caches;

  // Recurrent layers: elements per sequence, read and written once a pass, and FLOPs per token of the state update.
  int64_t state_elements = 0;
  int64_t conv_state_elements = 0;
  int64_t state_flops_per_token = 0;
};

struct FfnSpec {
  int experts = 0;         // routed experts E of this layer; 0 = no MoE part
  int top_k = 0;           // routed experts per token
  int zero_experts = 0;    // identity experts that the router may choose besides E; they cost nothing
  int shared_experts = 0;  // always active; 0 = none
  int64_t expert_width = 0;
  int64_t shared_width = 0;  // of all shared experts together
  int64_t dense_width = 0;   // dense FFN (alone, or in parallel with the experts)

  bool moe() const { return experts > 0; }
  // Expected real experts per token: top_k, or top_k * E / (E + Z) with Z zero experts.
  double ActiveExperts() const;
};

struct LayerSpec {
  AttentionSpec attention;
  FfnSpec ffn;
  WeightSet weights;
  bool encoder = false;  // of an encoder-decoder model: runs once per prompt, not per decoded token
};

// Part of a multimodal checkpoint that text tokens never read: it takes memory all the same.
struct TowerSpec {
  std::string name;  // "vision", "audio", "other"
  int64_t params = 0;
  double bytes = 0;
  bool estimated = false;  // from its config's widths rather than from tensors
};

// Tensors of one name but for the numbers of layers and experts.
struct TensorGroup {
  std::string name;  // "layers.*.mlp.experts.*.gate_proj"
  std::string type;  // "bf16", "nvfp4"
  int64_t tensors = 0;
  int64_t params = 0;
  double bytes = 0;  // scales included
};

struct ModelSpec {
  std::string id;            // "Qwen/Qwen3-30B-A3B" or the file's name
  std::string model_type;    // config.json's model_type, or GGUF's general.architecture
  std::string weight_type;   // dominant type of the expert (dense model: layer) matrices: "F16", "Q4_0", "fp8"
  std::string compute_type;  // type in which the matrices are multiplied: "bf16"; empty = not known
  bool tied_embedding = false;
  int64_t vocab = 0;
  int64_t hidden = 0;
  std::optional<int64_t> max_context;  // trained context length in tokens

  std::vector<LayerSpec> layers;  // without MTP layers
  WeightSet ends;                 // what is outside the layers: embedding, final norm, head (0 when tied), other
  // Largest class-wise types, for display: "F16", "Q6_K"; empty when the class has no weights.
  std::array<std::string, kTensorClassCount> type_by_class;

  int mtp_layers = 0;
  WeightSet mtp;                // multi-token-prediction layers; never part of the totals below
  int64_t mtp_copy_params = 0;  // embedding and head copies stored with them
  double mtp_copy_bytes = 0;

  std::vector<TowerSpec> towers;  // never part of the totals below
  // False: counted from a checkpoint's tensors without knowing what they compute. There are weights, but no caches, no FLOPs.
  bool computes = true;
  // Where parameters and bytes come from: "config", "tensors" (headers of the checkpoint) or "gguf".
  std::string weights_source = "config";
  std::vector<TensorGroup> expert_tensors;  // of routed experts, where they were read from tensors

  // Of the deployment, not of the weights: set both when the server's settings are known.
  std::string kv_type = "F16";
  double kv_bits = 16;     // per cached element, scales included
  double state_bits = 32;  // per element of recurrent state

  std::vector<std::string> notes;  // what was assumed, one sentence each

  // Parameters: the text model; embedding + head (once if tied), norms, router; no MTP.
  int64_t TotalParams() const;
  // Three conventions of "active" are in use: everything but the experts a token does not visit; the same without the input
  // embedding (one row is read; a tied table stays, it is the head); the same without embedding and head tables.
  int64_t ActiveParams() const;
  int64_t ActiveParamsNoInputEmbedding() const;
  int64_t ActiveParamsNoEmbeddings() const;
  double WeightBytes() const;  // of TotalParams()
  // What lies in memory before the first request: WeightBytes(), towers and, `with_mtp`, multi-token prediction.
  double ResidentBytes(bool with_mtp = true) const;
  WeightSet ByClass() const;  // sums over layers and ends
  // The weights that the output head multiplies with: its own, or the tied embedding.
  const Weights& Head() const;

  int MoeLayers() const;  // layers with ffn.experts > 0, the length of per-layer expert records
  int Experts() const;    // of the first MoE layer; 0 for a dense model
  int TopK() const;       // of the first MoE layer; 0 for a dense model

  // Cached elements per token in the limit of long contexts: windows and recurrent state do not grow and are left out.
  double KvElementsPerToken() const;
  int64_t StateElementsPerSequence() const;  // recurrent and convolution state
  // Bytes that one sequence of `tokens` tokens occupies: caches (kv_bits) and state (state_bits).
  double ResidentKvBytes(int64_t tokens) const;
};

// Stores the weights of class `c` at `bits_per_weight` from now on, under the label `type` (a what-if, or a server that
// quantises on load). MTP included. Requires bits_per_weight > 0.
void SetWeightPrecision(ModelSpec& spec, TensorClass c, std::string_view type, double bits_per_weight);

}  // namespace moecap::model
