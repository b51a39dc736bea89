// Brackets for a profiler of NVIDIA GPUs: what runs between Begin and End is what `ncu --profile-from-start off` looks at.
#pragma once

#include "base/result.h"

namespace moecap::llamacpp {

class GpuProfiler {
 public:
  // Through the driver's library, opened at run time. Error: kFailed where there is none.
  static Result<GpuProfiler> Open();

  // Without effect when no profiler watches. The calling thread must have computed on the GPU before.
  void Begin() const { begin_(); }
  void End() const { end_(); }

 private:
  using Call = int (*)();
  GpuProfiler(Call begin, Call end) : begin_(begin), end_(end) {}
  Call begin_;
  Call end_;
};

}  // namespace moecap::llamacpp
