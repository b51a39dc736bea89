// The routed experts of an answer as servers return them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mock/dialect.h"
#include "mock/router.h"

namespace moecap::mock {

struct RoutedSpan {
  std::vector<int32_t> prompt;
  uint64_t seed = 0;          // of the output (engine.h, OutputToken)
  int64_t output_tokens = 0;  // produced
  int64_t start = 0;          // first row that is returned, 0 ... prompt
};

// Rows start ... prompt + output - 2 (the last token was never an input), each [model layers][top-k], dense layers zero.
// sglang: base64 of int32, little endian. vllm: base64 of a .npy file of uint8 (uint16 for more than 256 experts).
// Requires a model with MoE layers of one top-k.
std::string EncodeRoutedExperts(Dialect dialect, const model::ModelSpec& model, const SampledRouter& router,
                                const RoutedSpan& span);

std::string Base64(std::string_view bytes);

}  // namespace moecap::mock
