#include "model/gguf_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace moecap::model {
namespace {

constexpr int64_t kMostSize = int64_t{1} << 20;

// Which layers of an architecture use the sliding window when the file has no pattern of its own; the engine has these in code
// (load_swa_pattern calls of the pinned release).
struct WindowRule {
  std::string_view architecture;
  int period;               // one full layer in `period`; 0 = every layer slides; 1 = the engine ignores the window
  bool full_first = false;  // the full layer leads its group instead of closing it
  bool chunked = false;
  int64_t default_window = 0;  // when the key is missing
};

constexpr std::array kWindowRules = {
    WindowRule{"afmoe", 4},
    WindowRule{"cohere2", 4},
    WindowRule{"cohere2moe", 4, true},
    WindowRule{"exaone-moe", 4},
    WindowRule{"exaone4", 4},
    WindowRule{"gemma-embedding", 6},
    WindowRule{"gemma2", 2, false, false, 4096},
    WindowRule{"gemma3", 6},
    WindowRule{"gemma3n", 5},
    WindowRule{"gpt-oss", 2},
    WindowRule{"laguna", 4, true},
    WindowRule{"lfm2", 0},
    WindowRule{"lfm2moe", 0},
    WindowRule{"llama4", 4, false, true, 8192},
    WindowRule{"mellum", 4},
    WindowRule{"modern-bert", 3, true},
    WindowRule{"muse-glimmer", 4},
    WindowRule{"olmo2", 4},
    WindowRule{"llama", 1},
    WindowRule{"phi3", 1},
    WindowRule{"phimoe", 1},
    WindowRule{"qwen2", 1},
    WindowRule{"qwen2moe", 1},
    WindowRule{"qwen3", 1},
    WindowRule{"qwen3moe", 1},
    WindowRule{"plamo3", 8},
    WindowRule{"smallthinker", 4, true},
};

const WindowRule* RuleFor(std::string_view architecture) {
  const auto* rule = std::find_if(kWindowRules.begin(), kWindowRules.end(),
                                  [&](const WindowRule& candidate) { return candidate.architecture == architecture; });
  return rule == kWindowRules.end() ? nullptr : rule;
}

bool SlidesByPeriod(int64_t period, bool full_first, int layer) {
  if (period == 0) return true;
  const int64_t place = layer % period;
  return full_first ? place != 0 : place != period - 1;
}

struct Window {
  int64_t tokens = 0;  // 0 = the layer sees everything
  bool chunked = false;
};

Result<Window> WindowOf(const GgufKeys& keys, int layer) {
  const WindowRule* rule = RuleFor(keys.architecture());
  const int64_t tokens = keys.Int("attention.sliding_window").value_or(rule == nullptr ? 0 : rule->default_window);
  if (tokens <= 0) return Window{};
  const Window window{tokens, rule != nullptr && rule->chunked};
  if (const auto pattern = keys.Array("attention.sliding_window_pattern")) {
    if (layer >= static_cast<int>(pattern->size())) {
      return BadInput(fmt::format("{} has no entry for layer {}", keys.Name("attention.sliding_window_pattern"), layer));
    }
    return (*pattern)[static_cast<size_t>(layer)] != 0 ? window : Window{};
  }
  const std::optional<int64_t> period = keys.Int("attention.sliding_window_pattern");
  // A window as long as the longest context never cuts anything.
  if (!period && rule == nullptr && tokens >= keys.Int("context_length").value_or(tokens + 1)) return Window{};
  if (!period && rule == nullptr) {
    return BadInput(fmt::format("{} is {}, but {} does not say for which layers", keys.Name("attention.sliding_window"), tokens,
                                keys.Name("attention.sliding_window_pattern")));
  }
  if (period && *period < 0) return BadInput(fmt::format("{} is negative", keys.Name("attention.sliding_window_pattern")));
  const bool slides =
      SlidesByPeriod(period.value_or(rule == nullptr ? 0 : rule->period), rule != nullptr && rule->full_first, layer);
  return slides ? window : Window{};
}

const GgufTensor* Find(const GgufLayerTensors& tensors, std::string_view name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : found->second;
}

bool HasPrefix(const GgufLayerTensors& tensors, std::string_view prefix) {
  const auto next = tensors.lower_bound(prefix);
  return next != tensors.end() && next->first.starts_with(prefix);
}

int64_t Dim(const GgufTensor& tensor, size_t i) { return i < tensor.dims.size() ? tensor.dims[i] : 1; }

// Head sizes: own keys of window layers, else the common ones, else hidden / heads.
Result<int64_t> HeadDim(const GgufKeys& keys, std::string_view key, bool window_layer, int layer, int64_t fallback) {
  const std::string window_key = std::string(key) + "_swa";
  const bool own = window_layer && keys.Has(window_key);
  ASSIGN_OR_RETURN(const int64_t size, keys.Optional(own ? window_key : key, fallback, layer));
  if (size == 0) return BadInput(fmt::format("the key '{}' is 0", keys.Name(own ? window_key : key)));
  return size;
}

// A cache of `elements` per token, seen through the layer's window; the last `attention.shared_kv_layers` layers read those of
// an earlier one.
KvCacheSpec CacheOf(const GgufKeys& keys, const Window& window, int layer, size_t layers, int64_t elements) {
  KvCacheSpec cache;
  cache.elements = elements;
  cache.window = window.tokens;
  cache.chunked = window.chunked;
  const int64_t shared = keys.Int("attention.shared_kv_layers").value_or(0);
  cache.borrowed = shared > 0 && layer >= static_cast<int64_t>(layers) - shared;
  return cache;
}

// The indexer's own keys, and how many entries it lets a query attend to.
Status AddIndexer(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, AttentionSpec& attention) {
  const GgufTensor* key = Find(tensors, "indexer.attn_k.weight");
  if (key == nullptr) key = Find(tensors, "indexer.k_proj.weight");
  // Layers without an indexer reuse the choice of the one before if the file says which layers have one.
  const bool reuses = key == nullptr && keys.Has("attention.indexer.types");
  if (key == nullptr && !reuses) return {};
  ASSIGN_OR_RETURN(const int64_t top_k, keys.Need("attention.indexer.top_k"));
  ASSIGN_OR_RETURN(const int64_t block, keys.Optional("attention.indexer.block_size", 1));
  ASSIGN_OR_RETURN(const int64_t local, keys.Optional("attention.indexer.local_blocks", 0));
  attention.caches.front().top_k = (top_k + local) * std::max<int64_t>(block, 1);
  if (key == nullptr) return {};
  ASSIGN_OR_RETURN(const int64_t heads, keys.Need("attention.indexer.head_count", layer));
  KvCacheSpec index;
  index.elements = Dim(*key, 1);
  index.flops_per_entry = 2 * heads * index.elements;
  attention.caches.push_back(index);
  return {};
}

Status FillMla(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, ModelSpec& spec) {
  AttentionSpec& attention = spec.layers[static_cast<size_t>(layer)].attention;
  attention.kind = AttentionKind::kMla;
  ASSIGN_OR_RETURN(const int64_t heads, keys.Need("attention.head_count", layer));
  ASSIGN_OR_RETURN(const int64_t rank, keys.Need("attention.kv_lora_rank"));
  const bool split = Find(tensors, "attn_k_b.weight") != nullptr;
  ASSIGN_OR_RETURN(const int64_t key_dim, keys.Need(split ? "attention.key_length_mla" : "attention.key_length"));
  ASSIGN_OR_RETURN(const int64_t value_dim, keys.Need(split ? "attention.value_length_mla" : "attention.value_length"));
  attention.query_heads = static_cast<int>(heads);
  attention.key_dim = static_cast<int>(key_dim);
  attention.value_dim = static_cast<int>(value_dim);
  const int64_t latent = Dim(*Find(tensors, "attn_kv_a_mqa.weight"), 1);
  // Files with an unsplit kv_b cannot run in the latent space: the engine caches expanded heads.
  KvCacheSpec cache = CacheOf(keys, Window{}, layer, spec.layers.size(), split ? latent : heads * (key_dim + value_dim));
  cache.flops_per_entry = 2 * heads * (key_dim + value_dim);
  if (split) cache.absorbed_flops_per_entry = 2 * heads * (latent + rank);
  attention.caches.push_back(cache);
  return AddIndexer(keys, tensors, layer, attention);
}

Status FillGqa(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, ModelSpec& spec) {
  AttentionSpec& attention = spec.layers[static_cast<size_t>(layer)].attention;
  attention.kind = AttentionKind::kGqa;
  ASSIGN_OR_RETURN(const Window window, WindowOf(keys, layer));
  ASSIGN_OR_RETURN(const int64_t heads, keys.Need("attention.head_count", layer));
  const bool slides = window.tokens > 0;
  ASSIGN_OR_RETURN(const int64_t key_dim, HeadDim(keys, "attention.key_length", slides, layer, spec.hidden / heads));
  ASSIGN_OR_RETURN(const int64_t value_dim, HeadDim(keys, "attention.value_length", slides, layer, spec.hidden / heads));
  const GgufTensor* k = Find(tensors, "attn_k.weight");
  const GgufTensor* v = Find(tensors, "attn_v.weight");
  int64_t elements = 0;
  int64_t kv_heads = 0;
  if (k != nullptr) {
    elements = Dim(*k, 1) + (v != nullptr ? Dim(*v, 1) : Dim(*k, 1));
    kv_heads = Dim(*k, 1) / key_dim;
  } else {
    ASSIGN_OR_RETURN(kv_heads, keys.Optional("attention.head_count_kv", heads, layer));
    if (kv_heads == 0) return BadInput(fmt::format("layer {}: tensor 'attn_k.weight' is missing", layer));
    elements = kv_heads * (key_dim + value_dim);
  }
  if (kv_heads > 0 && heads % kv_heads != 0)
    return BadInput(fmt::format("layer {}: {} KV heads do not divide the {} query heads", layer, kv_heads, heads));
  attention.query_heads = static_cast<int>(heads);
  attention.kv_heads = static_cast<int>(kv_heads);
  attention.key_dim = static_cast<int>(key_dim);
  attention.value_dim = static_cast<int>(value_dim);
  KvCacheSpec cache = CacheOf(keys, window, layer, spec.layers.size(), elements);
  cache.flops_per_entry = 2 * heads * (key_dim + value_dim);
  attention.caches.push_back(cache);
  return AddIndexer(keys, tensors, layer, attention);
}

// State of a layer with matrices of heads x dim x dim (KDA, lightning).
void SquareState(int64_t heads, int64_t dim, int64_t flops_per_element, AttentionSpec& attention) {
  attention.query_heads = static_cast<int>(heads);
  attention.key_dim = static_cast<int>(dim);
  attention.value_dim = static_cast<int>(dim);
  attention.state_elements = heads * dim * dim;
  attention.state_flops_per_token = flops_per_element * attention.state_elements;
}

// FLOPs per state element and token: 7 gated delta rule, 6 Mamba 1, 5 Mamba 2 and lightning.
Status FillState(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, AttentionSpec& attention) {
  if (keys.Has("kda.head_dim")) {
    ASSIGN_OR_RETURN(const int64_t dim, keys.Need("kda.head_dim"));
    ASSIGN_OR_RETURN(const int64_t heads, keys.Need("attention.head_count", layer));
    ASSIGN_OR_RETURN(const int64_t kernel, keys.Need("ssm.conv_kernel"));
    attention.kind = AttentionKind::kLinear;
    SquareState(heads, dim, 7, attention);
    attention.conv_state_elements = 3 * (kernel - 1) * heads * dim;
    return {};
  }
  ASSIGN_OR_RETURN(const int64_t inner, keys.Need("ssm.inner_size"));
  ASSIGN_OR_RETURN(const int64_t state, keys.Need("ssm.state_size"));
  ASSIGN_OR_RETURN(const int64_t kernel, keys.Need("ssm.conv_kernel"));
  ASSIGN_OR_RETURN(const int64_t groups, keys.Optional("ssm.group_count", 0));
  const bool delta = HasPrefix(tensors, "ssm_beta") || HasPrefix(tensors, "ssm_ba");
  const bool first_mamba = HasPrefix(tensors, "ssm_x");
  if (attention.kind == AttentionKind::kNone) attention.kind = delta ? AttentionKind::kLinear : AttentionKind::kMamba;
  attention.state_elements = state * inner;
  attention.conv_state_elements = (kernel - 1) * (inner + 2 * groups * state);
  attention.state_flops_per_token = (delta ? 7 : first_mamba ? 6 : 5) * attention.state_elements;
  return {};
}

bool IsLightning(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer) {
  if (HasPrefix(tensors, "ssm_")) return false;
  if (const auto recurrent = keys.Array("attention.recurrent_layers")) {
    return layer < static_cast<int>(recurrent->size()) && (*recurrent)[static_cast<size_t>(layer)] != 0;
  }
  const auto interval = keys.Int("full_attention_interval");
  return interval && *interval > 0 && (layer + 1) % *interval != 0;
}

}  // namespace

