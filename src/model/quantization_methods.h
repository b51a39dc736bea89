// Readers of quantization_config, one a method. Private to quantization.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/quantization.h"

namespace moecap::model {

using MethodReader = Status (*)(const Json& quantization, QuantizationRules& rules);
struct QuantizationMethod {
  std::string_view name;  // quant_method in lower case
  MethodReader read;
};
// Null: unknown.
const QuantizationMethod* FindQuantizationMethod(std::string_view name);
std::vector<std::string> QuantizationMethodNames();

// Reads the list (or object keys) under `key` into `patterns`; absent or null: nothing. Class names ("Linear") are left out.
Status ReadModuleList(const Json& quantization, std::string_view key, int value, ModulePatterns& patterns);
// Applies `format` to what a target names: a class of modules ("Linear", "FusedMoE", "Embedding") or a pattern.
Status ReadTarget(std::string_view target, int format, QuantizationRules& rules);
// The KV layout of kv_cache_quant_algo or kv_cache_scheme ("FP8", {"num_bits": 8, "type": "float"}), if any.
Status ReadKvScheme(const Json& quantization, QuantizationRules& rules);
// The format of an fp8 checkpoint: per tensor, per row, or in blocks.
Result<WeightFormat> Fp8Format(const Json& quantization);

// Of quantization_methods.cc.
Status ReadCompressedTensors(const Json& quantization, QuantizationRules& rules);
Status ReadModelOpt(const Json& quantization, QuantizationRules& rules);
Status ReadQuark(const Json& quantization, QuantizationRules& rules);
Status ReadTorchAo(const Json& quantization, QuantizationRules& rules);
// Of quantization_simple.cc.
Status ReadFp8(const Json& quantization, QuantizationRules& rules);
Status ReadGptq(const Json& quantization, QuantizationRules& rules);
Status ReadAwq(const Json& quantization, QuantizationRules& rules);
Status ReadAutoRound(const Json& quantization, QuantizationRules& rules);
Status ReadBitsAndBytes(const Json& quantization, QuantizationRules& rules);
Status ReadHqq(const Json& quantization, QuantizationRules& rules);
Status ReadMlx(const Json& quantization, QuantizationRules& rules);
Status ReadMxfp4(const Json& quantization, QuantizationRules& rules);
Status ReadMxfp8(const Json& quantization, QuantizationRules& rules);
Status ReadInt8(const Json& quantization, QuantizationRules& rules);
Status ReadQuanto(const Json& quantization, QuantizationRules& rules);
Status ReadW4aFp8(const Json& quantization, QuantizationRules& rules);

}  // namespace moecap::model
