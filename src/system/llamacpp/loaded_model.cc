#include <fmt/format.h>
#include <ggml-cpp.h>
#include <gguf.h>
#include <llama.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "system/llamacpp/llamacpp_system.h"

namespace moecap::llamacpp {

std::vector<std::string> HostTensorPatterns(int cpu_experts) {
  constexpr const char* kExperts = "\\.ffn_(up|down|gate|gate_up)_(ch|)exps";  // weights and biases
  if (cpu_experts < 0) return {kExperts};
  std::vector<std::string> patterns;
  for (int layer = 0; layer < cpu_experts; ++layer) patterns.push_back(fmt::format("^blk\\.{}{}", layer, kExperts));
  return patterns;
}

bool HasPerHeadWeights(const std::filesystem::path& gguf) {
  const gguf_context_ptr file(gguf_init_from_file(gguf.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (!file) return false;
  // The first of several parts may hold no tensors, but holds every key.
  for (int64_t i = 0; i < gguf_get_n_kv(file.get()); ++i) {
    if (std::string_view(gguf_get_key(file.get(), i)).ends_with(".attention.key_length_mla")) return true;
  }
  for (int64_t i = 0; i < gguf_get_n_tensors(file.get()); ++i) {
    if (std::string_view(gguf_get_tensor_name(file.get(), i)).find(".attn_k_b.") != std::string_view::npos) return true;
  }
  return false;
}

// llama.cpp v0.5.0 puts weights that multiply per head into its AMX layout, whose kernels cannot multiply by what stands beside
// them (it is not contiguous; ggml-cpu/amx/amx.cpp), and ends the process when it finds out.
bool NeedsPlainWeights(std::span<const std::string> cpu_features, const std::filesystem::path& gguf) {
  return std::ranges::count(cpu_features, "AMX_INT8") > 0 && HasPerHeadWeights(gguf);
}

std::string PlainWeightsInWords(std::span<const std::string> cpu_features, const Placement& placement,
                                const std::filesystem::path& gguf) {
  const bool all_on_gpus = !placement.gpus.empty() && placement.gpu_layers < 0;
  const bool plain_anyway = placement.experts || placement.plain_weights;
  if (all_on_gpus || plain_anyway || !NeedsPlainWeights(cpu_features, gguf)) return "";
  return "weights laid out as in the file (the engine's layout for AMX does not compute weights per head)";
}

Result<std::shared_ptr<const LoadedModel>> LoadedModel::Load(const EngineLibrary& library, const std::filesystem::path& gguf,
                                                             const Placement& placement) {
  std::vector<ggml_backend_dev_t> devices;
  for (const std::string& name : placement.gpus) {
    ggml_backend_dev_t device = ggml_backend_dev_by_name(name.c_str());
    if (device == nullptr) return BadInput(fmt::format("the engine has no device {}", name));
    devices.push_back(device);
  }
  const bool on_gpu = !devices.empty();
  devices.push_back(nullptr);
  llama_model_params params = llama_model_default_params();
  // Without a list the engine takes every GPU whose backend this process has loaded, for another system perhaps.
  params.devices = devices.data();
  params.n_gpu_layers = on_gpu ? placement.gpu_layers : 0;
  params.use_extra_bufts = !placement.experts && !placement.plain_weights && !NeedsPlainWeights(CpuFeatures(), gguf);
  if (placement.experts) params.load_mode = LLAMA_LOAD_MODE_MMAP;
  const std::vector<std::string> host_tensors = HostTensorPatterns(on_gpu ? placement.cpu_experts : 0);
  std::vector<llama_model_tensor_buft_override> overrides;
  for (const std::string& pattern : host_tensors) overrides.push_back({pattern.c_str(), ggml_backend_cpu_buffer_type()});
  overrides.push_back({nullptr, nullptr});
  params.tensor_buft_overrides = overrides.data();
  ModelPtr model(llama_model_load_from_file(gguf.c_str(), params));
  if (!model) return BadInput(fmt::format("the engine cannot load {}: {}", gguf.string(), library.LastComplaint()));
  std::unique_ptr<ExpertCache> experts;
  if (placement.experts) {
    CHECK(!on_gpu);
    ASSIGN_OR_RETURN(experts, ExpertCache::Create(library, model.get(), gguf, *placement.experts));
  }
  return std::shared_ptr<const LoadedModel>(new LoadedModel(std::move(model), gguf, on_gpu, std::move(experts)));
}

}  // namespace moecap::llamacpp