std::optional<int64_t> GgufKeys::Int(std::string_view key, int layer) const {
  const std::string name = Name(key);
  if (const std::optional<int64_t> scalar = file_.Int(name)) return scalar;
  const std::optional<std::vector<int64_t>> list = file_.Ints(name);
  if (!list || layer >= static_cast<int>(list->size())) return std::nullopt;
  return (*list)[static_cast<size_t>(layer)];
}

Result<int64_t> GgufKeys::Need(std::string_view key, int layer) const {
  const std::optional<int64_t> value = Int(key, layer);
  if (!value) return BadInput(fmt::format("the key '{}' is missing", Name(key)));
  if (*value <= 0 || *value > kMostSize) return BadInput(fmt::format("the key '{}' is {}", Name(key), *value));
  return *value;
}

Result<int64_t> GgufKeys::Optional(std::string_view key, int64_t fallback, int layer) const {
  const int64_t value = Int(key, layer).value_or(fallback);
  if (value < 0 || value > kMostSize) return BadInput(fmt::format("the key '{}' is {}", Name(key), value));
  return value;
}

std::optional<std::vector<int64_t>> GgufKeys::Array(std::string_view key) const {
  const std::string name = Name(key);
  if (file_.Int(name)) return std::nullopt;
  return file_.Ints(name);
}

