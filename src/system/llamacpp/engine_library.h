// The process-wide side of llama.cpp: its backends, its log, and owners for its C objects. Only this folder includes llama.h.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

struct ggml_threadpool;
struct llama_context;
struct llama_model;

namespace moecap::llamacpp {

struct ModelDeleter {
  void operator()(llama_model* model) const;
};
struct ContextDeleter {
  void operator()(llama_context* context) const;
};
using ModelPtr = std::unique_ptr<llama_model, ModelDeleter>;
using ContextPtr = std::unique_ptr<llama_context, ContextDeleter>;
using ThreadPoolPtr = std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool*)>;

// Threads that wait between passes. Without a pool of its own the engine starts and joins threads in every graph it computes.
// Null for one thread, or when the loaded backend has no pools. Must outlive the contexts it is attached to.
ThreadPoolPtr NewThreadPool(int threads);

// The type in which a CPU backend with `features` ("AVX512_BF16", as the backend lists them) multiplies weights of
// `weight_type`
// ("F16", "Q4_0"): "fp32" for floats, which are widened before a fused multiply-add; "bf16" for BF16 where the processor
// multiplies pairs of it; "int8" for all block formats, against activations quantised on the fly.
std::string ComputeTypeOf(std::string_view weight_type, std::span<const std::string> features);

// What the loaded CPU backend was built for and found on this processor: "AVX2", "AVX512_BF16"; empty when it does not tell.
std::vector<std::string> CpuFeatures();

// A GPU that the engine computes on.
struct GpuDevice {
  std::string name;         // "CUDA0"
  std::string description;  // "NVIDIA H200"
  int index = 0;            // among those of its backend
};

// Loads the engine's compute backends (the CPU variant that fits this processor best) and takes over its log. The library keeps
// this state per process: create one before anything else of this folder and keep it alive. Not thread-safe. A failed assertion
// of the engine ends the process; it is reported on stderr before.
class EngineLibrary {
 public:
  // The CPU's backend of the libraries in `folder`; empty = what is linked in or installed. A GPU backend there is not touched.
  // Error: kFailed when no compute backend can be loaded.
  static Result<std::unique_ptr<EngineLibrary>> Load(const std::filesystem::path& folder = DefaultFolder());
  // Where the engine's library was found, so that a build and its libraries can be carried to another machine; empty for a
  // build that links its backends in.
  static std::filesystem::path DefaultFolder();
  ~EngineLibrary();
  EngineLibrary(const EngineLibrary&) = delete;
  EngineLibrary& operator=(const EngineLibrary&) = delete;

  // The GPUs that can be used, in the engine's order. The first call tries each GPU backend in a child process (a second or
  // more) and loads those that work; empty with the cause in gpu_failure() when none does. `tries_first` false: without the
  // child, which a profiler around this process does not survive; a backend that does not fit the driver then may end this
  // process.
  const std::vector<GpuDevice>& UseGpus(bool tries_first = true);
  // Free memory of these GPUs together, as their driver tells; 0 for names that are none.
  static double FreeBytes(std::span<const std::string> gpus);
  // Why GPU backends were left out, with the engine's own words; empty before UseGpus and when all of them work.
  const std::string& gpu_failure() const { return gpu_failure_; }

  // "llama.cpp v0.5.0 (CPU)": the release and the backends loaded so far.
  std::string description() const;

  // The engine's last warning or error, or "no reason given"; one line.
  std::string LastComplaint() const;

 private:
  explicit EngineLibrary(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void KeepLine(const char* text);
  void LeaveOut(const std::string& backend, const std::string& failure);

  std::filesystem::path folder_;
  std::optional<std::vector<GpuDevice>> gpus_;
  bool linked_in_usable_ = false;
  std::string gpu_failure_;
  std::string last_complaint_;
};

}  // namespace moecap::llamacpp
