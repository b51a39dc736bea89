// quantization_config of a config.json: how many bytes a weight matrix takes, scales included, and which matrices stay as they
// are. The forms that are read: docs/models.md, "Precision of a checkpoint".
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/model_spec.h"
#include "model/module_pattern.h"
#include "model/weight_format.h"

namespace moecap::model {

// What a quantization_config says, as every method reads it. Formats are named by their place in `formats`; kPlainFormat is the
// checkpoint's own dtype.
inline constexpr int kPlain = -1;
struct QuantizationRules {
  WeightFormat plain;
  std::vector<WeightFormat> formats;
  std::array<int, kTensorClassCount> by_class;  // for a module that no pattern names
  ModulePatterns named;                         // value: a format
  ModulePatterns excluded;                      // these stay plain, whatever else is said
  std::string compute_type;                     // of quantised products; the dtype for weight-only formats
  std::string kv_type;                          // name of a KV layout (kv_format.h); empty = the dtype

  QuantizationRules() { by_class.fill(kPlain); }
  // Adds a format and gives its number.
  int Add(WeightFormat format);
  // Attention, routed and shared experts and dense FFN: what a checkpoint means by "every linear layer".
  void SetLinear(int format);
};

// Names of a checkpoint's tensors (a shard index has no more), to see which modules are stored quantised.
class StoredModules {
 public:
  void Add(std::string_view tensor);
  bool empty() const { return quantised_.empty(); }
  // Whether the module of that canonical name, or what it is fused into, is stored with scales; null: no such module.
  std::optional<bool> IsQuantised(const std::string& canonical) const;

 private:
  std::map<std::string, bool> quantised_;
};

// The formats of a checkpoint by module name.
class WeightFormats {
 public:
  // Everything in `dtype` ("bfloat16", "float16", "float32").
  static Result<WeightFormats> Plain(std::string_view dtype);
  // `quantization` is config.json's quantization_config (or MLX's "quantization"), `expert_dtype` the config's field of that
  // name (DeepSeek-V4) or empty: it counts where the method itself says nothing about experts. Errors kBadInput: a method, an
  // algorithm or a KV type that is not known, with the list of those that are; a field of the wrong kind.
  static Result<WeightFormats> FromConfig(const Json& quantization, std::string_view dtype, std::string_view expert_dtype);

  // What the tensors' names show is believed against the config. Must outlive this.
  void SetStored(const StoredModules* stored) { stored_ = stored; }

  // Format of the matrix of a module, e.g. "model.layers.3.mlp.experts.0.up_proj". Router, embedding and head keep the
  // checkpoint's dtype unless the config names them.
  const WeightFormat& Of(TensorClass c, std::string_view module);
  // Whether experts of one layer may differ.
  bool names_single_experts() const { return rules_.named.names_single_experts() || rules_.excluded.names_single_experts(); }
  const WeightFormat& plain() const { return rules_.plain; }
  double plain_bits() const { return rules_.plain.element_bits; }
  const std::string& compute_type() const { return rules_.compute_type; }
  const std::string& kv_type() const { return rules_.kv_type; }
  // One sentence each: patterns that named no module asked for, and where the stored names disagree.
  std::vector<std::string> Notes() const;

 private:
  int RuledFormat(TensorClass c, const std::string& canonical);

  QuantizationRules rules_;
  const StoredModules* stored_ = nullptr;
  int64_t stored_plain_ = 0, stored_quantised_ = 0;
  std::string stored_example_;
};

// "aqlm, auto-round, awq, ..."
std::string KnownQuantizationMethods();

}  // namespace moecap::model
