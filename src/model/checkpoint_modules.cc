#include "model/checkpoint_modules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "model/module_names.h"

namespace moecap::model {
namespace {

constexpr std::array kMainSuffixes = {"weight", "qweight", "weight_packed", "W_q"};
constexpr std::array kScaleSuffixes = {"weight_scale",
                                       "weight_scale_inv",
                                       "weight_scale_2",
                                       "weight_global_scale",
                                       "weight_zero_point",
                                       "weight_shape",
                                       "weight_g_idx",
                                       "input_scale",
                                       "input_scale_inv",
                                       "input_global_scale",
                                       "output_scale",
                                       "pre_quant_scale",
                                       "scales",
                                       "scale",
                                       "qzeros",
                                       "g_idx",
                                       "zeros",
                                       "zero",
                                       "biases",
                                       "SCB",
                                       "weight_format",
                                       "channel_scale",
                                       "act_scale"};
constexpr std::array kStemScales = {"_scales", "_scale_inv", "_scale_2", "_scale", "_zero_point", "_global_scale"};

struct Gathered {
  const SafetensorsTensor* main = nullptr;
  std::vector<const SafetensorsTensor*> scales;
};

// The module of a tensor and what the tensor is in it.
struct Role {
  std::string module;
  bool scale = false;
};

Role RoleOf(const std::string& name) {
  if (const size_t inside = name.find(".weight."); inside != std::string::npos) return {name.substr(0, inside), true};
  const size_t dot = name.rfind('.');
  const std::string_view suffix = std::string_view(name).substr(dot == std::string::npos ? 0 : dot + 1);
  const std::string owner = dot == std::string::npos ? "" : name.substr(0, dot);
  if (std::ranges::find(kMainSuffixes, suffix) != kMainSuffixes.end()) return {owner, false};
  if (std::ranges::find(kScaleSuffixes, suffix) != kScaleSuffixes.end()) return {owner, true};
  if (suffix.ends_with("_blocks")) return {name.substr(0, name.size() - 7), false};
  for (const std::string_view stem : kStemScales) {
    if (suffix.ends_with(stem) && suffix.size() > stem.size()) return {name.substr(0, name.size() - stem.size()), true};
  }
  return {name, false};
}

bool IsFloat(std::string_view dtype) { return dtype == "BF16" || dtype == "F16" || dtype == "F32" || dtype == "F64"; }
bool IsPacked32(std::string_view dtype) { return dtype == "I32" || dtype == "U32"; }

int64_t Last(const SafetensorsTensor& tensor) { return tensor.shape.empty() ? 1 : tensor.shape.back(); }

// The scale with the most elements: one a block, beside those of a whole tensor.
const SafetensorsTensor* BlockScale(const Gathered& module) {
  const SafetensorsTensor* largest = nullptr;
  for (const SafetensorsTensor* scale : module.scales) {
    const bool integers = scale->dtype == "I64" || IsPacked32(scale->dtype);
    if (!integers && (largest == nullptr || scale->elements > largest->elements)) largest = scale;
  }
  return largest;
}

bool HasScale(const Gathered& module, std::string_view suffix) {
  return std::ranges::any_of(module.scales, [&](const SafetensorsTensor* scale) { return scale->name.ends_with(suffix); });
}

// Bytes that hold two weights each, if that is what the scales mean: 16 (e4m3) or 32 (powers of two) weights a scale.
bool HoldsPairs(const Gathered& module) {
  const SafetensorsTensor& main = *module.main;
  if (main.name.ends_with("_blocks") || HasScale(module, ".absmax")) return true;
  const SafetensorsTensor* scale = BlockScale(module);
  if (scale == nullptr || scale->shape.size() < 2) return main.dtype == "U8";
  const int64_t block = scale->dtype == "F8_E4M3" ? 16 : 32;
  if (Last(*scale) * block == Last(main)) return false;
  return Last(*scale) * block == 2 * Last(main) || main.dtype == "U8";
}

// Weights in one 32-bit word: from the shapes of scales and indices where they tell, else from the config.
double WeightsPerWord(const Gathered& module, const PackingHints& hints) {
  const SafetensorsTensor& main = *module.main;
  const SafetensorsTensor* scale = BlockScale(module);
  const auto plausible = [](double ratio) { return ratio >= 4 && ratio <= 32; };
  for (const SafetensorsTensor* index : module.scales) {
    if (!index->name.ends_with("g_idx") || main.shape.empty() || main.shape[0] <= 0) continue;
    const double ratio = static_cast<double>(index->elements) / static_cast<double>(main.shape[0]);
    if (plausible(ratio)) return ratio;
  }
  if (scale != nullptr && scale->shape.size() >= 2 && main.shape.size() >= 2 && Last(main) > 0) {
    // AWQ packs the outputs, which the scales list one by one; MLX and compressed-tensors pack the inputs of a row.
    const double outputs = static_cast<double>(Last(*scale)) / static_cast<double>(Last(main));
    if (HasScale(module, "qzeros") && plausible(outputs)) return outputs;
    const double inputs =
        static_cast<double>(Last(*scale)) * static_cast<double>(hints.group) / static_cast<double>(Last(main));
    if (!main.name.ends_with("qweight") && plausible(inputs)) return inputs;
  }
  return 32.0 / static_cast<double>(std::clamp<int64_t>(hints.bits, 1, 8));
}

std::string FloatName(std::string_view dtype) {
  return dtype == "BF16" ? "bf16" : dtype == "F16" ? "f16" : dtype == "F32" ? "f32" : "f64";
}

// Parameters and type of a quantised module.
void Interpret(const Gathered& module, const PackingHints& hints, StoredModule& stored) {
  const SafetensorsTensor& main = *module.main;
  const SafetensorsTensor* scale = BlockScale(module);
  const bool fine = scale != nullptr && scale->shape.size() >= 2;
  const bool by_16 = fine && scale->dtype == "F8_E4M3";
  stored.params = main.elements;
  if (main.dtype.starts_with("F8")) {
    stored.type = fine && !IsFloat(scale->dtype) && Last(*scale) * 32 == Last(main) ? "mxfp8" : "fp8";
  } else if (main.dtype.starts_with("F6")) {
    stored.type = "mxfp6";
  } else if (main.dtype == "F4") {
    stored.type = by_16 ? "nvfp4" : "mxfp4";
  } else if (IsPacked32(main.dtype)) {
    const double per_word = WeightsPerWord(module, hints);
    stored.params = std::llround(static_cast<double>(main.elements) * per_word);
    stored.type = "int" + std::to_string(std::llround(32 / per_word));
  } else if (HoldsPairs(module)) {
    stored.params = 2 * main.elements;
    stored.type = HasScale(module, ".absmax")              ? "nf4"
                  : by_16                                  ? "nvfp4"
                  : fine || main.name.ends_with("_blocks") ? "mxfp4"
                                                           : "int4";
  } else {
    stored.type = "int8";
  }
}

std::optional<int> Number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > 1 << 16) return std::nullopt;
  return value;
}

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// By the words of a module's path inside its layer.
TensorClass ClassInLayer(const std::vector<std::string_view>& path) {
  using enum TensorClass;
  const std::string_view leaf = path.back();
  const std::string_view owner = path.size() > 1 ? path[path.size() - 2] : std::string_view();
  const auto has = [&](std::string_view word) { return std::ranges::find(path, word) != path.end(); };
  const auto any = [&](std::string_view part) {
    return std::ranges::any_of(path, [&](std::string_view component) { return Contains(component, part); });
  };
  if (any("shared_expert")) return kSharedExpert;
  if (any("router") || any("e_score") || any("expert_bias") || any("moe_statics") || leaf == "per_expert_scale" ||
      leaf == "gate" || owner == "gate")
    return kRouter;
  if (has("experts")) return kRoutedExpert;
  if (Contains(leaf, "norm") || Contains(owner, "norm") || leaf.starts_with("ln_")) return kNorm;
  if (leaf.starts_with("hc_") || owner.ends_with("_hc") || any("_res_proj") || any("latent") ||
      leaf.starts_with("routed_expert_") || owner.starts_with("routed_expert_"))
    return kOther;
  const bool mixer = has("mixer");
  if (mixer && (leaf == "up_proj" || leaf == "down_proj" || owner == "up_proj" || owner == "down_proj")) return kDenseFfn;
  if (mixer || any("attn") || any("attention") || any("mamba") || any("conv") || any("SelfAttention")) return kAttention;
  if (any("mlp") || any("ffn") || any("feed_forward")) return kDenseFfn;
  return kOther;
}

