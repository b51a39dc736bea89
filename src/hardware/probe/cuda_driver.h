// The functions of the CUDA driver that the probe calls. Internal to hardware/probe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "hardware/probe/shared_library.h"

namespace moecap::hardware {

// The driver's stable binary interface as NVIDIA documents it; a machine has the library, seldom the header.
struct CudaDriver {
  using Context = struct OpaqueCudaContext*;
  using Stream = struct OpaqueCudaStream*;
  using Event = struct OpaqueCudaEvent*;
  using Module = struct OpaqueCudaModule*;
  using Function = struct OpaqueCudaFunction*;
  using Address = unsigned long long;

  int (*Init)(unsigned);
  int (*ErrorString)(int, const char**);
  int (*DeviceCount)(int*);
  int (*DeviceGet)(int*, int);
  int (*DeviceName)(char*, int, int);
  int (*DevicePciBusId)(char*, int, int);
  int (*ContextRetain)(Context*, int);
  int (*ContextRelease)(int);
  int (*ContextSetCurrent)(Context);
  int (*MemoryInfo)(size_t*, size_t*);
  int (*Allocate)(Address*, size_t);
  int (*Free)(Address);
  int (*AllocateHost)(void**, size_t, unsigned);
  int (*FreeHost)(void*);
  int (*HostToDevice)(Address, const void*, size_t, Stream);
  int (*DeviceToHost)(void*, Address, size_t, Stream);
  int (*DeviceToDevice)(Address, Address, size_t, Stream);
  int (*StreamSynchronize)(Stream);
  int (*EventCreate)(Event*, unsigned);
  int (*EventDestroy)(Event);
  int (*EventRecord)(Event, Stream);
  int (*EventSynchronize)(Event);
  int (*EventElapsedMs)(float*, Event, Event);
  int (*ModuleLoad)(Module*, const void*);
  int (*ModuleUnload)(Module);
  int (*ModuleFunction)(Function*, Module, const char*);
  int (*Launch)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, void**, void**);

  // "cuMemAlloc: out of memory"; ok() for code 0.
  Status Check(const char* call, int code) const;

  // Errors: kFailed when the library is not there, lacks a function, or does not start.
  static Result<CudaDriver> Open(const std::string& name);

 private:
  explicit CudaDriver(std::shared_ptr<SharedLibrary> library) : library_(std::move(library)) {}
  std::shared_ptr<SharedLibrary> library_;
};

}  // namespace moecap::hardware
