#include "model/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/nearest_word.h"
#include "base/python_json.h"
#include "model/hf_build.h"
#include "model/hf_towers.h"
#include "model/json_at.h"
#include "model/kv_format.h"

namespace moecap::model {
namespace {

// "Qwen3MoeForCausalLM" -> "qwen3moe", "mimo_v2_flash" -> "mimov2flash".
std::string Squeezed(std::string_view name) {
  for (const std::string_view suffix : {"ForCausalLM", "ForConditionalGeneration", "LMHeadModel", "ChatModel"}) {
    if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
  }
  std::string squeezed;
  for (const char c : LowerCase(name)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) squeezed += c;
  }
  return squeezed;
}

std::vector<std::string> Architectures(const Json& config) {
  std::vector<std::string> names;
  const Json* list = ValueAt(config, "architectures");
  if (list == nullptr || !list->is_array()) return names;
  for (const Json& entry : *list) {
    if (entry.is_string()) names.push_back(entry.get<std::string>());
  }
  return names;
}

// The family that an architecture's class is named after.
const HfFamily* FamilyByArchitecture(const Json& config) {
  for (const std::string& architecture : Architectures(config)) {
    const std::string squeezed = Squeezed(architecture);
    for (const std::string& known : KnownModelTypes()) {
      if (Squeezed(known) == squeezed) return FindHfFamily(known);
    }
  }
  return nullptr;
}

// The family of the text model: its own model_type, else the file's, else an architecture. An architecture that is a later
// version of the model_type counts before it (Ling 2.0 calls itself bailing_moe, its class BailingMoeV2ForCausalLM).
const HfFamily* FamilyOf(const Json& config, const Json& text) {
  const HfFamily* by_architecture = FamilyByArchitecture(text);
  if (by_architecture == nullptr) by_architecture = FamilyByArchitecture(config);
  for (const Json* part : {&text, &config}) {
    const HfFamily* family = FindHfFamily(TextAt(*part, "model_type"));
    if (family == nullptr) continue;
    const bool later = by_architecture != nullptr && by_architecture->model_type.starts_with(family->model_type) &&
                       by_architecture->model_type.size() > family->model_type.size();
    return later ? by_architecture : family;
  }
  return by_architecture;
}

Error UnknownFamily(const Json& config, const Json& text) {
  std::string model_type = TextAt(config, "model_type", TextAt(text, "model_type"));
  const std::vector<std::string> architectures = Architectures(config);
  if (model_type.empty() && architectures.empty())
    return BadInput("the field 'model_type' is missing, and no architecture names the family");
  std::string_view family = model_type;  // of a text model, too
  if (family.ends_with("_text")) family.remove_suffix(std::string_view("_text").size());
  for (const std::string& unread : UnreadFamilyNames()) {
    const bool named =
        Squeezed(unread) == Squeezed(family) || std::ranges::any_of(architectures, [&](const std::string& architecture) {
          return Squeezed(architecture) == Squeezed(unread);
        });
    if (!named) continue;
    return BadInput(
        fmt::format("the family '{}' is one that we do not read; the nearest is '{}'. With the checkpoint's safetensors beside "
                    "the config, moecap model counts its tensors",
                    unread, NearestOfUnread(unread)));
  }
  const std::string nearest = NearestWord(model_type.empty() ? Squeezed(architectures.front()) : model_type, KnownModelTypes());
  const std::string hint = nearest.empty() ? "" : fmt::format(" (is it like '{}'?)", nearest);
  if (model_type.empty()) return BadInput(fmt::format("the architecture '{}' is not known{}", architectures.front(), hint));
  return BadInput(fmt::format("the model_type '{}' is not known{}", model_type, hint));
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

Result<WeightFormats> FormatsOf(const HfFields& f, const HfOptions& options, ModelSpec& spec) {
  std::string dtype = f.Text("torch_dtype", f.Text("dtype"));
  if (dtype.empty() || dtype == "auto") {
    dtype = "bfloat16";
    spec.notes.emplace_back("The config names no dtype; bfloat16 is assumed for unquantised weights.");
  }
  // MLX writes both names; "quantization" has the modules' own settings.
  for (const char* key : {"quantization_config", "compression_config", "quantization"}) {
    const Json* quantization = f.Find(key);
    if (quantization == nullptr || (quantization->is_object() && quantization->empty())) continue;
    Result<WeightFormats> formats = WeightFormats::FromConfig(*quantization, dtype, f.Text("expert_dtype"));
    if (formats.ok() || !options.precision_is_given) return formats;
    spec.notes.push_back(fmt::format("{}: it is not used.", formats.error().message));
    break;
  }
  return WeightFormats::Plain(dtype);
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
  spec.kv_type = context.formats.plain().label;
  spec.kv_bits = context.formats.plain_bits();
  spec.compute_type = context.formats.compute_type();
}

}  // namespace

const Json& TextPart(const Json& config) {
  for (const char* key : {"text_config", "language_config", "llm_config", "lm_config", "language_model_config"}) {
    const Json* nested = ObjectAt(config, key);
    if (nested != nullptr &&
        (nested->contains("hidden_size") || nested->contains("num_hidden_layers") || nested->contains("dim")))
      return *nested;
  }
  if (const Json* thinker = ObjectAt(config, "thinker_config")) {
    if (const Json* nested = ObjectAt(*thinker, "text_config")) return *nested;
  }
  return config;
}

bool KnowsFamily(const Json& config) {
  const bool mistral = !config.contains("model_type") && config.contains("n_layers") && config.contains("dim");
  return config.is_object() && (mistral || FamilyOf(config, TextPart(config)) != nullptr);
}

Result<ModelSpec> SpecFromConfig(const Json& config, std::string id, const HfOptions& options) {
  if (!config.is_object()) return BadInput("a config.json must be a JSON object");
  if (!config.contains("model_type") && config.contains("n_layers") && config.contains("dim")) {
    return SpecFromConfig(FromMistralParams(config), std::move(id), options);
  }
  const Json& text = TextPart(config);
  ModelSpec spec;
  spec.id = std::move(id);
  const HfFamily* family = FamilyOf(config, text);
  if (family == nullptr) return UnknownFamily(config, text);
  spec.model_type = TextAt(config, "model_type", TextAt(text, "model_type", family->model_type));
  HfFields fields(config, text);
  ASSIGN_OR_RETURN(WeightFormats formats, FormatsOf(fields, options, spec));
  formats.SetStored(options.stored);
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
  if (!formats.kv_type().empty()) RETURN_IF_ERROR(ApplyKvFormat(spec, formats.kv_type()));
  spec.towers = TowersOf(config, spec.hidden, formats.plain_bits());
  for (std::string& note : formats.Notes()) spec.notes.push_back(std::move(note));
  return spec;
}

int64_t StoredLayers(const Json& config) {
  const Json& text = TextPart(config);
  for (const char* key : {"num_hidden_layers", "n_layers", "num_layers"}) {
    if (const int64_t layers = IntAt(text, key, IntAt(config, key, 0)); layers > 0 && layers <= 4096) return layers;
  }
  const Json* listed = ValueAt(text, "layers_block_type");
  return listed != nullptr && listed->is_array() ? static_cast<int64_t>(std::min<size_t>(listed->size(), 4096)) : 0;
}

Result<ModelSpec> SpecFromConfigText(std::string_view text, std::string id, const HfOptions& options) {
  ASSIGN_OR_RETURN(const Json config, ParsePythonJson(text));
  return SpecFromConfig(config, std::move(id), options);
}

std::vector<std::string> KnownModelTypes() { return HfFamilyNames(); }

}  // namespace moecap::model
