// Methods whose groups name what they apply to: compressed-tensors, ModelOpt, Quark, torchao.
#include "model/quantization_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "model/json_at.h"

namespace moecap::model {
namespace {

// The class of a module rather than its name: "Linear", "FusedMoE".
bool IsClassName(std::string_view text) {
  return !text.empty() && std::isupper(static_cast<unsigned char>(text.front())) != 0 &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0; });
}

void SetClass(QuantizationRules& rules, TensorClass c, int format) { rules.by_class[static_cast<size_t>(c)] = format; }

bool LinearIsOpen(const QuantizationRules& rules) {
  return rules.by_class[static_cast<size_t>(TensorClass::kAttention)] == kPlain;
}

// ---- compressed-tensors

Result<WeightFormat> FloatScheme(const Json& weights, int64_t bits, int64_t group) {
  const std::string strategy = TextAt(weights, "strategy");
  if (bits == 4) return group == 32 ? kMxfp4 : kNvfp4;
  if (bits == 6) return kMxfp6;
  if (bits != 8) return BadInput(fmt::format("quantization_config: float weights with {} bits are not known", bits));
  if (group == 32) return kMxfp8;
  if (strategy == "block") {
    Json fp8;
    const Json* blocks = ValueAt(weights, "block_structure");
    fp8["weight_block_size"] = blocks != nullptr ? *blocks : Json(nullptr);
    return Fp8Format(fp8);
  }
  if (group > 0) return WeightFormat{"fp8", 8, 1, group, 32, 0, 0};
  return strategy == "channel" ? kFp8Channel : kFp8Tensor;
}

Result<WeightFormat> SchemeFormat(const Json& weights) {
  const int64_t bits = IntAt(weights, "num_bits", 0);
  const std::string type = TextAt(weights, "type");
  const int64_t group = IntAt(weights, "group_size", 0);
  if (type == "float") return FloatScheme(weights, bits, group);
  if (type != "int" || bits < 1 || bits > 8) {
    return BadInput(fmt::format("quantization_config: weights of type '{}' with {} bits are not known", type, bits));
  }
  if (bits == 8 && group <= 0) return kInt8Channel;
  return GroupedInt(bits, group, FlagAt(weights, "symmetric", true) ? 16 : 16 + static_cast<double>(bits));
}

std::string ComputeTypeOf(const WeightFormat& format) { return format.element_bits < 8 ? "fp4" : format.label; }

// The formats of the group's weights, for its targets; without weights they stay plain.
Status ReadGroup(const Json& group, QuantizationRules& rules) {
  const Json* weights = ObjectAt(group, "weights");
  int format = kPlain;
  if (weights != nullptr) {
    ASSIGN_OR_RETURN(const WeightFormat scheme, SchemeFormat(*weights));
    const bool quantised_inputs = ObjectAt(group, "input_activations") != nullptr;
    if (quantised_inputs && rules.compute_type == rules.plain.label) rules.compute_type = ComputeTypeOf(scheme);
    format = rules.Add(scheme);
  }
  const Json* targets = ValueAt(group, "targets");
  if (targets == nullptr) {
    if (LinearIsOpen(rules)) rules.SetLinear(format);
    return {};
  }
  if (!targets->is_array()) return BadInput("quantization_config: 'targets' of a group is not a list");
  for (const Json& target : *targets) {
    if (!target.is_string()) return BadInput("quantization_config: a group has a target that is not a string");
    RETURN_IF_ERROR(ReadTarget(target.get<std::string>(), format, rules));
  }
  return {};
}

// ---- ModelOpt

Result<int> AddAlgorithm(const Json& object, const Json& defaults, QuantizationRules& rules, bool sets_compute) {
  const std::string algorithm = TextAt(object, "quant_algo");
  const auto named = FormatByAlgorithm(algorithm, IntAt(object, "group_size", IntAt(defaults, "group_size", 0)));
  if (!named) {
    return BadInput(fmt::format("quantization_config.quant_algo '{}' is not known; known are MIXED_PRECISION, {}", algorithm,
                                fmt::join(KnownAlgorithms(), ", ")));
  }
  WeightFormat format = named->format;
  if (algorithm == "FP8" && ValueAt(object, "weight_block_size") != nullptr) {
    ASSIGN_OR_RETURN(format, Fp8Format(object));
  }
  if (sets_compute && !named->compute_type.empty() && rules.compute_type == rules.plain.label)
    rules.compute_type = named->compute_type;
  return rules.Add(format);
}

