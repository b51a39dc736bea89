#include "hardware/probe/cuda_driver.h"

#include <fmt/format.h>

#include <utility>

namespace moecap::hardware {

Status CudaDriver::Check(const char* call, int code) const {
  if (code == 0) return {};
  const char* text = nullptr;
  if (ErrorString(code, &text) != 0 || text == nullptr) text = "unknown error";
  return Failed(fmt::format("{}: {} (CUDA error {})", call, text, code));
}

Result<CudaDriver> CudaDriver::Open(const std::string& name) {
  ASSIGN_OR_RETURN(SharedLibrary opened, SharedLibrary::Open(name));
  CudaDriver d(std::make_shared<SharedLibrary>(std::move(opened)));
  const SharedLibrary& library = *d.library_;
  const bool complete =
      library.Find("cuInit", d.Init) && library.Find("cuGetErrorString", d.ErrorString) &&
      library.Find("cuDeviceGetCount", d.DeviceCount) && library.Find("cuDeviceGet", d.DeviceGet) &&
      library.Find("cuDeviceGetName", d.DeviceName) && library.Find("cuDeviceGetPCIBusId", d.DevicePciBusId) &&
      library.Find("cuDevicePrimaryCtxRetain", d.ContextRetain) &&
      library.Find("cuDevicePrimaryCtxRelease_v2", d.ContextRelease) && library.Find("cuCtxSetCurrent", d.ContextSetCurrent) &&
      library.Find("cuMemGetInfo_v2", d.MemoryInfo) && library.Find("cuMemAlloc_v2", d.Allocate) &&
      library.Find("cuMemFree_v2", d.Free) && library.Find("cuMemHostAlloc", d.AllocateHost) &&
      library.Find("cuMemFreeHost", d.FreeHost) && library.Find("cuMemcpyHtoDAsync_v2", d.HostToDevice) &&
      library.Find("cuMemcpyDtoHAsync_v2", d.DeviceToHost) && library.Find("cuMemcpyDtoDAsync_v2", d.DeviceToDevice) &&
      library.Find("cuStreamSynchronize", d.StreamSynchronize) && library.Find("cuEventCreate", d.EventCreate) &&
      library.Find("cuEventDestroy_v2", d.EventDestroy) && library.Find("cuEventRecord", d.EventRecord) &&
      library.Find("cuEventSynchronize", d.EventSynchronize) && library.Find("cuEventElapsedTime", d.EventElapsedMs) &&
      library.Find("cuModuleLoadData", d.ModuleLoad) && library.Find("cuModuleUnload", d.ModuleUnload) &&
      library.Find("cuModuleGetFunction", d.ModuleFunction) && library.Find("cuLaunchKernel", d.Launch);
  if (!complete)
    return Failed(fmt::format("{} lacks functions that every driver since 2020 has; update the NVIDIA driver", name));
  RETURN_IF_ERROR(d.Check("cuInit", d.Init(0)));
  return d;
}

}  // namespace moecap::hardware
