#include "system/llamacpp/engine_library.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <llama.h>

#include <string_view>

namespace moecap::llamacpp {

void ModelDeleter::operator()(llama_model* model) const { llama_model_free(model); }
void ContextDeleter::operator()(llama_context* context) const { llama_free(context); }

ThreadPoolPtr NewThreadPool(int threads) {
  ThreadPoolPtr none(nullptr, [](ggml_threadpool*) {});
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (threads < 2 || cpu == nullptr) return none;
  ggml_backend_reg_t registry = ggml_backend_dev_backend_reg(cpu);
  // The CPU backend is loaded at run time, so its functions are found by name.
  const auto create =
      reinterpret_cast<decltype(&ggml_threadpool_new)>(ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_new"));
  const auto destroy =
      reinterpret_cast<decltype(&ggml_threadpool_free)>(ggml_backend_reg_get_proc_address(registry, "ggml_threadpool_free"));
  if (create == nullptr || destroy == nullptr) return none;
  ggml_threadpool_params params = ggml_threadpool_params_default(threads);
  return {create(&params), destroy};
}

Result<std::unique_ptr<EngineLibrary>> EngineLibrary::Load() {
  std::unique_ptr<EngineLibrary> library(new EngineLibrary);
  llama_log_set(
      [](ggml_log_level level, const char* text, void* self) {
        if (level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN) static_cast<EngineLibrary*>(self)->KeepLine(text);
      },
      library.get());
  if (ggml_backend_reg_count() == 0) {
    if (std::string_view(MOECAP_ENGINE_BACKEND_DIR).empty()) {
      ggml_backend_load_all();
    } else {
      ggml_backend_load_all_from_path(MOECAP_ENGINE_BACKEND_DIR);
    }
  }
  llama_backend_init();
  if (ggml_backend_dev_count() == 0) {
    return Failed(
        fmt::format("the engine found no compute backend in {}; run tools/fetch_engine again", MOECAP_ENGINE_BACKEND_DIR));
  }
  std::string devices;
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    devices += fmt::format("{}{}", devices.empty() ? "" : ", ", ggml_backend_dev_name(device));
  }
  library->description_ = fmt::format("llama.cpp v0.5.0 ({})", devices);
  return library;
}

EngineLibrary::~EngineLibrary() { llama_log_set(nullptr, nullptr); }

std::string EngineLibrary::LastComplaint() const { return last_complaint_.empty() ? "no reason given" : last_complaint_; }

void EngineLibrary::KeepLine(const char* text) {
  std::string_view line(text);
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  if (line.size() > 1) last_complaint_ = line;
}

}  // namespace moecap::llamacpp