Status FillFfn(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, LayerSpec& spec) {
  FfnSpec& ffn = spec.ffn;
  if (const GgufTensor* down = Find(tensors, "ffn_down.weight")) ffn.dense_width = Dim(*down, 0);
  if (const GgufTensor* down = Find(tensors, "ffn_down_shexp.weight")) {
    ffn.shared_width = Dim(*down, 0);
    ASSIGN_OR_RETURN(const int64_t shared, keys.Optional("expert_shared_count", 1, layer));
    ffn.shared_experts = static_cast<int>(std::max<int64_t>(shared, 1));
  }
  if (spec.weights[TensorClass::kRoutedExpert].params == 0) return {};
  ASSIGN_OR_RETURN(const int64_t experts, keys.Need("expert_count"));
  ASSIGN_OR_RETURN(const int64_t top_k, keys.Need("expert_used_count", layer));
  const GgufTensor* down = Find(tensors, "ffn_down_exps.weight");
  if (down != nullptr && Dim(*down, 2) != experts) {
    return BadInput(
        fmt::format("{} is {}, but '{}' holds {} experts", keys.Name("expert_count"), experts, down->name, Dim(*down, 2)));
  }
  if (top_k > experts) {
    return BadInput(fmt::format("{} is {}, more than the {} experts", keys.Name("expert_used_count"), top_k, experts));
  }
  if (down == nullptr) down = Find(tensors, "ffn_down.0.weight");
  if (down == nullptr) return BadInput(fmt::format("layer {}: tensor 'ffn_down_exps.weight' is missing", layer));
  ffn.experts = static_cast<int>(experts);
  ffn.top_k = static_cast<int>(top_k);
  ffn.expert_width = Dim(*down, 0);
  return {};
}

