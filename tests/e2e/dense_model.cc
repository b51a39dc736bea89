#include "dense_model.h"

#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>

#include <string_view>

#include "base/check.h"
#include "base/rng.h"

namespace moecap::e2e {
namespace {

constexpr int64_t kDenseWidth = 256;

void CopyMetadata(const gguf_context* from, gguf_context* to) {
  gguf_set_kv(to, from);  // the tokenizer and, still under the old architecture, the hyper-parameters
  gguf_set_val_str(to, "general.architecture", "qwen3");
  for (const char* key :
       {"context_length", "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv",
        "attention.key_length", "attention.value_length", "rope.dimension_count"}) {
    const int64_t id = gguf_find_key(from, fmt::format("qwen3moe.{}", key).c_str());
    if (id >= 0) gguf_set_val_u32(to, fmt::format("qwen3.{}", key).c_str(), gguf_get_val_u32(from, id));
  }
  gguf_set_val_u32(to, "qwen3.feed_forward_length", kDenseWidth);
  const int64_t epsilon = gguf_find_key(from, "qwen3moe.attention.layer_norm_rms_epsilon");
  gguf_set_val_f32(to, "qwen3.attention.layer_norm_rms_epsilon", gguf_get_val_f32(from, epsilon));
}

void AddFfn(ggml_context* context, gguf_context* file, int layer, int64_t hidden, Rng& rng) {
  for (const char* name : {"gate", "up", "down"}) {
    const bool is_down = std::string_view(name) == "down";
    ggml_tensor* tensor = is_down ? ggml_new_tensor_2d(context, GGML_TYPE_F32, kDenseWidth, hidden)
                                  : ggml_new_tensor_2d(context, GGML_TYPE_F32, hidden, kDenseWidth);
    auto* values = static_cast<float*>(tensor->data);
    for (int64_t i = 0; i < ggml_nelements(tensor); ++i) values[i] = static_cast<float>(0.02 * (rng.Uniform() - 0.5));
    ggml_set_name(tensor, fmt::format("blk.{}.ffn_{}.weight", layer, name).c_str());
    gguf_add_tensor(file, tensor);
  }
}

}  // namespace

void WriteDenseModel(const std::filesystem::path& moe, const std::filesystem::path& dense) {
  ggml_context* weights = nullptr;
  gguf_context* from = gguf_init_from_file(moe.c_str(), {false, &weights});
  CHECK(from != nullptr);
  gguf_context* to = gguf_init_empty();
  CopyMetadata(from, to);
  int64_t hidden = 0;
  for (ggml_tensor* tensor = ggml_get_first_tensor(weights); tensor != nullptr;
       tensor = ggml_get_next_tensor(weights, tensor)) {
    const std::string_view name = ggml_get_name(tensor);
    if (gguf_find_tensor(from, ggml_get_name(tensor)) < 0) continue;
    if (name.find("_exps") != std::string_view::npos || name.find("ffn_gate_inp") != std::string_view::npos) continue;
    if (name == "output_norm.weight") hidden = tensor->ne[0];
    gguf_add_tensor(to, tensor);
  }
  const int64_t layers = gguf_get_val_u32(from, gguf_find_key(from, "qwen3moe.block_count"));
  ggml_context* fresh = ggml_init({static_cast<size_t>(layers) * 4 * 1024 * 1024, nullptr, false});
  Rng rng(1);
  for (int64_t layer = 0; layer < layers; ++layer) AddFfn(fresh, to, static_cast<int>(layer), hidden, rng);
  CHECK(gguf_write_to_file(to, dense.c_str(), false));
  ggml_free(fresh);
  gguf_free(to);
  gguf_free(from);
  ggml_free(weights);
}

}  // namespace moecap::e2e