TensorClass ClassOfEnd(std::string_view canonical) {
  using enum TensorClass;
  const std::vector<std::string_view> path = ModuleComponents(canonical);
  const std::string_view first = path.empty() ? std::string_view() : path.front();
  if (Contains(canonical, "embed_tokens") || first == "embed_tokens") return kEmbedding;
  if (first == "lm_head") return kHead;
  return Contains(canonical, "norm") ? kNorm : kOther;
}

}  // namespace

std::vector<StoredModule> GatherModules(std::span<const SafetensorsTensor> tensors, const PackingHints& hints) {
  std::map<std::string, Gathered> modules;
  std::vector<std::pair<std::string, const SafetensorsTensor*>> scales;
  for (const SafetensorsTensor& tensor : tensors) {
    Role role = RoleOf(tensor.name);
    if (role.scale) {
      scales.emplace_back(std::move(role.module), &tensor);
    } else if (Gathered& module = modules[role.module]; module.main == nullptr) {
      module.main = &tensor;
    } else {
      modules[tensor.name].main = &tensor;
    }
  }
  // A scale belongs to a quantised matrix; of anything else it is a vector by itself (a gate's, a hyper-connection's).
  for (const auto& [owner, tensor] : scales) {
    const auto found = modules.find(owner);
    const bool quantised = found != modules.end() && found->second.main != nullptr && !IsFloat(found->second.main->dtype);
    if (quantised) {
      found->second.scales.push_back(tensor);
    } else {
      modules[tensor->name].main = tensor;
    }
  }
  std::vector<StoredModule> result;
  for (const auto& [name, module] : modules) {
    StoredModule stored;
    stored.name = name;
    stored.shape = module.main->shape;
    stored.matrix = std::ranges::count_if(stored.shape, [](int64_t size) { return size > 1; }) > 1;
    stored.bytes = static_cast<double>(module.main->bytes);
    for (const SafetensorsTensor* scale : module.scales) stored.bytes += static_cast<double>(scale->bytes);
    const std::string& dtype = module.main->dtype;
    if (IsFloat(dtype)) {
      stored.params = module.main->elements;
      stored.type = FloatName(dtype);
    } else if (module.scales.empty() && !dtype.starts_with("F")) {
      stored.integer_entries = module.main->elements;
      stored.type = "integers";
    } else {
      Interpret(module, hints, stored);
      stored.matrix = true;
    }
    result.push_back(std::move(stored));
  }
  return result;
}