Status FillAttention(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, ModelSpec& spec) {
  AttentionSpec& attention = spec.layers[static_cast<size_t>(layer)].attention;
  if (HasPrefix(tensors, "attn_compressor") || HasPrefix(tensors, "indexer_compressor")) {
    return BadInput(fmt::format("layer {}: compressed attention ({}) is read from a config.json only", layer,
                                keys.Name("attention.compress_ratios")));
  }
  if (HasPrefix(tensors, "time_mix")) {
    ASSIGN_OR_RETURN(const int64_t head, keys.Need("wkv.head_size"));
    attention.kind = AttentionKind::kLinear;
    attention.state_elements = spec.hidden * head;
    ASSIGN_OR_RETURN(const int64_t shifts, keys.Optional("token_shift_count", 2));
    attention.conv_state_elements = spec.hidden * shifts;
    attention.state_flops_per_token = 5 * attention.state_elements;
    return {};
  }
  if (HasPrefix(tensors, "shortconv.")) {
    ASSIGN_OR_RETURN(const int64_t kernel, keys.Need("shortconv.l_cache"));
    attention.kind = AttentionKind::kShortConv;
    attention.conv_state_elements = (kernel - 1) * spec.hidden;
    return {};
  }
  if (Find(tensors, "attn_kv_a_mqa.weight") != nullptr) return FillMla(keys, tensors, layer, spec);
  if (IsLightning(keys, tensors, layer)) {
    ASSIGN_OR_RETURN(const int64_t heads, keys.Need("attention.head_count", layer));
    attention.kind = AttentionKind::kLinear;
    ASSIGN_OR_RETURN(const int64_t dim, HeadDim(keys, "attention.key_length", false, layer, spec.hidden / heads));
    SquareState(heads, dim, 5, attention);
    return {};
  }
  const bool has_state = HasPrefix(tensors, "ssm_");
  const bool has_keys = Find(tensors, "attn_k.weight") != nullptr || (!has_state && HasPrefix(tensors, "attn_q"));
  if (has_keys && !(has_state && keys.Has("kda.head_dim"))) RETURN_IF_ERROR(FillGqa(keys, tensors, layer, spec));
  if (has_state) return FillState(keys, tensors, layer, attention);
  return {};
}

}  // namespace moecap::model
