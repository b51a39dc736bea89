// One spelling of module names. Checkpoints wrap the text model ("model.language_model.layers.0", "backbone.layers.0.mixer"),
// call the same block by other names ("block_sparse_moe.experts.3.w1") and fuse projections ("qkv_proj"). Everything that
// compares names compares these.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moecap::model {

// "model.language_model.layers.3.block_sparse_moe.experts.7.w1.weight" -> "layers.3.mlp.experts.7.gate_proj". Wrappers before
// the layers, "model." and a trailing ".weight" are dropped; blocks and projections get the name that most checkpoints use.
// Names of towers and of multi-token prediction keep what stands before their layers, as do encoder and decoder; "mtp.0.ffn" is
// "mtp.layers.0.mlp". '*' may stand anywhere.
std::string CanonicalModule(std::string_view name);

// The canonical name itself, then its spellings with fused projections ("qkv_proj", "gate_up_proj") and with stacked experts
// ("mlp.experts.gate_up_proj").
std::vector<std::string> FusedSpellings(const std::string& canonical);

// A word that a checkpoint may write instead of a canonical one.
struct ModuleSynonym {
  std::string_view canonical;
  std::string_view other;
};
// Those whose other word occurs in `text`, a regular expression.
std::vector<ModuleSynonym> SynonymsIn(std::string_view text);

// A component of the path names something beside the text model: a vision or audio tower, a projector, a talker.
bool NamesTower(std::string_view name);
// "vision", "audio" or "other" for a name that NamesTower.
std::string_view TowerKind(std::string_view name);
// A component names multi-token prediction.
bool NamesMtp(std::string_view name);

// "a.b.c" -> {"a", "b", "c"}.
std::vector<std::string_view> ModuleComponents(std::string_view name);

}  // namespace moecap::model
