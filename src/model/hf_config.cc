#include "model/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/nearest_word.h"
#include "model/hf_build.h"

namespace moecap::model {
namespace {

// The text model's object of a multimodal config; the config itself otherwise.
const Json& TextPart(const Json& config) {
  for (const char* key : {"text_config", "language_config", "llm_config"}) {
    const auto nested = config.find(key);
    if (nested != config.end() && nested->is_object() && !nested->empty()) return *nested;
  }
  if (const auto thinker = config.find("thinker_config"); thinker != config.end() && thinker->is_object()) {
    const auto nested = thinker->find("text_config");
    if (nested != thinker->end() && nested->is_object()) return *nested;
  }
  return config;
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool HasArchitecture(const Json& config, std::string_view name) {
  const auto list = config.find("architectures");
  if (list == config.end() || !list->is_array()) return false;
  return std::any_of(list->begin(), list->end(),
                     [&](const Json& entry) { return entry.is_string() && entry.get<std::string>() == name; });
}

// The family of the text model: its own model_type if known, else the file's.
Result<const HfFamily*> FamilyOf(const Json& config, const Json& text, std::string& model_type) {
  const std::string inner = TextOf(text, "model_type");
  model_type = TextOf(config, "model_type");
  if (model_type.empty()) model_type = inner;
  for (const std::string& name : {inner, model_type}) {
    if (const HfFamily* family = FindHfFamily(name)) return family;
  }
  // Copies of Grok-2 carry a model_type that says nothing.
  if (HasArchitecture(config, "Grok1ForCausalLM")) return FindHfFamily("grok-1");
  if (model_type.empty()) return BadInput("the field 'model_type' is missing");
  const std::string nearest = NearestWord(model_type, KnownModelTypes());
  return BadInput(fmt::format("the model_type '{}' is not known{}", model_type,
                              nearest.empty() ? "" : fmt::format(" (is it like '{}'?)", nearest)));
}

// Mistral's own params.json -> the fields of the same shapes in a config.json.
Json FromMistralParams(const Json& params) {
  Json config;
  config["model_type"] = params.contains("kv_lora_rank") ? "deepseek_v3" : params.contains("moe") ? "mixtral" : "mistral";
  const auto copy = [&config](const Json& from, const char* key, const char* name) {
    if (const auto found = from.find(key); found != from.end()) config[name] = *found;
  };
  copy(params, "dim", "hidden_size");
  copy(params, "n_layers", "num_hidden_layers");
  copy(params, "n_heads", "num_attention_heads");
  copy(params, "n_kv_heads", "num_key_value_heads");
  copy(params, "hidden_dim", "intermediate_size");
  copy(params, "tied_embeddings", "tie_word_embeddings");
  for (const char* same : {"head_dim", "vocab_size", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim",
                           "v_head_dim", "sliding_window", "max_position_embeddings"}) {
    copy(params, same, same);
  }
  const auto moe = params.find("moe");
  if (moe == params.end() || !moe->is_object()) return config;
  const bool wide = moe->contains("expert_hidden_dim");
  copy(*moe, "num_experts", "num_local_experts");
  copy(*moe, "num_experts_per_tok", "num_experts_per_tok");
  copy(*moe, "num_shared_experts", "n_shared_experts");
  copy(*moe, "first_k_dense_replace", "first_k_dense_replace");
  copy(*moe, "route_every_n", "moe_layer_freq");
  if (wide) copy(*moe, "expert_hidden_dim", "moe_intermediate_size");
  return config;
}

Result<WeightFormats> FormatsOf(const HfFields& f, ModelSpec& spec) {
  std::string dtype = f.Text("torch_dtype", f.Text("dtype"));
  if (dtype.empty() || dtype == "auto") {
    dtype = "bfloat16";
    spec.notes.emplace_back("The config names no dtype; bfloat16 is assumed for unquantised weights.");
  }
  const Json* quantization = f.Find("quantization_config");
  if (quantization == nullptr) quantization = f.Find("compression_config");
  if (quantization == nullptr) return WeightFormats::Plain(dtype);
  return WeightFormats::FromConfig(*quantization, dtype, f.Text("expert_dtype"));
}

// Embedding, head and final norms.
void BuildEnds(HfContext& context, ModelSpec& spec) {
  HfWeights ends(context, "", spec.ends);
  ends.Matrix(TensorClass::kEmbedding, "model.embed_tokens", spec.vocab, spec.hidden);
  if (!spec.tied_embedding) ends.Matrix(TensorClass::kHead, "lm_head", spec.vocab, spec.hidden);
  ends.Vector(TensorClass::kNorm, context.family.final_norms * spec.hidden);
}

void NameTypes(const HfContext& context, ModelSpec& spec) {
  for (size_t c = 0; c < context.tally.size(); ++c) {
    int64_t most = 0;
    for (const auto& [label, params] : context.tally[c]) {
      if (params > most) spec.type_by_class[c] = label;
      most = std::max(most, params);
    }
  }
  const auto label = [&](TensorClass c) { return spec.type_by_class[static_cast<size_t>(c)]; };
  spec.weight_type =
      label(TensorClass::kRoutedExpert).empty() ? label(TensorClass::kDenseFfn) : label(TensorClass::kRoutedExpert);
  const double kv_bits = context.formats.kv_bits();
  spec.kv_type = kv_bits == 8 ? "fp8" : context.formats.plain().label;
  spec.kv_bits = kv_bits > 0 ? kv_bits : context.formats.plain_bits();
  spec.compute_type = context.formats.compute_type();
}

}  // namespace

Result<ModelSpec> SpecFromConfig(const Json& config, std::string id) {
  if (!config.is_object()) return BadInput("a config.json must be a JSON object");
  if (!config.contains("model_type") && config.contains("n_layers") && config.contains("dim")) {
    return SpecFromConfig(FromMistralParams(config), std::move(id));
  }
  const Json& text = TextPart(config);
  ModelSpec spec;
  spec.id = std::move(id);
  ASSIGN_OR_RETURN(const HfFamily* family, FamilyOf(config, text, spec.model_type));
  HfFields fields(config, text);
  ASSIGN_OR_RETURN(const WeightFormats formats, FormatsOf(fields, spec));
  HfContext context{fields, formats, *family, 0, 0, {}};
  spec.hidden = context.hidden = fields.Need({"hidden_size", "d_model"});
  spec.vocab = fields.Need({"vocab_size"});
  if (const int64_t trained = fields.Optional({"max_position_embeddings", "max_seq_len", "model_max_length"}, 0); trained > 0)
    spec.max_context = trained;
  spec.tied_embedding = fields.Flag("tie_word_embeddings", family->tied);
  // A list of block types says how many there are.
  const auto listed = static_cast<int64_t>(fields.Words("layers_block_type").size());
  const bool from_list = listed > 0 && !fields.Has("num_hidden_layers");
  const int64_t layers = from_list ? listed : fields.Need({"num_hidden_layers", "n_layers", "num_layers", "encoder_layers"});
  if (layers > 4096) return BadInput(fmt::format("the field 'num_hidden_layers' is {}", layers));
  context.layers = static_cast<int>(layers);
  BuildEnds(context, spec);
  family->model(context, spec);
  if (!fields.error()) family->mtp(context, spec);
  if (fields.error())
    return Error{fields.error()->kind, fmt::format("model_type '{}': {}", spec.model_type, fields.error()->message)};
  NameTypes(context, spec);
  return spec;
}

Result<ModelSpec> SpecFromConfigText(std::string_view text, std::string id) {
  ASSIGN_OR_RETURN(const Json config, ParseJson(text));
  return SpecFromConfig(config, std::move(id));
}

std::vector<std::string> KnownModelTypes() { return HfFamilyNames(); }

}  // namespace moecap::model
