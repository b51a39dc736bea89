#include "model/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "model/ggml_type.h"

namespace moecap::model {
namespace {

const WeightFormat kFp8Tensor{"fp8", 8, 0, 0, 0, 32, 0};
const WeightFormat kFp8Channel{"fp8", 8, 1, 0, 32, 0, 0};
const WeightFormat kInt8Channel{"int8", 8, 1, 0, 32, 0, 0};
const WeightFormat kMxfp4{"mxfp4", 4, 1, 32, 8, 0, 0};
const WeightFormat kNvfp4{"nvfp4", 4, 1, 16, 8, 32, 0};

std::string TextAt(const Json& object, const char* key, const char* fallback = "") {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : fallback;
}

int64_t IntAt(const Json& object, const char* key, int64_t fallback) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : fallback;
}

bool FlagAt(const Json& object, const char* key, bool fallback) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : fallback;
}

double Blocks(int64_t size, int64_t block) {
  if (block <= 0) return 1;
  return static_cast<double>((size + block - 1) / block);
}

// Packed integers with a scale per group of inputs: int4 g128 symmetric bf16 scales = 4.125 bits.
WeightFormat Grouped(int64_t bits, int64_t group, double scale_bits) {
  WeightFormat format;
  format.label = group > 0 ? fmt::format("int{}-g{}", bits, group) : fmt::format("int{}", bits);
  format.element_bits = static_cast<double>(bits);
  format.block_rows = 1;
  format.block_columns = std::max<int64_t>(group, 0);
  format.scale_bits = scale_bits;
  return format;
}

Result<WeightFormat> Fp8Format(const Json& quantization) {
  const auto blocks = quantization.find("weight_block_size");
  if (blocks == quantization.end() || blocks->is_null()) {
    return TextAt(quantization, "strategy") == "channel" ? kFp8Channel : kFp8Tensor;
  }
  if (!blocks->is_array() || blocks->size() != 2 || !(*blocks)[0].is_number_integer() || !(*blocks)[1].is_number_integer()) {
    return BadInput("quantization_config.weight_block_size is not a pair of numbers");
  }
  return WeightFormat{"fp8", 8, (*blocks)[0].get<int64_t>(), (*blocks)[1].get<int64_t>(), 32, 0, 0};
}

Result<WeightFormat> SchemeFormat(const Json& weights) {
  const int64_t bits = IntAt(weights, "num_bits", 0);
  const std::string type = TextAt(weights, "type");
  const std::string strategy = TextAt(weights, "strategy");
  const int64_t group = IntAt(weights, "group_size", 0);
  const bool symmetric = FlagAt(weights, "symmetric", true);
  if (type == "float" && bits == 4) return group == 32 ? kMxfp4 : kNvfp4;
  if (type == "float" && bits == 8) {
    if (strategy == "block") {
      Json fp8;
      const auto blocks = weights.find("block_structure");
      fp8["weight_block_size"] = blocks != weights.end() ? *blocks : Json(nullptr);
      return Fp8Format(fp8);
    }
    return strategy == "channel" ? kFp8Channel : kFp8Tensor;
  }
  if (type != "int" || (bits != 4 && bits != 8)) {
    return BadInput(fmt::format("quantization_config: weights of type '{}' with {} bits are not known", type, bits));
  }
  if (bits == 8 && group <= 0) return kInt8Channel;
  return Grouped(bits, group, symmetric ? 16 : 16 + static_cast<double>(bits));
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace

double WeightFormat::Bytes(int64_t out, int64_t in) const {
  const double weights = static_cast<double>(out) * static_cast<double>(in) * element_bits;
  const double scales = scale_bits > 0 ? Blocks(out, block_rows) * Blocks(in, block_columns) * scale_bits : 0;
  return (weights + scales + tensor_bits + static_cast<double>(in) * input_bits) / 8;
}

Result<WeightFormats> WeightFormats::Plain(std::string_view dtype) {
  WeightFormats formats;
  if (dtype.starts_with("torch.")) dtype.remove_prefix(6);
  if (dtype == "bfloat16") {
    formats.plain_.label = "bf16";
  } else if (dtype == "float16") {
    formats.plain_.label = "f16";
  } else if (dtype == "float32") {
    formats.plain_.label = "f32";
    formats.plain_.element_bits = 32;
  } else {
    return BadInput(fmt::format("the field 'torch_dtype' is '{}', not one of bfloat16, float16, float32", dtype));
  }
  formats.compute_type_ = formats.plain_.label;
  return formats;
}

bool WeightFormats::Matches(const std::vector<ModulePattern>& patterns, std::string_view module) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const ModulePattern& pattern) { return pattern.Matches(module); });
}