// Layers by name, each with its algorithm; the others are plain, or in blocks of fp8 where the experts alone were converted.
Status ReadQuantizedLayers(const Json& object, const Json& layers, QuantizationRules& rules) {
  if (!TextAt(object, "moe_quant_algo").empty()) {
    ASSIGN_OR_RETURN(const WeightFormat base, Fp8Format(object));
    rules.SetLinear(rules.Add(ValueAt(object, "weight_block_size") == nullptr ? kFp8Block128 : base));
    rules.compute_type = "fp8";
  }
  for (const auto& [name, own] : layers.items()) {
    ASSIGN_OR_RETURN(const int format, AddAlgorithm(own, object, rules, true));
    RETURN_IF_ERROR(rules.named.Add(name, format));
  }
  return {};
}

// ---- Quark

Result<int> AddQuark(const Json& settings, QuantizationRules& rules) {
  const Json* weight = ValueAt(settings, "weight");
  // Two stages: what is stored is the last.
  if (weight != nullptr && weight->is_array()) weight = weight->empty() ? nullptr : &weight->back();
  if (weight == nullptr) return kPlain;
  if (!weight->is_object()) return BadInput("quantization_config: Quark's 'weight' is not an object");
  const std::string written = LowerCase(TextAt(*weight, "dtype"));
  const std::string type = written == "mx" ? LowerCase(TextAt(*weight, "mx_element_dtype")) : written;
  const int64_t group = IntAt(*weight, "group_size", 0);
  const bool by_row = TextAt(*weight, "qscheme") == "per_channel";
  if (type.starts_with("fp4")) return rules.Add(group == 16 ? kNvfp4 : kMxfp4);
  if (type.starts_with("fp6")) return rules.Add(kMxfp6);
  if (type.starts_with("fp8")) {
    if (TextAt(*weight, "qscheme") == "per_group")
      return rules.Add(group == 32 ? kMxfp8 : WeightFormat{"fp8", 8, 1, group, 32, 0, 0});
    return rules.Add(by_row ? kFp8Channel : kFp8Tensor);
  }
  const bool is_unsigned = type.starts_with("uint");
  if (type.starts_with("int") || is_unsigned) {
    const int bits = type.back() >= '1' && type.back() <= '8' ? type.back() - '0' : 4;
    if (bits == 8 && group <= 0) return rules.Add(kInt8Channel);
    return rules.Add(GroupedInt(bits, group, is_unsigned ? 16 + bits : 16));
  }
  if (type == "bfloat16" || type == "float16" || type == "float32") return kPlain;
  return BadInput(fmt::format("quantization_config: Quark's weight dtype '{}' is not known", written));
}

// ---- torchao

// A type by its class or function: "Int4WeightOnlyConfig", "float8_dynamic_activation_float8_weight".
Result<int> AddTorchAo(const Json& type, const Json& kwargs, QuantizationRules& rules) {
  if (type.is_null()) return kPlain;
  const std::string written = type.is_string() ? type.get<std::string>() : TextAt(type, "_type");
  std::string name;
  for (const char c : LowerCase(written)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
  }
  const Json* data = type.is_object() ? ObjectAt(type, "_data") : nullptr;
  const Json& settings = data == nullptr ? kwargs : *data;
  const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  const auto group = [&](int64_t fallback) { return IntAt(settings, "group_size", fallback); };
  if (has("nvfp4")) return rules.Add(kNvfp4);
  if (has("mxfp4")) return rules.Add(kMxfp4);
  if (has("mx")) return rules.Add(DumpJson(settings).find("float4") == std::string::npos ? kMxfp8 : kMxfp4);
  if (has("int4weight") || has("int4wo")) return rules.Add(GroupedInt(4, group(has("dynamicactivation") ? 32 : 128), 32));
  if (has("intx") || has("uintx")) {
    const std::string dtype = DumpJson(settings);
    const size_t at = dtype.find("int");
    const int bits = at != std::string::npos && at + 3 < dtype.size() && dtype[at + 3] >= '1' && dtype[at + 3] <= '8'
                         ? dtype[at + 3] - '0'
                         : 4;
    return rules.Add(GroupedInt(bits, group(32), 32));
  }
  if (has("int8")) {
    if (has("dynamicactivationint8") && rules.compute_type == rules.plain.label) rules.compute_type = "int8";
    return rules.Add(kInt8Channel);
  }
  if (has("float8") || has("fp8")) {
    if (has("dynamicactivation") && rules.compute_type == rules.plain.label) rules.compute_type = "fp8";
    return rules.Add(DumpJson(settings).find("PerTensor") == std::string::npos ? kFp8Channel : kFp8Tensor);
  }
  return BadInput(
      fmt::format("quantization_config: torchao's quant_type '{}' is not known; int4, int8, float8, intx, mxfp and "
                  "nvfp4 types are",
                  written));
}

