// Tensor names of GGUF files -> tensor classes. Private to the GGUF reader.
#pragma once

#include <optional>
#include <string_view>

#include "model/model_spec.h"

namespace moecap::model {

// "blk.12.ffn_up_exps.weight" -> layer 12, "ffn_up_exps.weight"; a name outside the blocks has layer -1 and stays whole.
struct GgufName {
  int layer = -1;
  std::string_view part;
};
GgufName SplitGgufName(std::string_view name);

// Class of a tensor by its name without "blk.N.". Null: not a name we know (the caller says so to the user).
std::optional<TensorClass> ClassOfGgufTensor(const GgufName& name);

// Belongs to multi-token prediction whatever its layer: "nextn.eh_proj.weight".
bool IsMtpTensor(std::string_view part);
// A copy of embedding or head stored with it.
bool IsMtpCopy(std::string_view part);

// Multiplied with a token's vector: a weight (not a bias or scale) of two or more dimensions that is not a norm.
bool IsMatrix(std::string_view part, TensorClass c, const std::vector<int64_t>& dims);

}  // namespace moecap::model
