#include "model/module_names.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace moecap::model {
namespace {

// Of blocks, projections and ends; whole components.
constexpr std::array kSynonyms = {
    ModuleSynonym{"mlp", "block_sparse_moe"},
    ModuleSynonym{"mlp", "feed_forward"},
    ModuleSynonym{"mlp", "ffn"},
    ModuleSynonym{"mlp", "moe"},
    ModuleSynonym{"self_attn", "self_attention"},
    ModuleSynonym{"self_attn", "attention"},
    ModuleSynonym{"self_attn", "attn"},
    ModuleSynonym{"experts", "switch_mlp"},
    ModuleSynonym{"shared_experts", "shared_expert"},
    ModuleSynonym{"shared_experts", "share_expert"},
    ModuleSynonym{"shared_experts", "shared_mlp"},
    ModuleSynonym{"gate", "router"},
    ModuleSynonym{"gate_proj", "w1"},
    ModuleSynonym{"up_proj", "w3"},
    ModuleSynonym{"down_proj", "w2"},
    ModuleSynonym{"gate_up_proj", "w13"},
    ModuleSynonym{"gate_up_proj", "gate_and_up_proj"},
    ModuleSynonym{"qkv_proj", "query_key_value"},
    ModuleSynonym{"qkv_proj", "Wqkv"},
    ModuleSynonym{"qkv_proj", "qkv"},
    ModuleSynonym{"o_proj", "dense"},
    ModuleSynonym{"fused_qkv_a_proj", "fused_qkv_a_proj_with_mqa"},
    ModuleSynonym{"embed_tokens", "word_embeddings"},
    ModuleSynonym{"embed_tokens", "tok_embeddings"},
    ModuleSynonym{"embed_tokens", "wte"},
    ModuleSynonym{"embed_tokens", "embed"},
    ModuleSynonym{"lm_head", "head"},
    ModuleSynonym{"lm_head", "output"},
    ModuleSynonym{"lm_head", "embed_out"},
};

// A projection and what it may be fused into.
constexpr std::array kFused = {
    ModuleSynonym{"q_proj", "qkv_proj"},
    ModuleSynonym{"k_proj", "qkv_proj"},
    ModuleSynonym{"v_proj", "qkv_proj"},
    ModuleSynonym{"q_a_proj", "fused_qkv_a_proj"},
    ModuleSynonym{"kv_a_proj_with_mqa", "fused_qkv_a_proj"},
    ModuleSynonym{"gate_proj", "gate_up_proj"},
    ModuleSynonym{"up_proj", "gate_up_proj"},
    ModuleSynonym{"in_proj_qkv", "in_proj_qkvz"},
    ModuleSynonym{"in_proj_z", "in_proj_qkvz"},
    ModuleSynonym{"in_proj_a", "in_proj_ba"},
    ModuleSynonym{"in_proj_b", "in_proj_ba"},
};

struct TowerWord {
  std::string_view word;
  std::string_view kind;
};
constexpr std::array kTowerWords = {
    TowerWord{"visual", "vision"},
    TowerWord{"vision", "vision"},
    TowerWord{"vision_tower", "vision"},
    TowerWord{"vision_model", "vision"},
    TowerWord{"vision_encoder", "vision"},
    TowerWord{"vision_embed_tokens", "vision"},
    TowerWord{"vision_backbone", "vision"},
    TowerWord{"vit", "vision"},
    TowerWord{"vit_large_projector", "vision"},
    TowerWord{"vpm", "vision"},
    TowerWord{"image_newline", "vision"},
    TowerWord{"img_processor", "vision"},
    TowerWord{"patch_embed", "vision"},
    TowerWord{"patch_merge_mlp", "vision"},
    TowerWord{"embed_vision", "vision"},
    TowerWord{"mm_projector", "vision"},
    TowerWord{"multi_modal_projector", "vision"},
    TowerWord{"multimodal_projector", "vision"},
    TowerWord{"vision_projector", "vision"},
    TowerWord{"vision_adapter", "vision"},
    TowerWord{"vision_language_adapter", "vision"},
    TowerWord{"pre_mm_projector_norm", "vision"},
    TowerWord{"patch_merger", "vision"},
    TowerWord{"resampler", "vision"},
    TowerWord{"resampler_model", "vision"},
    TowerWord{"sam_model", "vision"},
    TowerWord{"mlp1", "vision"},
    TowerWord{"audio", "audio"},
    TowerWord{"audio_tower", "audio"},
    TowerWord{"audio_encoder", "audio"},
    TowerWord{"audio_model", "audio"},
    TowerWord{"audio_projector", "audio"},
    TowerWord{"sound_encoder", "audio"},
    TowerWord{"sound_projection", "audio"},
    TowerWord{"speech_encoder", "audio"},
    TowerWord{"embed_audio", "audio"},
    TowerWord{"talker", "audio"},
    TowerWord{"code2wav", "audio"},
    TowerWord{"token2wav", "audio"},
    TowerWord{"projector", "other"},
    TowerWord{"aligner", "other"},
};

bool IsNumber(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// An index of a layer or an expert, or something that stands for one.
bool IsIndex(std::string_view text) { return IsNumber(text) || text == "*"; }

bool IsWordChar(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

const TowerWord* FindTower(std::string_view name) {
  for (std::string_view component : ModuleComponents(name)) {
    // Patterns put other characters around the word.
    while (!component.empty() && !IsWordChar(component.front())) component.remove_prefix(1);
    while (!component.empty() && !IsWordChar(component.back())) component.remove_suffix(1);
    const auto* found = std::ranges::find(kTowerWords, component, &TowerWord::word);
    if (found != kTowerWords.end()) return found;
  }
  return nullptr;
}

// The component in its canonical word; a trailing '*' stays.
std::string CanonicalWord(std::string_view component, bool at_the_ends) {
  const bool open = component.size() > 1 && component.ends_with('*');
  if (open) component.remove_suffix(1);
  std::string_view word = component;
  for (const ModuleSynonym& synonym : kSynonyms) {
    const bool end = synonym.canonical == "embed_tokens" || synonym.canonical == "lm_head";
    if (end == at_the_ends && synonym.other == component) word = synonym.canonical;
  }
  return std::string(word) + (open ? "*" : "");
}

bool IsLayerList(std::string_view component) {
  return component == "layers" || component == "blocks" || component == "block" || component == "h";
}

// Where the text model's own path begins: at the list of layers, with what must stay before it.
size_t BeginOfPath(const std::vector<std::string_view>& parts, size_t& layers) {
  layers = parts.size();
  for (size_t i = 0; i + 1 < parts.size() && layers == parts.size(); ++i) {
    if (IsLayerList(parts[i]) && IsIndex(parts[i + 1])) layers = i;
  }
  if (layers == parts.size()) {
    size_t begin = 0;
    constexpr std::array kWrappers = {"model", "language_model", "text_model", "backbone", "transformer", "llm", "thinker"};
    while (begin + 1 < parts.size() && std::ranges::find(kWrappers, parts[begin]) != kWrappers.end()) ++begin;
    return begin;
  }
  const bool stays = layers > 0 && (parts[layers - 1] == "encoder" || parts[layers - 1] == "decoder");
  return stays ? layers - 1 : layers;
}

}  // namespace

std::vector<std::string_view> ModuleComponents(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t dot = name.find('.');
    if (dot != 0) parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  return parts;
}

bool NamesTower(std::string_view name) { return FindTower(name) != nullptr; }

std::string_view TowerKind(std::string_view name) {
  const TowerWord* tower = FindTower(name);
  return tower == nullptr ? "other" : tower->kind;
}

bool NamesMtp(std::string_view name) {
  return std::ranges::any_of(ModuleComponents(name), [](std::string_view component) {
    return component == "mtp" || component == "mtp*" || component == "nextn" || component == "mtp_block";
  });
}

std::string CanonicalModule(std::string_view name) {
  std::vector<std::string_view> parts = ModuleComponents(name);
  if (parts.size() > 1 && parts.back() == "weight") parts.pop_back();
  if (parts.empty()) return "";
  if (NamesTower(name) || NamesMtp(name)) {
    std::string kept(parts.front());
    for (size_t i = 1; i < parts.size(); ++i) {
      // DeepSeek-V4 numbers the blocks of multi-token prediction alone.
      if (parts[i - 1] == "mtp" && IsIndex(parts[i])) kept += ".layers";
      kept.append(".").append(CanonicalWord(parts[i], false));
    }
    return kept;
  }
  size_t layers = 0;
  const size_t begin = BeginOfPath(parts, layers);
  const bool at_the_ends = layers == parts.size() && begin + 1 == parts.size();
  std::string canonical;
  for (size_t i = begin; i < parts.size(); ++i) {
    if (i > begin) canonical += '.';
    canonical += i == layers ? "layers" : CanonicalWord(parts[i], at_the_ends);
  }
  return canonical;
}

std::vector<std::string> FusedSpellings(const std::string& canonical) {
  std::vector<std::string> spellings = {canonical};
  const size_t dot = canonical.rfind('.');
  const std::string_view leaf = std::string_view(canonical).substr(dot == std::string::npos ? 0 : dot + 1);
  for (const ModuleSynonym& fused : kFused) {
    if (fused.canonical == leaf)
      spellings.push_back(canonical.substr(0, canonical.size() - leaf.size()) + std::string(fused.other));
  }
  const size_t experts = canonical.find(".experts.");
  if (experts == std::string::npos || dot == std::string::npos) return spellings;
  const size_t after = experts + std::string_view(".experts").size();
  const size_t end = canonical.find('.', after + 1);
  if (end == std::string::npos || !IsIndex(std::string_view(canonical).substr(after + 1, end - after - 1))) return spellings;
  for (size_t i = 0, count = spellings.size(); i < count; ++i)
    spellings.push_back(spellings[i].substr(0, after) + spellings[i].substr(end));
  return spellings;
}

std::vector<ModuleSynonym> SynonymsIn(std::string_view text) {
  std::vector<ModuleSynonym> found;
  // "w[123]" and "w\d" name w1, w2 and w3 without spelling them.
  const bool numbers_of_w = text.find("w[") != std::string_view::npos || text.find("w(") != std::string_view::npos ||
                            text.find("w\\") != std::string_view::npos;
  for (const ModuleSynonym& synonym : kSynonyms) {
    bool occurs = numbers_of_w && synonym.other.size() == 2 && synonym.other.front() == 'w';
    for (size_t at = text.find(synonym.other); at != std::string_view::npos && !occurs; at = text.find(synonym.other, at + 1)) {
      const size_t end = at + synonym.other.size();
      occurs = (at == 0 || !IsWordChar(text[at - 1])) && (end == text.size() || !IsWordChar(text[end]));
    }
    if (occurs) found.push_back(synonym);
  }
  return found;
}

}  // namespace moecap::model
