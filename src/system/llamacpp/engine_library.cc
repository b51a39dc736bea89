#include "system/llamacpp/engine_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>

#include "base/paths.h"
#include "system/llamacpp/gpu_trial.h"

namespace moecap::llamacpp {
namespace fs = std::filesystem;

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

std::string ComputeTypeOf(std::string_view weight_type, std::span<const std::string> features) {
  if (weight_type == "BF16" && std::ranges::find(features, "AVX512_BF16") != features.end()) return "bf16";
  constexpr std::string_view kFloats[] = {"F16", "BF16", "F32", "F64"};
  return std::ranges::find(kFloats, weight_type) != std::end(kFloats) ? "fp32" : "int8";
}

std::vector<std::string> CpuFeatures() {
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr) return {};
  const auto list = reinterpret_cast<ggml_backend_get_features_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), "ggml_backend_get_features"));
  std::vector<std::string> features;
  if (list == nullptr) return features;
  for (const ggml_backend_feature* feature = list(ggml_backend_dev_backend_reg(cpu)); feature->name != nullptr; ++feature) {
    if (std::string_view(feature->value) != "0") features.emplace_back(feature->name);
  }
  return features;
}

namespace {

// ggml_backend_load_all_from_path would load GPU backends too, and one that was built for another driver may abort. So the
// engine is shown a folder without them. The links are gone when the libraries are open.
Status LoadCpuBackends(const fs::path& folder) {
  if (GpuBackendsIn(folder).empty()) {
    ggml_backend_load_all_from_path(folder.c_str());
    return {};
  }
  std::string name = (TemporaryDir() / "moecap-engine-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return Failed(fmt::format("cannot make a folder {}", name));
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (!entry->path().filename().string().starts_with("libggml-cpu")) continue;
    std::error_code ignored;
    fs::create_symlink(Absolute(entry->path()), fs::path(name) / entry->path().filename(), ignored);
  }
  ggml_backend_load_all_from_path(name.c_str());
  fs::remove_all(name, error);
  return {};
}

}  // namespace

fs::path EngineLibrary::DefaultFolder() {
  const fs::path built_with = MOECAP_ENGINE_BACKEND_DIR;
  if (built_with.empty()) return {};
  Dl_info engine{};
  const bool found = ::dladdr(reinterpret_cast<const void*>(&llama_backend_init), &engine) != 0 && engine.dli_fname != nullptr;
  return found ? fs::path(engine.dli_fname).parent_path() : built_with;
}

Result<std::unique_ptr<EngineLibrary>> EngineLibrary::Load(const fs::path& folder) {
  std::unique_ptr<EngineLibrary> library(new EngineLibrary(folder));
  if (folder.empty()) {
    // Asking for the backends that are linked in starts their drivers, and a child cannot use what its parent started.
    const GpuTrial trial = TryGpuBackend("");
    library->linked_in_usable_ = trial.usable;
    if (!trial.usable) library->LeaveOut("the linked-in backend", trial.failure);
  }
  llama_log_set(
      [](ggml_log_level level, const char* text, void* self) {
        if (level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN) static_cast<EngineLibrary*>(self)->KeepLine(text);
      },
      library.get());
  ggml_set_abort_callback([](const char* message) {
    std::fprintf(stderr,
                 "\nmoecap: the engine failed and ends this program: %s\n"
                 "Measurements that a stored run had completed are kept; with another model, device or number of threads it "
                 "may go on.\n",
                 message);
  });
  if (folder.empty()) {
    if (ggml_backend_reg_count() == 0) ggml_backend_load_all();
  } else if (ggml_backend_reg_count() == 0) {
    RETURN_IF_ERROR(LoadCpuBackends(folder));
  }
  llama_backend_init();
  if (ggml_backend_dev_count() == 0)
    return Failed(fmt::format(
        "the engine found no compute backend in {}; install moecap again, or run tools/fetch_engine in the source tree",
        folder.string()));
  return library;
}

const std::vector<GpuDevice>& EngineLibrary::UseGpus(bool tries_first) {
  if (gpus_) return *gpus_;
  gpus_.emplace();
  if (!folder_.empty()) {
    for (const fs::path& backend : GpuBackendsIn(folder_)) {
      const GpuTrial trial = tries_first ? TryGpuBackend(backend) : GpuTrial{true, ""};
      if (!trial.usable || ggml_backend_load(backend.c_str()) == nullptr)
        LeaveOut(backend.filename().string(), trial.usable ? LastComplaint() : trial.failure);
    }
  } else if (!linked_in_usable_) {
    return *gpus_;
  }
  std::map<std::string, int> of_backend;
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (!IsGpu(device)) continue;
    const std::string backend = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
    gpus_->push_back({ggml_backend_dev_name(device), ggml_backend_dev_description(device), of_backend[backend]++});
  }
  return *gpus_;
}

double EngineLibrary::FreeBytes(std::span<const std::string> gpus) {
  double bytes = 0;
  for (const std::string& name : gpus) {
    ggml_backend_dev_t device = ggml_backend_dev_by_name(name.c_str());
    if (device == nullptr) continue;
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    bytes += static_cast<double>(free);
  }
  return bytes;
}

void EngineLibrary::LeaveOut(const std::string& backend, const std::string& failure) {
  gpu_failure_ += fmt::format("{}{}: {}", gpu_failure_.empty() ? "" : "; ", backend, failure);
}

std::string EngineLibrary::description() const {
  std::string devices;
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i)
    devices += fmt::format("{}{}", devices.empty() ? "" : ", ", ggml_backend_dev_name(ggml_backend_dev_get(i)));
  return fmt::format("llama.cpp v0.5.0 ({})", devices);
}

EngineLibrary::~EngineLibrary() { llama_log_set(nullptr, nullptr); }

std::string EngineLibrary::LastComplaint() const { return last_complaint_.empty() ? "no reason given" : last_complaint_; }

void EngineLibrary::KeepLine(const char* text) {
  std::string_view line(text);
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  // It follows the line that says why.
  if (line.ends_with("load_from_file_impl: failed to load model")) return;
  if (line.size() > 1) last_complaint_ = line;
}

}  // namespace moecap::llamacpp