// fqn -> type, "_default" for the others, null leaves a module as it is.
Status ReadTorchAoModules(const Json& modules, const Json& kwargs, QuantizationRules& rules) {
  for (const auto& [name, own] : modules.items()) {
    ASSIGN_OR_RETURN(const int format, AddTorchAo(own, kwargs, rules));
    if (name == "_default") {
      rules.SetLinear(format);
    } else {
      RETURN_IF_ERROR(rules.named.Add(name, format));
    }
  }
  return {};
}

// ---- KV cache

Result<std::string> KvName(const Json& scheme) {
  if (scheme.is_object()) {
    const int64_t bits = IntAt(scheme, "num_bits", 0);
    const std::string type = TextAt(scheme, "type", "float");
    if (bits == 8) return std::string(type == "int" ? "int8" : "fp8");
    if (bits == 4 && type == "float") return std::string("nvfp4");
    return BadInput(fmt::format("quantization_config.kv_cache_scheme: {} bits of type '{}' are not known", bits, type));
  }
  const std::string name = scheme.is_string() ? LowerCase(scheme.get<std::string>()) : "";
  if (name == "none" || name == "auto" || name.empty()) return std::string();
  if (name == "fp8" || name == "nvfp4" || name == "int8") return name;
  if (name == "fp8_e4m3" || name == "fp8_e5m2") return std::string("fp8");
  return BadInput(fmt::format("quantization_config: the KV cache type '{}' is not known; FP8, NVFP4 and INT8 are", name));
}

}  // namespace

Status ReadModuleList(const Json& quantization, std::string_view key, int value, ModulePatterns& patterns) {
  const Json* list = ValueAt(quantization, key);
  if (list == nullptr) return {};
  if (list->is_string()) return patterns.Add(list->get<std::string>(), value);
  if (!list->is_array()) return BadInput(fmt::format("quantization_config.{} is not a list", key));
  for (const Json& entry : *list) {
    if (!entry.is_string()) return BadInput(fmt::format("quantization_config.{} has an entry that is not a string", key));
    const auto text = entry.get<std::string>();
    if (IsClassName(text)) continue;
    if (const Status added = patterns.Add(text, value); !added.ok())
      return Annotate(fmt::format("quantization_config.{}", key), added.error());
  }
  return {};
}

Status ReadTarget(std::string_view target, int format, QuantizationRules& rules) {
  if (!IsClassName(target)) return rules.named.Add(target, format);
  if (target.find("MoE") != std::string_view::npos || target.find("Experts") != std::string_view::npos) {
    SetClass(rules, TensorClass::kRoutedExpert, format);
  } else if (target.find("Embedding") != std::string_view::npos) {
    SetClass(rules, TensorClass::kEmbedding, format);
  } else if (target.find("LMHead") != std::string_view::npos) {
    SetClass(rules, TensorClass::kHead, format);
  } else if (target.find("Linear") != std::string_view::npos) {
    if (LinearIsOpen(rules)) rules.SetLinear(format);
  } else {
    return rules.named.Add(target, format);
  }
  return {};
}

Status ReadKvScheme(const Json& quantization, QuantizationRules& rules) {
  for (const char* key : {"kv_cache_quant_algo", "kv_cache_scheme", "kv_cache_quant_method"}) {
    const Json* scheme = ValueAt(quantization, key);
    if (scheme == nullptr || !rules.kv_type.empty()) continue;
    ASSIGN_OR_RETURN(rules.kv_type, KvName(*scheme));
  }
  const Json* quark = ObjectAt(quantization, "kv_cache_quant_config");
  if (quark == nullptr || !rules.kv_type.empty()) return {};
  for (const auto& [name, own] : quark->items()) {
    const Json* outputs = ObjectAt(own, "output_tensors");
    if (outputs == nullptr) continue;
    ASSIGN_OR_RETURN(rules.kv_type, KvName(Json(TextAt(*outputs, "dtype"))));
  }
  return {};
}

Status ReadCompressedTensors(const Json& quantization, QuantizationRules& rules) {
  const Json* groups = ObjectAt(quantization, "config_groups");
  if (groups == nullptr) return ReadGroup(quantization, rules);
  // Names count before classes, whatever the order of the groups.
  for (const auto& [name, group] : groups->items()) {
    if (!group.is_object()) return BadInput(fmt::format("quantization_config.config_groups.{} is not an object", name));
    RETURN_IF_ERROR(ReadGroup(group, rules));
  }
  return {};
}

