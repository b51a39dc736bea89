#include "system/llamacpp/gpu_profiler.h"

#include <dlfcn.h>

namespace moecap::llamacpp {

Result<GpuProfiler> GpuProfiler::Open() {
  // Never closed: the engine's backend holds the same library.
  void* driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (driver == nullptr) return Failed("no NVIDIA driver to profile with: libcuda.so.1 cannot be opened");
  const auto begin = reinterpret_cast<Call>(::dlsym(driver, "cuProfilerStart"));
  const auto end = reinterpret_cast<Call>(::dlsym(driver, "cuProfilerStop"));
  if (begin == nullptr || end == nullptr) return Failed("libcuda.so.1 has no cuProfilerStart and cuProfilerStop");
  return GpuProfiler(begin, end);
}

}  // namespace moecap::llamacpp