ModulePlace PlaceOf(std::string_view name, int text_layers) {
  ModulePlace place;
  place.canonical = CanonicalModule(name);
  if (NamesTower(name)) {
    place.part = Part::kTower;
    return place;
  }
  const std::vector<std::string_view> path = ModuleComponents(place.canonical);
  size_t at = 0;
  while (at < path.size() && path[at] != "layers") ++at;
  if (at + 1 < path.size()) place.layer = Number(path[at + 1]).value_or(-1);
  const bool mtp = NamesMtp(name) || (text_layers > 0 && place.layer >= text_layers);
  if (mtp) place.part = Part::kMtp;
  const bool copied = mtp && (Contains(name, "embed_tokens") || Contains(name, "shared_head.head") ||
                              Contains(name, "lm_head") || name.ends_with("emb.tok_emb"));
  if (copied) {
    place.tensor_class = TensorClass::kEmbedding;
  } else if (place.layer < 0 || at + 2 >= path.size()) {
    place.tensor_class = ClassOfEnd(place.canonical);
  } else {
    place.tensor_class = ClassInLayer({path.begin() + static_cast<std::ptrdiff_t>(at) + 2, path.end()});
  }
  for (size_t i = at; i + 1 < path.size(); ++i) {
    if (path[i] == "experts") place.expert = Number(path[i + 1]).value_or(-1);
  }
  return place;
}

}  // namespace moecap::model
