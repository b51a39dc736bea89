// Whether the engine's GPU backends run on this machine, tried where a failure costs nothing. Internal to this folder.
#pragma once

#include <ggml-backend.h>

#include <filesystem>
#include <string>
#include <vector>

namespace moecap::llamacpp {

// Also one that shares the host's memory.
bool IsGpu(ggml_backend_dev_t device);

// The GPU backends in a folder of the engine's libraries: every libggml-NAME.so that is no CPU backend and serves no other
// machine.
std::vector<std::filesystem::path> GpuBackendsIn(const std::filesystem::path& folder);

// What the child said, and why its GPUs cannot be used.
struct GpuTrial {
  bool usable = false;
  std::string failure;  // the engine's own line where it gave one, else how the child ended; empty when usable
};

// Loads `backend` (empty: the backends that are linked in) in a child process and computes a small matrix product on each of
// its GPUs: a library built for another driver, a driver that does not answer or a kernel that cannot be launched ends the
// child, often by abort(), and not this process. Call it before this process has loaded that backend. Takes a second or more
// where a driver starts; a child that does not end within `timeout_s` is killed.
GpuTrial TryGpuBackend(const std::filesystem::path& backend, double timeout_s = 120);

}  // namespace moecap::llamacpp
