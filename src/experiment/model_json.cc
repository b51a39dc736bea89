#include "experiment/model_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/json_error.h"

namespace moecap::experiment {
namespace {

using model::AttentionKind;
using model::AttentionSpec;
using model::FfnSpec;
using model::KvCacheSpec;
using model::LayerSpec;
using model::ModelSpec;
using model::TensorClass;
using model::Weights;
using model::WeightSet;

constexpr AttentionKind kAttentionKinds[] = {AttentionKind::kNone,   AttentionKind::kGqa,   AttentionKind::kMla,
                                             AttentionKind::kLinear, AttentionKind::kMamba, AttentionKind::kShortConv};

// One table of fields serves both directions: `Archive` writes or reads each named field.
class Writer {
 public:
  template <typename T>
  void operator()(const char* key, const T& value) {
    json[key] = value;
  }
  template <typename T>
  void operator()(const char* key, const std::optional<T>& value) {
    json[key] = value ? Json(*value) : Json(nullptr);
  }
  void Newer(const char* key, const auto& value) { json[key] = value; }
  Json json = Json::object();
};

class Reader {
 public:
  explicit Reader(const Json& source) : json(source) {}
  template <typename T>
  void operator()(const char* key, T& value) {
    json.at(key).get_to(value);
  }
  template <typename T>
  void operator()(const char* key, std::optional<T>& value) {
    if (const Json& found = json.at(key); !found.is_null()) found.get_to(value.emplace());
  }
  // A field that earlier versions did not write.
  void Newer(const char* key, auto& value) {
    if (json.contains(key)) json.at(key).get_to(value);
  }
  const Json& json;
};

template <typename Archive, typename Cache>
void VisitCache(Archive& archive, Cache& cache) {
  archive("elements", cache.elements);
  archive("tokens_per_entry", cache.tokens_per_entry);
  archive("window", cache.window);
  archive("chunked", cache.chunked);
  archive("top_k", cache.top_k);
  archive("borrowed", cache.borrowed);
  archive("flops_per_entry", cache.flops_per_entry);
  archive("absorbed_flops_per_entry", cache.absorbed_flops_per_entry);
  archive.Newer("rope_elements", cache.rope_elements);
  archive.Newer("index_keys", cache.index_keys);
  archive.Newer("entry_bytes", cache.entry_bytes);
}

template <typename Archive, typename Attention>
void VisitAttention(Archive& archive, Attention& attention) {
  archive("query_heads", attention.query_heads);
  archive("kv_heads", attention.kv_heads);
  archive("key_dim", attention.key_dim);
  archive("value_dim", attention.value_dim);
  archive("state_elements", attention.state_elements);
  archive("conv_state_elements", attention.conv_state_elements);
  archive("state_flops_per_token", attention.state_flops_per_token);
}

template <typename Archive, typename Ffn>
void VisitFfn(Archive& archive, Ffn& ffn) {
  archive("experts", ffn.experts);
  archive("top_k", ffn.top_k);
  archive("zero_experts", ffn.zero_experts);
  archive("shared_experts", ffn.shared_experts);
  archive("expert_width", ffn.expert_width);
  archive("shared_width", ffn.shared_width);
  archive("dense_width", ffn.dense_width);
}

template <typename Archive, typename Spec>
void VisitModel(Archive& archive, Spec& spec) {
  archive("id", spec.id);
  archive("model_type", spec.model_type);
  archive("weight_type", spec.weight_type);
  archive("compute_type", spec.compute_type);
  archive("tied_embedding", spec.tied_embedding);
  archive("vocab", spec.vocab);
  archive("hidden", spec.hidden);
  archive("max_context", spec.max_context);
  archive("type_by_class", spec.type_by_class);
  archive("mtp_layers", spec.mtp_layers);
  archive("mtp_copy_params", spec.mtp_copy_params);
  archive("mtp_copy_bytes", spec.mtp_copy_bytes);
  archive("kv_type", spec.kv_type);
  archive("kv_bits", spec.kv_bits);
  archive("state_bits", spec.state_bits);
  archive("notes", spec.notes);
}

// Classes without weights are left out.
Json WeightsToJson(const WeightSet& set) {
  Json result = Json::object();
  for (const TensorClass c : model::kTensorClasses) {
    const Weights& weights = set[c];
    if (weights.params == 0) continue;
    result[std::string(TensorClassName(c))] = {{"params", weights.params},
                                               {"bytes", weights.bytes},
                                               {"matrix_params", weights.matrix_params},
                                               {"matrix_bytes", weights.matrix_bytes}};
  }
  return result;
}

WeightSet WeightsFromJson(const Json& json) {
  WeightSet set;
  for (const TensorClass c : model::kTensorClasses) {
    const auto found = json.find(std::string(TensorClassName(c)));
    if (found == json.end()) continue;
    set[c] = {found->at("params").get<int64_t>(), found->at("bytes").get<double>(), found->at("matrix_params").get<int64_t>(),
              found->at("matrix_bytes").get<double>()};
  }
  return set;
}

// A cache says the bytes of its entries, whichever way they follow, so that a reader needs no layout.
Json LayerToJson(const LayerSpec& layer, double kv_bits) {
  Writer attention, ffn;
  attention("kind", std::string(AttentionKindName(layer.attention.kind)));
  VisitAttention(attention, layer.attention);
  attention.json["caches"] = Json::array();
  for (KvCacheSpec cache : layer.attention.caches) {
    cache.entry_bytes = cache.EntryBytes(kv_bits);
    Writer entry;
    VisitCache(entry, cache);
    attention.json["caches"].push_back(std::move(entry.json));
  }
  VisitFfn(ffn, layer.ffn);
  return {{"attention", std::move(attention.json)},
          {"ffn", std::move(ffn.json)},
          {"weights", WeightsToJson(layer.weights)},
          {"encoder", layer.encoder}};
}

LayerSpec LayerFromJson(const Json& json) {
  LayerSpec layer;
  const Json& attention = json.at("attention");
  Reader attention_reader(attention);
  VisitAttention(attention_reader, layer.attention);
  for (const AttentionKind kind : kAttentionKinds) {
    if (attention.at("kind").get<std::string>() == AttentionKindName(kind)) layer.attention.kind = kind;
  }
  for (const Json& entry : attention.at("caches")) {
    Reader reader(entry);
    VisitCache(reader, layer.attention.caches.emplace_back());
  }
  Reader ffn(json.at("ffn"));
  VisitFfn(ffn, layer.ffn);
  layer.weights = WeightsFromJson(json.at("weights"));
  layer.encoder = json.at("encoder").get<bool>();
  return layer;
}

}  // namespace

Json ToJson(const ModelSpec& spec) {
  Writer writer;
  VisitModel(writer, spec);
  writer.json["ends"] = WeightsToJson(spec.ends);
  writer.json["mtp"] = WeightsToJson(spec.mtp);
  writer.json["layers"] = Json::array();
  for (const LayerSpec& layer : spec.layers) writer.json["layers"].push_back(LayerToJson(layer, spec.kv_bits));
  return std::move(writer.json);
}

Result<ModelSpec> ModelSpecFromJson(const Json& json) {
  try {
    ModelSpec spec;
    Reader reader(json);
    VisitModel(reader, spec);
    if (spec.max_context == 0) spec.max_context.reset();  // version 0.1 wrote 0 where it was not known
    spec.ends = WeightsFromJson(json.at("ends"));
    spec.mtp = WeightsFromJson(json.at("mtp"));
    for (const Json& layer : json.at("layers")) spec.layers.push_back(LayerFromJson(layer));
    return spec;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the stored model is not complete: {}", ReasonOf(error)));
  }
}

}  // namespace moecap::experiment