Status ReadModelOpt(const Json& quantization, QuantizationRules& rules) {
  if (const Json* nested = ObjectAt(quantization, "quantization")) {
    RETURN_IF_ERROR(ReadModelOpt(*nested, rules));
    for (const char* key : {"exclude_modules", "ignore"}) RETURN_IF_ERROR(ReadModuleList(*nested, key, kPlain, rules.excluded));
    return ReadKvScheme(*nested, rules);
  }
  const Json* layers = ObjectAt(quantization, "quantized_layers");
  const Json* groups = ObjectAt(quantization, "config_groups");
  const std::string algorithm = LowerCase(TextAt(quantization, "quant_algo"));
  if (layers != nullptr && !layers->empty()) return ReadQuantizedLayers(quantization, *layers, rules);
  if (groups != nullptr && !groups->empty()) return ReadCompressedTensors(quantization, rules);
  if (algorithm == "mixed_precision" && !TextAt(quantization, "moe_quant_algo").empty())
    return ReadQuantizedLayers(quantization, Json::object(), rules);
  if (algorithm == "mixed_precision")
    return BadInput(
        "quantization_config.quant_algo is MIXED_PRECISION, but neither 'quantized_layers' nor 'config_groups' says "
        "of what; hf_quant_config.json of the same checkpoint may");
  if (algorithm.empty() || algorithm == "none") {
    const bool cache_only =
        ValueAt(quantization, "kv_cache_quant_algo") != nullptr || ValueAt(quantization, "kv_cache_scheme") != nullptr;
    if (cache_only || quantization.contains("quant_algo")) return {};
  }
  ASSIGN_OR_RETURN(const int format, AddAlgorithm(quantization, quantization, rules, true));
  rules.SetLinear(format);
  return {};
}

Status ReadQuark(const Json& quantization, QuantizationRules& rules) {
  const Json* global = ObjectAt(quantization, "global_quant_config");
  if (global == nullptr) return BadInput("the field 'quantization_config.global_quant_config' is missing");
  ASSIGN_OR_RETURN(const int format, AddQuark(*global, rules));
  rules.SetLinear(format);
  const bool quantised_inputs = ObjectAt(*global, "input_tensors") != nullptr;
  if (format != kPlain && quantised_inputs) rules.compute_type = ComputeTypeOf(rules.formats[static_cast<size_t>(format)]);
  if (const Json* types = ObjectAt(quantization, "layer_type_quant_config")) {
    for (const auto& [name, own] : types->items()) {
      ASSIGN_OR_RETURN(const int typed, AddQuark(own, rules));
      if (name.find("Linear") != std::string::npos) rules.SetLinear(typed);
      if (name.find("Embedding") != std::string::npos) SetClass(rules, TensorClass::kEmbedding, typed);
    }
  }
  if (const Json* layers = ObjectAt(quantization, "layer_quant_config")) {
    for (const auto& [name, own] : layers->items()) {
      ASSIGN_OR_RETURN(const int named, AddQuark(own, rules));
      RETURN_IF_ERROR(rules.named.Add(name, named));
    }
  }
  return {};
}

Status ReadTorchAo(const Json& quantization, QuantizationRules& rules) {
  const Json* type = ValueAt(quantization, "quant_type");
  if (type == nullptr) return BadInput("the field 'quantization_config.quant_type' is missing");
  const Json* kwargs = ObjectAt(quantization, "quant_type_kwargs");
  const Json none = Json::object();
  const Json& settings = kwargs == nullptr ? none : *kwargs;
  if (const Json* by_default = ObjectAt(*type, "default")) type = by_default;
  const Json* data = ObjectAt(*type, "_data");
  for (const char* key : {"module_fqn_to_config", "fqn_to_config"}) {
    if (const Json* modules = data == nullptr ? nullptr : ObjectAt(*data, key))
      return ReadTorchAoModules(*modules, settings, rules);
  }
  ASSIGN_OR_RETURN(const int format, AddTorchAo(*type, settings, rules));
  rules.SetLinear(format);
  if (FlagAt(quantization, "include_input_output_embeddings", false)) {
    SetClass(rules, TensorClass::kEmbedding, format);
    SetClass(rules, TensorClass::kHead, format);
  }
  return {};
}

}  // namespace moecap::model
