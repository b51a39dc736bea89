#include "model/weight_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/ggml_type.h"
#include "model/json_at.h"

namespace moecap::model {

const WeightFormat kFp8Tensor{"fp8", 8, 0, 0, 0, 32, 0};
const WeightFormat kFp8Channel{"fp8", 8, 1, 0, 32, 0, 0};
const WeightFormat kFp8Block128{"fp8", 8, 128, 128, 32, 0, 0};
const WeightFormat kInt8Channel{"int8", 8, 1, 0, 32, 0, 0};
const WeightFormat kMxfp4{"mxfp4", 4, 1, 32, 8, 0, 0};
const WeightFormat kMxfp6{"mxfp6", 6, 1, 32, 8, 0, 0};
const WeightFormat kMxfp8{"mxfp8", 8, 1, 32, 8, 0, 0};
const WeightFormat kNvfp4{"nvfp4", 4, 1, 16, 8, 32, 0};
const WeightFormat kNf4{"nf4", 4, 1, 64, 32, 0, 0};

namespace {

double Blocks(int64_t size, int64_t block) {
  if (block <= 0) return 1;
  return static_cast<double>((size + block - 1) / block);
}

struct Algorithm {
  std::string_view name;
  const WeightFormat* format;  // null: integers of `bits` in groups
  std::string_view compute_type;
  int64_t bits = 0;
  int64_t group = 0;
};
constexpr std::array kAlgorithms = {
    Algorithm{"FP8", &kFp8Tensor, "fp8"},
    Algorithm{"FP8_PER_CHANNEL_PER_TOKEN", &kFp8Channel, "fp8"},
    Algorithm{"FP8_PB_WO", &kFp8Block128, ""},
    Algorithm{"FP8_PB_REAL", &kFp8Block128, "fp8"},
    Algorithm{"FP8_BLOCK_SCALES", &kFp8Block128, "fp8"},
    Algorithm{"MXFP8", &kMxfp8, "fp8"},
    Algorithm{"W8A8_MXFP8", &kMxfp8, "fp8"},
    Algorithm{"NVFP4", &kNvfp4, "fp4"},
    Algorithm{"NVFP4_AWQ", &kNvfp4, "fp4"},
    Algorithm{"NVFP4_SVDQUANT", &kNvfp4, "fp4"},
    Algorithm{"W4A4_NVFP4", &kNvfp4, "fp4"},
    Algorithm{"W4A16_NVFP4", &kNvfp4, ""},
    Algorithm{"W4A8_NVFP4_FP8", &kNvfp4, "fp8"},
    Algorithm{"MXFP4", &kMxfp4, "fp4"},
    Algorithm{"W4A16_MXFP4", &kMxfp4, ""},
    Algorithm{"W4A8_MXFP4_FP8", &kMxfp4, "fp8"},
    Algorithm{"W4A8_MXFP4_MXFP8", &kMxfp4, "fp8"},
    Algorithm{"W4A16", nullptr, "", 4, 128},
    Algorithm{"W4A16_AWQ", nullptr, "", 4, 128},
    Algorithm{"W4A16_GPTQ", nullptr, "", 4, 128},
    Algorithm{"W4A8_AWQ", nullptr, "fp8", 4, 128},
    Algorithm{"W8A16", nullptr, "", 8, 0},
    Algorithm{"W8A16_GPTQ", nullptr, "", 8, 0},
    Algorithm{"INT8_WO", nullptr, "", 8, 0},
    Algorithm{"INT8_SQ", nullptr, "int8", 8, 0},
    Algorithm{"W8A8_SQ_PER_CHANNEL", nullptr, "int8", 8, 0},
    Algorithm{"W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN", nullptr, "int8", 8, 0},
    Algorithm{"W8A8_SQ_PER_TENSOR_PLUGIN", nullptr, "int8", 8, 0},
};

}  // namespace

double WeightFormat::Bytes(int64_t out, int64_t in) const {
  const double weights = static_cast<double>(out) * static_cast<double>(in) * element_bits;
  const double scales = scale_bits > 0 ? Blocks(out, block_rows) * Blocks(in, block_columns) * scale_bits : 0;
  return (weights + scales + tensor_bits + static_cast<double>(in) * input_bits) / 8;
}

WeightFormat GroupedInt(int64_t bits, int64_t group, double scale_bits) {
  WeightFormat format;
  format.label = group > 0 ? fmt::format("int{}-g{}", bits, group) : fmt::format("int{}", bits);
  format.element_bits = static_cast<double>(bits);
  format.block_rows = 1;
  format.block_columns = std::max<int64_t>(group, 0);
  format.scale_bits = scale_bits;
  return format;
}

Result<WeightFormat> PlainFormat(std::string_view dtype) {
  if (dtype.starts_with("torch.")) dtype.remove_prefix(6);
  WeightFormat format;
  if (dtype == "bfloat16" || dtype == "bf16") {
    format.label = "bf16";
  } else if (dtype == "float16" || dtype == "fp16" || dtype == "half") {
    format.label = "f16";
  } else if (dtype == "float32" || dtype == "fp32" || dtype == "float") {
    format.label = "f32";
    format.element_bits = 32;
  } else {
    return BadInput(fmt::format("the field 'torch_dtype' is '{}', not one of bfloat16, float16, float32", dtype));
  }
  return format;
}

std::optional<NamedFormat> FormatByAlgorithm(std::string_view algorithm, int64_t group) {
  const std::string lower = LowerCase(algorithm);
  for (const Algorithm& known : kAlgorithms) {
    if (LowerCase(known.name) != lower) continue;
    if (known.format != nullptr) return NamedFormat{*known.format, std::string(known.compute_type)};
    const int64_t size = group > 0 ? group : known.group;
    return NamedFormat{size > 0 ? GroupedInt(known.bits, size, 16) : kInt8Channel, std::string(known.compute_type)};
  }
  return std::nullopt;
}

std::vector<std::string> KnownAlgorithms() {
  std::vector<std::string> names;
  for (const Algorithm& known : kAlgorithms) names.emplace_back(known.name);
  return names;
}

std::optional<WeightChoice> WeightChoiceByName(std::string_view name) {
  using enum TensorClass;
  const std::string lower = LowerCase(name);
  const std::vector<TensorClass> linear = {kAttention, kRoutedExpert, kSharedExpert, kDenseFfn};
  const std::vector<TensorClass> all(kTensorClasses.begin(), kTensorClasses.end());
  if (lower == "bf16" || lower == "bfloat16") return WeightChoice{"bf16", 16, all};
  if (lower == "f16" || lower == "fp16" || lower == "float16") return WeightChoice{"f16", 16, all};
  if (lower == "f32" || lower == "fp32" || lower == "float32") return WeightChoice{"f32", 32, all};
  if (lower == "fp8" || lower == "int8") return WeightChoice{lower, 8, linear};
  if (lower == "fp8-block") return WeightChoice{lower, 8 + 32.0 / (128 * 128), linear};
  if (lower == "mxfp8") return WeightChoice{lower, 8.25, linear};
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

}  // namespace moecap::model