Result<std::vector<ModulePattern>> WeightFormats::ReadPatterns(const Json& quantization, std::string_view key) {
  std::vector<ModulePattern> patterns;
  const auto list = quantization.find(std::string(key));
  if (list == quantization.end() || list->is_null()) return patterns;
  if (!list->is_array()) return BadInput(fmt::format("quantization_config.{} is not a list", key));
  for (const Json& entry : *list) {
    if (!entry.is_string()) return BadInput(fmt::format("quantization_config.{} has an entry that is not a string", key));
    if (entry == "Linear") continue;  // a class of modules: every linear layer
    Result<ModulePattern> pattern = ModulePattern::Parse(entry.get<std::string>());
    if (!pattern.ok()) return Annotate(fmt::format("quantization_config.{}", key), pattern.error());
    patterns.push_back(std::move(pattern).value());
  }
  return patterns;
}

Status WeightFormats::ReadCompressedTensors(const Json& quantization) {
  ASSIGN_OR_RETURN(ignored_, ReadPatterns(quantization, "ignore"));
  const auto groups = quantization.find("config_groups");
  const auto add = [&](const Json& group) -> Status {
    const auto weights = group.find("weights");
    if (weights == group.end() || !weights->is_object()) return BadInput("quantization_config: a group without 'weights'");
    Group added;
    ASSIGN_OR_RETURN(added.format, SchemeFormat(*weights));
    ASSIGN_OR_RETURN(added.targets, ReadPatterns(group, "targets"));
    const auto inputs = group.find("input_activations");
    const bool quantised_inputs = inputs != group.end() && inputs->is_object();
    if (quantised_inputs && compute_type_ == plain_.label) {
      compute_type_ = added.format.element_bits < 8 ? "fp4" : added.format.label;
    }
    groups_.push_back(std::move(added));
    return {};
  };
  if (groups == quantization.end() || !groups->is_object()) return add(quantization);
  for (const auto& [name, group] : groups->items()) RETURN_IF_ERROR(add(group));
  return {};
}

Status WeightFormats::ReadSimple(const Json& quantization, const std::string& method) {
  Group group;
  const int64_t bits = IntAt(quantization, "bits", IntAt(quantization, "w_bit", 4));
  const int64_t size = IntAt(quantization, "group_size", IntAt(quantization, "q_group_size", 128));
  if (method == "fp8" || method == "fbgemm_fp8") {
    ASSIGN_OR_RETURN(group.format, Fp8Format(quantization));
    if (method == "fbgemm_fp8") group.format = kFp8Channel;
    compute_type_ = "fp8";
  } else if (method == "mxfp4") {
    group.format = kMxfp4;
    group.experts_only = true;
  } else if (method == "gptq" || method == "awq") {
    // fp16 scale and a packed zero point per group; GPTQ also stores each input's group.
    group.format = Grouped(bits, size, 16 + static_cast<double>(bits));
    if (method == "gptq") group.format.input_bits = 32;
  } else if (method == "bitsandbytes") {
    const bool four = FlagAt(quantization, "load_in_4bit", false) || FlagAt(quantization, "_load_in_4bit", false);
    group.format = kInt8Channel;
    if (four) group.format = WeightFormat{"nf4", 4, 1, 64, 32, 0, 0};
    if (four && FlagAt(quantization, "bnb_4bit_use_double_quant", false)) group.format.scale_bits = 8 + 32.0 / 256;
  } else if (method == "modelopt") {
    const std::string algorithm = TextAt(quantization, "quant_algo", TextAt(quantization, "quant_method_algo", "").c_str());
    if (algorithm == "FP8") {
      group.format = kFp8Tensor;
    } else if (algorithm == "NVFP4") {
      group.format = kNvfp4;
    } else {
      return BadInput(fmt::format("quantization_config.quant_algo '{}' is not known (FP8 and NVFP4 are)", algorithm));
    }
    compute_type_ = algorithm == "FP8" ? "fp8" : "fp4";
  } else {
    return BadInput(fmt::format("quantization_config.quant_method '{}' is not known", method));
  }
  groups_.push_back(std::move(group));
  return {};
}

