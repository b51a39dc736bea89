// How one weight matrix is stored: bits of an element and what its scales take. Bits per weight: docs/metrics.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"

namespace moecap::model {

// One storage format of a matrix of `out` rows and `in` columns.
struct WeightFormat {
  std::string label;         // "bf16", "fp8", "int4-g128", "mxfp4", "nvfp4", "nf4", "int8"
  double element_bits = 16;  // of one weight
  int64_t block_rows =
      0;  // one scale per block_rows x block_columns; 0 = the whole dimension; both 0 with scale_bits = 0: none
  int64_t block_columns = 0;
  double scale_bits = 0;   // per block, zero points included
  double tensor_bits = 0;  // per matrix besides
  double input_bits = 0;   // per column besides (GPTQ's g_idx)

  double Bytes(int64_t out, int64_t in) const;
};

extern const WeightFormat kFp8Tensor, kFp8Channel, kFp8Block128, kInt8Channel, kMxfp4, kMxfp6, kMxfp8, kNvfp4, kNf4;

// Packed integers with `scale_bits` (zero point included) per group of inputs; group 0: per row. Bits 1..8 make sense.
WeightFormat GroupedInt(int64_t bits, int64_t group, double scale_bits);

// "bfloat16", "torch.float16", "float32" -> bf16, f16, f32. Error kBadInput: another dtype.
Result<WeightFormat> PlainFormat(std::string_view dtype);

// What a checkpoint's algorithm stores, and the type in which its products run: empty for weight-only formats.
struct NamedFormat {
  WeightFormat format;
  std::string compute_type;
};
// NVIDIA ModelOpt's quant_algo, in any letter case; `group` where the name leaves it open (0: its default). Null: unknown.
std::optional<NamedFormat> FormatByAlgorithm(std::string_view algorithm, int64_t group = 0);
// The names that it knows.
std::vector<std::string> KnownAlgorithms();

// What `--weights TYPE` means: the format, and the classes that released checkpoints of that type store in it. Null: unknown.
// "bf16" and "f16" apply to everything; "fp8", "int8", "int4" and "nvfp4" to attention, experts and dense FFN; "mxfp4" to
// routed experts; GGUF types to every matrix.
struct WeightChoice {
  std::string label;
  double bits_per_weight;
  std::vector<TensorClass> classes;
};
std::optional<WeightChoice> WeightChoiceByName(std::string_view name);
void ApplyWeightChoice(ModelSpec& spec, const WeightChoice& choice);

}  // namespace moecap::model
