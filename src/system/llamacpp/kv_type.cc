#include "system/llamacpp/kv_type.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml.h>
#include <strings.h>

#include <array>

namespace moecap::llamacpp {
namespace {

// Those whose attention kernels the engine's own programs offer.
constexpr std::array kKvTypes{GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16, GGML_TYPE_Q8_0,  GGML_TYPE_Q5_1,
                              GGML_TYPE_Q5_0, GGML_TYPE_Q4_1, GGML_TYPE_Q4_0, GGML_TYPE_IQ4_NL};

}  // namespace

std::vector<std::string> KvTypes() {
  std::vector<std::string> names;
  for (const ggml_type type : kKvTypes) names.emplace_back(ggml_type_name(type));
  return names;
}

Result<int> FindKvType(const std::string& name) {
  for (const ggml_type type : kKvTypes) {
    if (strcasecmp(name.c_str(), ggml_type_name(type)) == 0) return static_cast<int>(type);
  }
  return BadInput(fmt::format("the engine has no KV cache of type \"{}\"; choose one of {}", name, fmt::join(KvTypes(), ", ")));
}

}  // namespace moecap::llamacpp
