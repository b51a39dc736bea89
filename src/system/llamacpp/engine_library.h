// The process-wide side of llama.cpp: its backends, its log, and owners for its C objects. Only this folder includes llama.h.
#pragma once

#include <memory>
#include <string>

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

// Loads the engine's compute backends (the CPU variant that fits this processor best) and takes over its log. The library keeps
// this state per process: create one before anything else of this folder and keep it alive. Not thread-safe.
class EngineLibrary {
 public:
  // Error: kFailed when no compute backend can be loaded.
  static Result<std::unique_ptr<EngineLibrary>> Load();
  ~EngineLibrary();
  EngineLibrary(const EngineLibrary&) = delete;
  EngineLibrary& operator=(const EngineLibrary&) = delete;

  // "llama.cpp v0.5.0 (cpu: zen4)": release and the loaded backends.
  const std::string& description() const { return description_; }

  // The engine's last warning or error, or "no reason given"; one line.
  std::string LastComplaint() const;

 private:
  EngineLibrary() = default;
  void KeepLine(const char* text);

  std::string description_;
  std::string last_complaint_;
};

}  // namespace moecap::llamacpp
