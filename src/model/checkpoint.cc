#include "model/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "model/checkpoint_modules.h"
#include "model/hf_config.h"
#include "model/json_at.h"
#include "model/module_names.h"

namespace moecap::model {
namespace {

constexpr int kMostLayers = 4096;

Weights WeightsOf(const StoredModule& module) {
  Weights weights;
  weights.params = module.params;
  weights.bytes = module.bytes;
  if (module.matrix) {
    weights.matrix_params = module.params;
    weights.matrix_bytes = module.bytes;
  }
  return weights;
}

// "layers.3.mlp.experts.17.up_proj" -> "layers.*.mlp.experts.*.up_proj".
std::string WithoutNumbers(std::string_view canonical) {
  std::string result;
  for (const std::string_view component : ModuleComponents(canonical)) {
    if (!result.empty()) result += '.';
    const bool number = component.find_first_not_of("0123456789") == std::string_view::npos;
    result += number ? "*" : component;
  }
  return result;
}

void AddTower(const StoredModule& module, CheckpointInventory& inventory) {
  const std::string kind(TowerKind(module.name));
  auto tower = std::ranges::find(inventory.towers, kind, &TowerSpec::name);
  if (tower == inventory.towers.end()) {
    TowerSpec added;
    added.name = kind;
    tower = inventory.towers.insert(inventory.towers.end(), std::move(added));
  }
  tower->params += module.params;
  tower->bytes += module.bytes;
}

void AddExpertTensor(const StoredModule& module, const ModulePlace& place, CheckpointInventory& inventory) {
  const auto layer = static_cast<size_t>(place.layer);
  const bool stacked = place.expert < 0 && module.shape.size() >= 3;
  const int64_t number = stacked ? module.shape.front() : place.expert + 1;
  inventory.experts[layer] = std::max(inventory.experts[layer], static_cast<int>(std::min<int64_t>(number, 1 << 16)));
  const std::string name = WithoutNumbers(place.canonical);
  auto group = std::ranges::find_if(inventory.expert_tensors,
                                    [&](const TensorGroup& known) { return known.name == name && known.type == module.type; });
  if (group == inventory.expert_tensors.end()) {
    TensorGroup added;
    added.name = name;
    added.type = module.type;
    group = inventory.expert_tensors.insert(inventory.expert_tensors.end(), std::move(added));
  }
  ++group->tensors;
  group->params += module.params;
  group->bytes += module.bytes;
}

void AddText(const StoredModule& module, const ModulePlace& place, CheckpointInventory& inventory) {
  const Weights weights = WeightsOf(module);
  inventory.by_type[static_cast<size_t>(place.tensor_class)][module.type] += module.params;
  if (place.layer < 0 || place.layer >= kMostLayers) {
    inventory.ends[place.tensor_class] += weights;
    if (place.tensor_class == TensorClass::kEmbedding && module.shape.size() == 2 && inventory.vocab == 0) {
      inventory.vocab = module.shape[0];
      inventory.hidden = module.shape[0] > 0 ? module.params / module.shape[0] : 0;
    }
    return;
  }
  const auto layer = static_cast<size_t>(place.layer);
  if (inventory.layers.size() <= layer) {
    inventory.layers.resize(layer + 1);
    inventory.experts.resize(layer + 1, 0);
  }
  inventory.layers[layer][place.tensor_class] += weights;
  if (place.tensor_class == TensorClass::kRoutedExpert) AddExpertTensor(module, place, inventory);
}

void NameTypes(const CheckpointInventory& inventory, ModelSpec& spec) {
  for (size_t c = 0; c < inventory.by_type.size(); ++c) {
    int64_t most = 0;
    for (const auto& [type, params] : inventory.by_type[c]) {
      if (params > most) spec.type_by_class[c] = type;
      most = std::max(most, params);
    }
  }
  const auto type = [&](TensorClass c) { return spec.type_by_class[static_cast<size_t>(c)]; };
  spec.weight_type =
      !type(TensorClass::kRoutedExpert).empty() ? type(TensorClass::kRoutedExpert) : type(TensorClass::kDenseFfn);
}

// Shares what one stored layer holds among the layers that a spec tells it as, in proportion to their own parameters.
void Share(const WeightSet& stored, std::span<LayerSpec> layers) {
  for (const TensorClass c : kTensorClasses) {
    int64_t all = 0;
    for (const LayerSpec& layer : layers) all += layer.weights[c].params;
    Weights rest = stored[c];
    for (size_t i = 0; i < layers.size(); ++i) {
      Weights& own = layers[i].weights[c];
      const bool last = i + 1 == layers.size();
      const double share = all > 0 ? static_cast<double>(own.params) / static_cast<double>(all) : last ? 1 : 0;
      const Weights& whole = stored[c];
      Weights part;
      part.params = last ? rest.params : std::llround(static_cast<double>(whole.params) * share);
      part.matrix_params = last ? rest.matrix_params : std::llround(static_cast<double>(whole.matrix_params) * share);
      part.bytes = last ? rest.bytes : whole.bytes * share;
      part.matrix_bytes = last ? rest.matrix_bytes : whole.matrix_bytes * share;
      rest.params -= part.params;
      rest.matrix_params -= part.matrix_params;
      rest.bytes -= part.bytes;
      rest.matrix_bytes -= part.matrix_bytes;
      own = part;
    }
  }
}

// What the config said differently, by class.
void NoteDifferences(const WeightSet& config, const WeightSet& tensors, std::vector<std::string>& notes) {
  const double config_bytes = config.Bytes(), bytes = tensors.Bytes();
  if (config.Params() != tensors.Params()) {
    notes.push_back(fmt::format("config.json means {} parameters of the text model, the tensors hold {}. The tensors count.",
                                config.Params(), tensors.Params()));
  }
  if (std::abs(config_bytes - bytes) <= 1e-3 * bytes) return;
  std::string classes;
  for (const TensorClass c : kTensorClasses) {
    const Weights &said = config[c], &held = tensors[c];
    if (std::abs(said.bytes - held.bytes) <= 1e-3 * bytes) continue;
    classes += fmt::format("{}{} {:.2f} bits a weight instead of {:.2f}", classes.empty() ? "" : ", ", TensorClassName(c),
                           held.BitsPerWeight(), said.BitsPerWeight());
  }
  notes.push_back(fmt::format("config.json means {:.0f} bytes of weights, the tensors hold {:.0f}{}. The tensors count.",
                              config_bytes, bytes, classes.empty() ? "" : ": " + classes));
}

void ApplyEnds(const CheckpointInventory& inventory, ModelSpec& spec) {
  spec.ends = inventory.ends;
  const bool has_head = inventory.ends[TensorClass::kHead].matrix_params > 0;
  if (spec.tied_embedding && has_head) {
    spec.notes.emplace_back("The head is tied to the embedding, and stored a second time; it counts once.");
    spec.ends[TensorClass::kHead] = {};
  } else if (!spec.tied_embedding && !has_head && inventory.ends[TensorClass::kEmbedding].params > 0) {
    spec.notes.emplace_back("config.json does not tie the head to the embedding, but the tensors hold no head: it is tied.");
    spec.tied_embedding = true;
  }
}

}  // namespace

PackingHints PackingHintsOf(const Json& config) {
  PackingHints hints;
  for (const Json* part : {&TextPart(config), &config}) {
    for (const char* key : {"quantization_config", "quantization", "compression_config"}) {
      const Json* quantization = ObjectAt(*part, key);
      if (quantization == nullptr) continue;
      const Json* groups = ObjectAt(*quantization, "config_groups");
      const Json* first = groups != nullptr && !groups->empty() ? ObjectAt(groups->front(), "weights") : nullptr;
      const Json& source = first == nullptr ? *quantization : *first;
      hints.bits = IntAt(source, "bits", IntAt(source, "num_bits", IntAt(source, "w_bit", hints.bits)));
      hints.group = IntAt(source, "group_size", IntAt(source, "q_group_size", hints.group));
    }
  }
  hints.bits = std::clamp<int64_t>(hints.bits, 1, 8);
  hints.group = std::clamp<int64_t>(hints.group, 1, 1 << 16);
  return hints;
}

CheckpointInventory TakeInventory(std::span<const SafetensorsTensor> tensors, int text_layers, const PackingHints& hints) {
  CheckpointInventory inventory;
  for (const StoredModule& module : GatherModules(tensors, hints)) {
    const ModulePlace place = PlaceOf(module.name, text_layers);
    inventory.bytes += module.bytes;
    if (module.integer_entries > 0 && place.part != Part::kTower) {
      inventory.integer_entries += module.integer_entries;
    } else if (place.part == Part::kTower) {
      AddTower(module, inventory);
    } else if (place.part == Part::kText) {
      AddText(module, place, inventory);
    } else if (place.tensor_class == TensorClass::kEmbedding) {
      inventory.mtp_copy_params += module.params;
      inventory.mtp_copy_bytes += module.bytes;
    } else {
      inventory.mtp[place.tensor_class] += WeightsOf(module);
    }
  }
  return inventory;
}

void ApplyInventory(const CheckpointInventory& inventory, ModelSpec& spec) {
  const size_t told = spec.layers.size(), stored = inventory.layers.size();
  const bool encoder = std::ranges::any_of(spec.layers, &LayerSpec::encoder);
  if (stored == 0 || told % stored != 0 || encoder) {
    spec.notes.push_back(
        fmt::format("The tensors have {} layers, config.json means {}: parameters and bytes are the config's; the "
                    "checkpoint holds {:.0f} bytes in all.",
                    stored, told, inventory.bytes));
    return;
  }
  const WeightSet said = spec.ByClass();
  const size_t each = told / stored;
  for (size_t i = 0; i < stored; ++i) Share(inventory.layers[i], std::span(spec.layers).subspan(i * each, each));
  ApplyEnds(inventory, spec);
  NoteDifferences(said, spec.ByClass(), spec.notes);
  spec.mtp = inventory.mtp;
  spec.mtp_copy_params = inventory.mtp_copy_params;
  spec.mtp_copy_bytes = inventory.mtp_copy_bytes;
  if (spec.mtp.Params() == 0) spec.mtp_layers = 0;
  spec.towers = inventory.towers;
  spec.expert_tensors = inventory.expert_tensors;
  spec.weights_source = "tensors";
  NameTypes(inventory, spec);
}

ModelSpec SpecFromInventory(const CheckpointInventory& inventory, const Json& config, std::string id) {
  ModelSpec spec;
  spec.id = std::move(id);
  const Json& text = TextPart(config);
  spec.model_type = TextAt(config, "model_type", TextAt(text, "model_type", "unknown"));
  spec.computes = false;
  spec.weights_source = "tensors";
  spec.vocab = inventory.vocab;
  spec.hidden = inventory.hidden;
  spec.ends = inventory.ends;
  spec.tied_embedding = inventory.ends[TensorClass::kHead].matrix_params == 0;
  spec.mtp = inventory.mtp;
  spec.mtp_copy_params = inventory.mtp_copy_params;
  spec.mtp_copy_bytes = inventory.mtp_copy_bytes;
  spec.towers = inventory.towers;
  spec.expert_tensors = inventory.expert_tensors;
  int64_t top_k = 0;
  for (const char* key : {"num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "moe_k", "moe_top_k",
                          "top_k_experts", "num_selected_experts", "moe_num_active_primary_experts"}) {
    if (top_k == 0) top_k = IntAt(text, key, IntAt(config, key, 0));
  }
  for (size_t i = 0; i < inventory.layers.size(); ++i) {
    LayerSpec layer;
    layer.weights = inventory.layers[i];
    layer.ffn.experts = inventory.experts[i];
    layer.ffn.top_k = top_k == 0 ? layer.ffn.experts : static_cast<int>(std::clamp<int64_t>(top_k, 0, layer.ffn.experts));
    spec.layers.push_back(std::move(layer));
  }
  NameTypes(inventory, spec);
  spec.notes.push_back(
      fmt::format("The family '{}' is not known: parameters and bytes are those of its tensors; what they compute, "
                  "its caches and FLOPs are not known.",
                  spec.model_type));
  if (top_k == 0 && spec.Experts() > 0)
    spec.notes.emplace_back("The config does not say how many experts a token visits: active parameters count them all.");
  return spec;
}

}  // namespace moecap::model
