#include "hardware/probe/kernels.h"

#include <algorithm>

namespace moecap::hardware::kernels {
namespace {

template <typename Kernel>
void AppendRunnable(const HostInfo& host, std::span<const Kernel> table, std::vector<Kernel>& out) {
  for (const Kernel& kernel : table) {
    const bool runs =
        std::all_of(kernel.isa.begin(), kernel.isa.end(), [&](std::string_view flag) { return host.HasIsa(flag); });
    if (runs) out.push_back(kernel);
  }
}

}  // namespace

std::vector<ReadKernel> ReadKernelsFor(const HostInfo& host) {
  std::vector<ReadKernel> kernels;
#if defined(__x86_64__)
  AppendRunnable(host, Avx512Reads(), kernels);
  AppendRunnable(host, Avx2Reads(), kernels);
#endif
  if (kernels.empty()) AppendRunnable(host, GenericReads(), kernels);
  return kernels;
}

std::vector<CopyKernel> CopyKernelsFor(const HostInfo& host) {
  std::vector<CopyKernel> kernels;
#if defined(__x86_64__)
  AppendRunnable(host, Avx512Copies(), kernels);
  if (kernels.empty()) AppendRunnable(host, Avx2Copies(), kernels);
#endif
  if (kernels.empty()) AppendRunnable(host, GenericCopies(), kernels);
  return kernels;
}

std::vector<ComputeKernel> ComputeKernelsFor(const HostInfo& host, Operation operation) {
  std::vector<ComputeKernel> kernels;
#if defined(__x86_64__)
  AppendRunnable(host, AmxComputes(), kernels);
  AppendRunnable(host, Avx512Computes(), kernels);
  AppendRunnable(host, Avx2Computes(), kernels);
#endif
  AppendRunnable(host, GenericComputes(), kernels);
  std::erase_if(kernels, [&](const ComputeKernel& kernel) { return kernel.operation != operation; });
#if defined(__x86_64__)
  const auto needs_amx = [](const ComputeKernel& kernel) {
    return std::find(kernel.isa.begin(), kernel.isa.end(), "amx_tile") != kernel.isa.end();
  };
  if (std::any_of(kernels.begin(), kernels.end(), needs_amx) && !EnableAmx()) std::erase_if(kernels, needs_amx);
#endif
  return kernels;
}

}  // namespace moecap::hardware::kernels