Result<WeightFormats> WeightFormats::FromConfig(const Json& quantization, std::string_view dtype,
                                                std::string_view expert_dtype) {
  ASSIGN_OR_RETURN(WeightFormats formats, Plain(dtype));
  if (!quantization.is_object()) return BadInput("quantization_config is not an object");
  const std::string method = Lower(TextAt(quantization, "quant_method"));
  if (method.empty()) return BadInput("the field 'quantization_config.quant_method' is missing");
  if (expert_dtype == "fp4") {
    Group experts;
    experts.format = kMxfp4;
    experts.experts_only = true;
    formats.groups_.push_back(std::move(experts));
  }
  if (method == "compressed-tensors" || (method == "modelopt" && quantization.contains("config_groups"))) {
    RETURN_IF_ERROR(formats.ReadCompressedTensors(quantization));
  } else {
    RETURN_IF_ERROR(formats.ReadSimple(quantization, method));
  }
  for (const char* key : {"modules_to_not_convert", "exclude_modules", "ignore"}) {
    ASSIGN_OR_RETURN(std::vector<ModulePattern> more, ReadPatterns(quantization, key));
    formats.ignored_.insert(formats.ignored_.end(), more.begin(), more.end());
  }
  const auto kv = quantization.find("kv_cache_scheme");
  if (kv != quantization.end() && kv->is_object()) formats.kv_bits_ = static_cast<double>(IntAt(*kv, "num_bits", 0));
  return formats;
}

const WeightFormat& WeightFormats::Of(TensorClass c, std::string_view module) const {
  if (groups_.empty() || c == TensorClass::kNorm || Matches(ignored_, module)) return plain_;
  const bool linear = c == TensorClass::kAttention || c == TensorClass::kRoutedExpert || c == TensorClass::kSharedExpert ||
                      c == TensorClass::kDenseFfn;
  for (const Group& group : groups_) {
    if (group.experts_only && c != TensorClass::kRoutedExpert) continue;
    if (group.targets.empty() ? linear : Matches(group.targets, module)) return group.format;
  }
  return plain_;
}

std::optional<WeightChoice> WeightChoiceByName(std::string_view name) {
  using enum TensorClass;
  const std::string lower = Lower(name);
  const std::vector<TensorClass> linear = {kAttention, kRoutedExpert, kSharedExpert, kDenseFfn};
  const std::vector<TensorClass> all(kTensorClasses.begin(), kTensorClasses.end());
  if (lower == "bf16" || lower == "bfloat16") return WeightChoice{"bf16", 16, all};
  if (lower == "f16" || lower == "fp16" || lower == "float16") return WeightChoice{"f16", 16, all};
  if (lower == "f32" || lower == "fp32" || lower == "float32") return WeightChoice{"f32", 32, all};
  if (lower == "fp8" || lower == "int8") return WeightChoice{lower, 8, linear};
  if (lower == "fp8-block") return WeightChoice{lower, 8 + 32.0 / (128 * 128), linear};
  if (lower == "int4" || lower == "awq" || lower == "gptq") return WeightChoice{lower, 4.15625, linear};
  if (lower == "nvfp4") return WeightChoice{lower, 4.5, linear};
  if (lower == "mxfp4") return WeightChoice{lower, 4.25, {kRoutedExpert}};
  const std::optional<GgmlType> type = GgmlTypeByName(name);
  if (!type || type->integer) return std::nullopt;
  std::vector<TensorClass> matrices = linear;
  matrices.insert(matrices.end(), {kEmbedding, kHead});
  return WeightChoice{std::string(type->name), type->BitsPerElement(), matrices};
}

void ApplyWeightChoice(ModelSpec& spec, const WeightChoice& choice) {
  for (const TensorClass c : choice.classes) SetWeightPrecision(spec, c, choice.label, choice.bits_per_weight);
}

std::optional<double> KvBitsByName(std::string_view name) {
  const std::string lower = Lower(name);
  if (lower == "bf16" || lower == "f16" || lower == "fp16" || lower == "bfloat16" || lower == "float16") return 16;
  if (lower == "fp8" || lower == "int8" || lower.starts_with("fp8_")) return 8;
  if (lower == "f32" || lower == "fp32") return 32;
  const std::optional<GgmlType> type = GgmlTypeByName(name);
  return type && !type->integer ? std::optional<double>(type->BitsPerElement()) : std::nullopt;
}

}  // namespace moecap::model
