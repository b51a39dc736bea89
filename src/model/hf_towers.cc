#include "model/hf_towers.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "model/json_at.h"

namespace moecap::model {
namespace {

// The first of the fields that holds a whole number from 1 to 2^20; else the fallback.
int64_t First(const Json& config, std::initializer_list<std::string_view> names, int64_t fallback) {
  for (const std::string_view name : names) {
    const int64_t value = IntAt(config, name, 0);
    if (value >= 1 && value <= int64_t{1} << 20) return value;
  }
  return fallback;
}

int64_t Encoder(const Json& config) {
  const int64_t width = First(config, {"hidden_size", "embed_dim", "width", "d_model", "vt_hidden_size", "dim"}, 0);
  const int64_t layers = std::min<int64_t>(
      First(config, {"num_hidden_layers", "depth", "layers", "encoder_layers", "vt_num_hidden_layers", "n_layers"}, 0), 512);
  const Json* ratio = ValueAt(config, "mlp_ratio");
  const double scaled = ratio != nullptr && ratio->is_number() ? ratio->get<double>() : 4;
  const auto by_ratio = static_cast<int64_t>(static_cast<double>(width) * std::clamp(scaled, 0.0, 16.0));
  const int64_t ffn = First(config, {"intermediate_size", "encoder_ffn_dim", "vt_intermediate_size", "hidden_dim"}, by_ratio);
  const bool gated = TextAt(config, "hidden_act") == "silu";
  const int64_t layer = 4 * width * width + 4 * width + (gated ? 3 : 2) * width * ffn + ffn + width + 4 * width;
  return layers * layer;
}

int64_t Patches(const Json& config) {
  const int64_t width = First(config, {"hidden_size", "embed_dim", "width", "d_model", "vt_hidden_size", "dim"}, 0);
  const int64_t patch = std::min<int64_t>(First(config, {"patch_size", "spatial_patch_size"}, 14), 256);
  const int64_t frames = std::min<int64_t>(First(config, {"temporal_patch_size"}, 1), 64);
  const int64_t image = std::min<int64_t>(First(config, {"image_size"}, 0), int64_t{1} << 13);
  return patch * patch * 3 * frames * width + image / patch * (image / patch) * width;
}

int64_t Projector(const Json& config, int64_t hidden) {
  const int64_t width = First(config, {"hidden_size", "embed_dim", "width", "d_model", "vt_hidden_size", "dim"}, 0);
  const int64_t merge = std::min<int64_t>(First(config, {"spatial_merge_size"}, 1), 8);
  const int64_t merged = width * merge * merge;
  return merged * merged + merged * hidden;
}

struct TowerField {
  std::string_view field;
  std::string_view name;
};
constexpr std::array kFields = {TowerField{"vision_config", "vision"},      TowerField{"vision_tower_config", "vision"},
                                TowerField{"vit_config", "vision"},         TowerField{"vision_encoder", "vision"},
                                TowerField{"audio_config", "audio"},        TowerField{"sound_config", "audio"},
                                TowerField{"talker_config", "audio"},       TowerField{"code2wav_config", "audio"},
                                TowerField{"audio_encoder_config", "audio"}};

void AddTowers(const Json& config, int64_t hidden, double bits, std::vector<TowerSpec>& towers) {
  for (const TowerField& known : kFields) {
    const Json* tower = ObjectAt(config, known.field);
    if (tower == nullptr || tower->empty()) continue;
    TowerSpec spec;
    spec.name = known.name;
    spec.estimated = true;
    const int64_t encoder = Encoder(*tower);
    if (encoder > 0) spec.params = encoder + (known.name == "vision" ? Patches(*tower) : 0) + Projector(*tower, hidden);
    spec.bytes = static_cast<double>(spec.params) * bits / 8;
    towers.push_back(std::move(spec));
  }
}

// ERNIE's experts for images lie in the same layers as those for text.
void AddVisionExperts(const Json& config, int64_t hidden, double bits, std::vector<TowerSpec>& towers) {
  const auto second = [&](std::string_view field) -> int64_t {
    const Json* list = ValueAt(config, field);
    const bool pair = list != nullptr && list->is_array() && list->size() == 2 && (*list)[1].is_number_integer();
    return pair ? std::clamp<int64_t>((*list)[1].get<int64_t>(), 0, 1 << 20) : 0;
  };
  const int64_t experts = second("moe_num_experts"), width = second("moe_intermediate_size");
  const int64_t layers = second("moe_layer_end_index") - second("moe_layer_start_index") + 1;
  if (experts == 0 || width == 0 || layers <= 1 || layers > 4096 || experts > 1 << 14) return;
  TowerSpec spec;
  spec.name = "vision experts";
  spec.estimated = true;
  spec.params = layers * experts * 3 * width * hidden;
  spec.bytes = static_cast<double>(spec.params) * bits / 8;
  towers.push_back(std::move(spec));
}

}  // namespace

std::vector<TowerSpec> TowersOf(const Json& config, int64_t hidden, double bits) {
  std::vector<TowerSpec> towers;
  AddTowers(config, hidden, bits, towers);
  AddVisionExperts(config, hidden, bits, towers);
  if (const Json* text = ObjectAt(config, "text_config")) AddVisionExperts(*text, hidden, bits, towers);
  if (const Json* thinker = ObjectAt(config, "thinker_config")) AddTowers(*thinker, hidden, bits, towers);
  return towers;
}

}  // namespace moecap::model
