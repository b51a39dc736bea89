// Methods with one format and a list of exceptions, or exceptions with a format of their own.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/json_at.h"
#include "model/quantization_methods.h"

namespace moecap::model {
namespace {

// Sorted by name.
constexpr std::array kMethods = {
    QuantizationMethod{"auto-round", ReadAutoRound},
    QuantizationMethod{"auto_round", ReadAutoRound},
    QuantizationMethod{"autoround", ReadAutoRound},
    QuantizationMethod{"awq", ReadAwq},
    QuantizationMethod{"awq_marlin", ReadAwq},
    QuantizationMethod{"bitsandbytes", ReadBitsAndBytes},
    QuantizationMethod{"blockwise_int8", ReadInt8},
    QuantizationMethod{"compressed-tensors", ReadCompressedTensors},
    QuantizationMethod{"compressed_tensors", ReadCompressedTensors},
    QuantizationMethod{"eetq", ReadInt8},
    QuantizationMethod{"experts_int8", ReadInt8},
    QuantizationMethod{"fbgemm_fp8", ReadFp8},
    QuantizationMethod{"fp8", ReadFp8},
    QuantizationMethod{"gptq", ReadGptq},
    QuantizationMethod{"gptq_marlin", ReadGptq},
    QuantizationMethod{"gptqmodel", ReadGptq},
    QuantizationMethod{"hqq", ReadHqq},
    QuantizationMethod{"inc", ReadAutoRound},
    QuantizationMethod{"intel/auto-round", ReadAutoRound},
    QuantizationMethod{"mlx", ReadMlx},
    QuantizationMethod{"modelopt", ReadModelOpt},
    QuantizationMethod{"modelopt_fp4", ReadModelOpt},
    QuantizationMethod{"modelopt_fp8", ReadModelOpt},
    QuantizationMethod{"modelopt_mixed", ReadModelOpt},
    QuantizationMethod{"modelopt_mxfp8", ReadModelOpt},
    QuantizationMethod{"mxfp4", ReadMxfp4},
    QuantizationMethod{"mxfp8", ReadMxfp8},
    QuantizationMethod{"nvfp4", ReadModelOpt},
    QuantizationMethod{"quanto", ReadQuanto},
    QuantizationMethod{"quark", ReadQuark},
    QuantizationMethod{"torchao", ReadTorchAo},
    QuantizationMethod{"w4afp8", ReadW4aFp8},
    QuantizationMethod{"w8a8_fp8", ReadFp8},
    QuantizationMethod{"w8a8_int8", ReadInt8},
};

int64_t Bits(const Json& object, int64_t fallback) {
  for (const char* key : {"bits", "w_bit", "nbits", "wbits"}) {
    if (const int64_t bits = IntAt(object, key, 0); bits > 0) return bits;
  }
  return fallback;
}

int64_t Group(const Json& object, int64_t fallback) {
  for (const char* key : {"group_size", "q_group_size"}) {
    if (const Json* value = ValueAt(object, key); value != nullptr && value->is_number_integer()) return value->get<int64_t>();
  }
  return fallback;
}

Status CheckBits(int64_t bits) {
  if (bits >= 1 && bits <= 8) return {};
  return BadInput(fmt::format("quantization_config has weights of {} bits; 1 to 8 are possible", bits));
}

// fp16 scale and a packed zero point per group; GPTQ also stores each input's group.
WeightFormat GptqFormat(int64_t bits, int64_t group) {
  WeightFormat format = GroupedInt(bits, group, 16 + static_cast<double>(bits));
  format.input_bits = 32;
  return format;
}

// A pattern as a regular expression if it is written as one.
std::string AsRegex(const std::string& text) {
  return text.find_first_of("^$*+?()[]\\|") == std::string::npos ? text : "re:" + text;
}

WeightFormat MlxFormat(const Json& object, const Json& defaults) {
  const std::string mode = TextAt(object, "mode", TextAt(defaults, "mode", "affine"));
  if (mode == "mxfp4") return kMxfp4;
  if (mode == "mxfp8") return kMxfp8;
  if (mode == "nvfp4") return WeightFormat{"nvfp4", 4, 1, 16, 8, 0, 0};
  // A scale and a bias of 16 bits per group.
  return GroupedInt(Bits(object, Bits(defaults, 4)), Group(object, Group(defaults, 64)), 32);
}

}  // namespace

const QuantizationMethod* FindQuantizationMethod(std::string_view name) {
  const auto* found = std::ranges::find(kMethods, name, &QuantizationMethod::name);
  return found == kMethods.end() ? nullptr : found;
}

std::vector<std::string> QuantizationMethodNames() {
  std::vector<std::string> names;
  for (const QuantizationMethod& method : kMethods) names.emplace_back(method.name);
  return names;
}

Result<WeightFormat> Fp8Format(const Json& quantization) {
  const Json* blocks = ValueAt(quantization, "weight_block_size");
  if (blocks == nullptr) {
    const std::string strategy = TextAt(quantization, "strategy", TextAt(quantization, "weight_strategy"));
    return strategy == "channel" ? kFp8Channel : kFp8Tensor;
  }
  if (!blocks->is_array() || blocks->size() != 2 || !(*blocks)[0].is_number_integer() || !(*blocks)[1].is_number_integer()) {
    return BadInput("quantization_config.weight_block_size is not a pair of numbers");
  }
  const int64_t rows = (*blocks)[0].get<int64_t>(), columns = (*blocks)[1].get<int64_t>();
  if (rows == 1 && columns == 32) return kMxfp8;
  return WeightFormat{"fp8", 8, rows, columns, 32, 0, 0};
}

Status ReadFp8(const Json& quantization, QuantizationRules& rules) {
  WeightFormat format = kFp8Channel;  // FBGEMM and W8A8
  if (TextAt(quantization, "quant_method", "fp8") == "fp8") {
    ASSIGN_OR_RETURN(format, Fp8Format(quantization));
  }
  rules.SetLinear(rules.Add(format));
  rules.compute_type = "fp8";
  return {};
}

Status ReadMxfp4(const Json&, QuantizationRules& rules) {
  rules.by_class[static_cast<size_t>(TensorClass::kRoutedExpert)] = rules.Add(kMxfp4);
  return {};
}

Status ReadMxfp8(const Json&, QuantizationRules& rules) {
  rules.SetLinear(rules.Add(kMxfp8));
  rules.compute_type = "fp8";
  return {};
}

Status ReadInt8(const Json& quantization, QuantizationRules& rules) {
  const std::string method = LowerCase(TextAt(quantization, "quant_method"));
  WeightFormat format = kInt8Channel;
  if (method == "blockwise_int8") {
    ASSIGN_OR_RETURN(format, Fp8Format(quantization));
    format.label = "int8";
  }
  const int added = rules.Add(format);
  if (method == "experts_int8") {
    rules.by_class[static_cast<size_t>(TensorClass::kRoutedExpert)] = added;
  } else {
    rules.SetLinear(added);
    if (method != "eetq") rules.compute_type = "int8";
  }
  return {};
}

Status ReadQuanto(const Json& quantization, QuantizationRules& rules) {
  const std::string weights = LowerCase(TextAt(quantization, "weights", "int8"));
  if (weights == "float8") {
    rules.SetLinear(rules.Add(kFp8Channel));
  } else if (weights == "int8") {
    rules.SetLinear(rules.Add(kInt8Channel));
  } else if (weights == "int4" || weights == "int2") {
    rules.SetLinear(rules.Add(GroupedInt(weights[3] - '0', 128, 32)));
  } else {
    return BadInput(fmt::format("quantization_config.weights '{}' is not one of float8, int8, int4, int2", weights));
  }
  return {};
}

// Experts in int4, everything else fp8.
Status ReadW4aFp8(const Json& quantization, QuantizationRules& rules) {
  ASSIGN_OR_RETURN(const WeightFormat fp8, Fp8Format(quantization));
  rules.SetLinear(rules.Add(ValueAt(quantization, "weight_block_size") == nullptr ? kFp8Block128 : fp8));
  rules.by_class[static_cast<size_t>(TensorClass::kRoutedExpert)] = rules.Add(GroupedInt(4, Group(quantization, 128), 16));
  rules.compute_type = "fp8";
  return {};
}

// `dynamic`: regular expressions, "-:" leaves a module as it is, "+:" (or nothing) gives it bits of its own; the first counts.
Status ReadGptq(const Json& quantization, QuantizationRules& rules) {
  const int64_t bits = Bits(quantization, 4), group = Group(quantization, 128);
  RETURN_IF_ERROR(CheckBits(bits));
  const int format = rules.Add(GptqFormat(bits, group));
  if (const Json* only = ValueAt(quantization, "modules_in_block_to_quantize"); only != nullptr && only->is_array()) {
    for (const Json& entry : *only) {
      for (const Json& name : entry.is_array() ? entry : Json::array({entry})) {
        if (name.is_string()) RETURN_IF_ERROR(rules.named.Add(name.get<std::string>(), format));
      }
    }
  } else {
    rules.SetLinear(format);
  }
  if (FlagAt(quantization, "lm_head", false)) rules.by_class[static_cast<size_t>(TensorClass::kHead)] = format;
  const Json* dynamic = ObjectAt(quantization, "dynamic");
  if (dynamic == nullptr) return {};
  for (const auto& [key, settings] : dynamic->items()) {
    const bool leaves = key.starts_with("-:");
    const std::string pattern = "re:" + (leaves || key.starts_with("+:") ? key.substr(2) : key);
    const int64_t own_bits = Bits(settings, bits);
    RETURN_IF_ERROR(CheckBits(own_bits));
    RETURN_IF_ERROR(rules.named.Add(pattern, leaves ? kPlain : rules.Add(GptqFormat(own_bits, Group(settings, group)))));
  }
  return {};
}

Status ReadAwq(const Json& quantization, QuantizationRules& rules) {
  const int64_t bits = Bits(quantization, 4);
  RETURN_IF_ERROR(CheckBits(bits));
  rules.SetLinear(rules.Add(GroupedInt(bits, Group(quantization, 128), 16 + static_cast<double>(bits))));
  return {};
}

// The packing decides the layout, `extra_config` has modules with bits of their own; 16 bits: left as they are.
Status ReadAutoRound(const Json& quantization, QuantizationRules& rules) {
  const std::string packing = LowerCase(TextAt(quantization, "packing_format", TextAt(quantization, "backend")));
  const std::string global_type = LowerCase(TextAt(quantization, "data_type", "int"));
  const auto format_of = [&](const Json& object) -> Result<WeightFormat> {
    const int64_t bits = Bits(object, Bits(quantization, 4)), group = Group(object, Group(quantization, 128));
    const std::string type = LowerCase(TextAt(object, "data_type", global_type));
    if (type.starts_with("nv_fp") || type.starts_with("nvfp")) return kNvfp4;
    if (type.starts_with("mx_fp") || type.starts_with("mxfp")) return bits == 8 ? kMxfp8 : kMxfp4;
    if (type.starts_with("fp") && bits == 8) return group > 0 ? WeightFormat{"fp8", 8, 1, group, 32, 0, 0} : kFp8Channel;
    RETURN_IF_ERROR(CheckBits(bits));
    if (packing == "mlx") return MlxFormat(object, quantization);
    if (packing.find("gptq") != std::string::npos) return GptqFormat(bits, group);
    return GroupedInt(bits, group, 16 + static_cast<double>(bits));
  };
  ASSIGN_OR_RETURN(const WeightFormat global, format_of(quantization));
  rules.SetLinear(rules.Add(global));
  const Json* extra = ObjectAt(quantization, "extra_config");
  if (extra == nullptr) return {};
  for (const auto& [name, settings] : extra->items()) {
    int format = kPlain;
    if (Bits(settings, Bits(quantization, 4)) < 16) {
      ASSIGN_OR_RETURN(const WeightFormat own, format_of(settings));
      format = rules.Add(own);
    }
    RETURN_IF_ERROR(rules.named.Add(AsRegex(name), format));
  }
  return {};
}

Status ReadBitsAndBytes(const Json& quantization, QuantizationRules& rules) {
  const bool four = FlagAt(quantization, "load_in_4bit", false) || FlagAt(quantization, "_load_in_4bit", false);
  WeightFormat format = four ? kNf4 : kInt8Channel;
  if (four && TextAt(quantization, "bnb_4bit_quant_type", "nf4") == "fp4") format.label = "fp4";
  if (four && FlagAt(quantization, "bnb_4bit_use_double_quant", false)) format.scale_bits = 8 + 32.0 / 256;
  rules.SetLinear(rules.Add(format));
  return {};
}

// One set of bits for all, or one a kind of module; scale and zero point of 16 bits a group.
Status ReadHqq(const Json& quantization, QuantizationRules& rules) {
  const Json* nested = ObjectAt(quantization, "quant_config");
  const Json& settings = nested == nullptr ? quantization : *nested;
  const auto read = [&](const Json& object) -> Result<int> {
    const Json* weights = ObjectAt(object, "weight_quant_params");
    const Json& own = weights == nullptr ? object : *weights;
    const int64_t bits = Bits(own, 4);
    RETURN_IF_ERROR(CheckBits(bits));
    return rules.Add(GroupedInt(bits, Group(own, 64), 32));
  };
  const bool by_module = ObjectAt(settings, "weight_quant_params") == nullptr && ValueAt(settings, "nbits") == nullptr &&
                         ValueAt(settings, "bits") == nullptr && settings.is_object() && &settings != &quantization;
  if (!by_module) {
    ASSIGN_OR_RETURN(const int format, read(settings));
    rules.SetLinear(format);
    return {};
  }
  for (const auto& [name, own] : settings.items()) {
    if (!own.is_object()) continue;
    ASSIGN_OR_RETURN(const int format, read(own));
    RETURN_IF_ERROR(rules.named.Add(name, format));
  }
  return {};
}

// Every matrix, embedding and head included; a module's own entry is `false` or its own settings.
Status ReadMlx(const Json& quantization, QuantizationRules& rules) {
  const int64_t bits = Bits(quantization, 4);
  RETURN_IF_ERROR(CheckBits(bits));
  const int format = rules.Add(MlxFormat(quantization, quantization));
  rules.SetLinear(format);
  for (const TensorClass c : {TensorClass::kEmbedding, TensorClass::kHead, TensorClass::kRouter})
    rules.by_class[static_cast<size_t>(c)] = format;
  for (const auto& [name, own] : quantization.items()) {
    if (own.is_boolean() && name.find('.') != std::string::npos && !own.get<bool>()) {
      RETURN_IF_ERROR(rules.named.Add(name, kPlain));
    } else if (own.is_object()) {
      RETURN_IF_ERROR(CheckBits(Bits(own, bits)));
      RETURN_IF_ERROR(rules.named.Add(name, rules.Add(MlxFormat(own, quantization))));
    }
  }
  return {};
}

}  // namespace moecap::model
