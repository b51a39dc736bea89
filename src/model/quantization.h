// quantization_config of a config.json: how many bytes a weight matrix takes, scales included, and which matrices stay as they
// are. Layouts and bits per weight: docs/metrics.md, "Bits per weight".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"
#include "model/module_pattern.h"

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

// The formats of a checkpoint by module name.
class WeightFormats {
 public:
  // Everything in `dtype` ("bfloat16", "float16", "float32").
  static Result<WeightFormats> Plain(std::string_view dtype);
  // `quantization` is config.json's quantization_config, `expert_dtype` its field of that name (DeepSeek-V4) or empty.
  static Result<WeightFormats> FromConfig(const Json& quantization, std::string_view dtype, std::string_view expert_dtype);

  // Format of the matrix of a module, e.g. "model.layers.3.mlp.experts.0.up_proj". Router, embedding and head keep the
  // checkpoint's dtype unless the config names them as targets.
  const WeightFormat& Of(TensorClass c, std::string_view module) const;
  const WeightFormat& plain() const { return plain_; }
  double plain_bits() const { return plain_.element_bits; }
  // Type in which quantised matrices are multiplied: "fp8", "int8", "fp4", or the dtype for weight-only formats.
  const std::string& compute_type() const { return compute_type_; }
  // Bits of a cached element if the checkpoint fixes them, else 0.
  double kv_bits() const { return kv_bits_; }

 private:
  struct Group {
    WeightFormat format;
    std::vector<ModulePattern> targets;  // empty = every linear layer
    bool experts_only = false;
  };

  static bool Matches(const std::vector<ModulePattern>& patterns, std::string_view module);
  static Result<std::vector<ModulePattern>> ReadPatterns(const Json& quantization, std::string_view key);
  Status ReadCompressedTensors(const Json& quantization);
  Status ReadSimple(const Json& quantization, const std::string& method);

  WeightFormat plain_;
  std::vector<Group> groups_;
  std::vector<ModulePattern> ignored_;
  std::string compute_type_;
  double kv_bits_ = 0;
};

// What `--weights TYPE` means: the format, and the classes that released checkpoints of that type store in it. Null: unknown.
// "bf16" and "f16" apply to everything; "fp8", "int8", "int4" and "nvfp4" to attention, experts and dense FFN; "mxfp4" to
// routed experts; GGUF types to every matrix.
struct WeightChoice {
  std::string label;
  double bits_per_weight;
  std::vector<TensorClass> classes;
};
std::optional<WeightChoice> WeightChoiceByName(std::string_view name);
// Applies it to a spec. For KV types: bits per cached element ("f16", "bf16", "fp8", "q8_0", "q4_0"); null: unknown.
void ApplyWeightChoice(ModelSpec& spec, const WeightChoice& choice);
std::optional<double> KvBitsByName(std::string_view name);

}  // namespace moecap::model
