#include "model/gguf_names.h"

#include <array>
#include <charconv>

namespace moecap::model {
namespace {

struct Rule {
  std::string_view prefix;
  TensorClass tensor_class;
};

// First match wins; names with "norm" are classed before, expert tensors by their ending.
constexpr std::array kBlockRules = {
    Rule{"ffn_gate_inp_shexp", TensorClass::kSharedExpert},
    Rule{"ffn_gate_inp", TensorClass::kRouter},
    Rule{"ffn_gate_tid2eid", TensorClass::kRouter},
    Rule{"exp_probs_b", TensorClass::kRouter},
    Rule{"ffn_latent_", TensorClass::kOther},
    Rule{"ffn_routed_", TensorClass::kOther},
    Rule{"ffn_gate", TensorClass::kDenseFfn},
    Rule{"ffn_up", TensorClass::kDenseFfn},
    Rule{"ffn_down", TensorClass::kDenseFfn},
    Rule{"ffn_act", TensorClass::kDenseFfn},
    Rule{"channel_mix", TensorClass::kDenseFfn},
    Rule{"attn_", TensorClass::kAttention},
    Rule{"ssm_", TensorClass::kAttention},
    Rule{"shortconv.", TensorClass::kAttention},
    Rule{"time_mix", TensorClass::kAttention},
    Rule{"indexer", TensorClass::kAttention},
    Rule{"hc_", TensorClass::kOther},
    Rule{"layer_output_scale", TensorClass::kOther},
    Rule{"inp_gate", TensorClass::kOther},
    Rule{"proj", TensorClass::kOther},
    Rule{"altup_", TensorClass::kOther},
    Rule{"laurel_", TensorClass::kOther},
    Rule{"rope_", TensorClass::kOther},
};

constexpr std::array kEndRules = {
    Rule{"token_embd", TensorClass::kEmbedding},
    Rule{"per_layer_token_embd", TensorClass::kEmbedding},
    Rule{"position_embd", TensorClass::kEmbedding},
    Rule{"token_types", TensorClass::kEmbedding},
    Rule{"output_hc", TensorClass::kOther},
    Rule{"output.", TensorClass::kHead},
    Rule{"per_layer_", TensorClass::kOther},
    Rule{"altup_", TensorClass::kOther},
    Rule{"rope_", TensorClass::kOther},
};

bool Contains(std::string_view text, std::string_view word) { return text.find(word) != std::string_view::npos; }

// Old files keep one matrix per expert: "ffn_up.3.weight".
bool IsUnstackedExpert(std::string_view part) {
  for (const std::string_view prefix : {"ffn_gate.", "ffn_up.", "ffn_down."}) {
    if (part.starts_with(prefix) && part.size() > prefix.size() && part[prefix.size()] >= '0' && part[prefix.size()] <= '9')
      return true;
  }
  return false;
}

template <size_t N>
std::optional<TensorClass> Match(const std::array<Rule, N>& rules, std::string_view part) {
  for (const Rule& rule : rules) {
    if (part.starts_with(rule.prefix)) return rule.tensor_class;
  }
  return std::nullopt;
}

}  // namespace

GgufName SplitGgufName(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return {-1, name};
  const std::string_view rest = name.substr(kPrefix.size());
  int layer = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  const auto digits = static_cast<size_t>(end - rest.data());
  if (error != std::errc() || layer < 0 || digits >= rest.size() || rest[digits] != '.') return {-1, name};
  return {layer, rest.substr(digits + 1)};
}

std::optional<TensorClass> ClassOfGgufTensor(const GgufName& name) {
  if (Contains(name.part, "norm")) return TensorClass::kNorm;
  if (name.layer < 0) return Match(kEndRules, name.part);
  if (Contains(name.part, "_chexps")) return std::nullopt;
  if (Contains(name.part, "_exps") || IsUnstackedExpert(name.part)) return TensorClass::kRoutedExpert;
  if (Contains(name.part, "_shexp")) return TensorClass::kSharedExpert;
  return Match(kBlockRules, name.part);
}

bool IsMtpTensor(std::string_view part) { return part.starts_with("nextn."); }

bool IsMtpCopy(std::string_view part) {
  return part.starts_with("nextn.embed_tokens") || part.starts_with("nextn.shared_head_head");
}

bool IsMatrix(std::string_view part, TensorClass c, const std::vector<int64_t>& dims) {
  if (c == TensorClass::kNorm || !part.ends_with(".weight")) return false;
  return dims.size() >= 2 && dims[0] > 1 && dims[1] > 1;
}

}  // namespace moecap::model
