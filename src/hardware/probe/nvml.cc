#include "hardware/probe/nvml.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>

#include "hardware/probe/shared_library.h"

namespace moecap::hardware {
namespace {

// NVML's stable binary interface, as its documentation describes it: the driver package has no header.
using Handle = struct OpaqueNvmlDevice*;
constexpr int kSuccess = 0;
constexpr size_t kNameBytes = 96;
constexpr unsigned kMostNvlinks = 18;

struct MemoryInfo {
  uint64_t total, free, used;
};

struct PciInfo {  // version 3
  char legacy_address[16];
  unsigned domain, bus, device;
  unsigned device_and_vendor;  // 0xDDDDVVVV
  unsigned subsystem;
  char address[32];
};

struct Functions {
  int (*Init)();
  int (*Shutdown)();
  const char* (*ErrorString)(int);
  int (*DriverVersion)(char*, unsigned);
  int (*Count)(unsigned*);
  int (*HandleByIndex)(unsigned, Handle*);
  int (*Name)(Handle, char*, unsigned);
  int (*Memory)(Handle, MemoryInfo*);
  int (*Pci)(Handle, PciInfo*);
  // Older drivers lack some of the following: null.
  int (*CurrentGeneration)(Handle, unsigned*);
  int (*CurrentLanes)(Handle, unsigned*);
  int (*MaxGeneration)(Handle, unsigned*);
  int (*MaxLanes)(Handle, unsigned*);
  int (*PowerLimit)(Handle, unsigned*);
  int (*PowerUsage)(Handle, unsigned*);
  int (*TotalEnergy)(Handle, unsigned long long*);
  int (*NvlinkState)(Handle, unsigned, unsigned*);
};

bool Bind(const SharedLibrary& library, Functions& f) {
  library.Find("nvmlDeviceGetCurrPcieLinkGeneration", f.CurrentGeneration);
  library.Find("nvmlDeviceGetCurrPcieLinkWidth", f.CurrentLanes);
  library.Find("nvmlDeviceGetMaxPcieLinkGeneration", f.MaxGeneration);
  library.Find("nvmlDeviceGetMaxPcieLinkWidth", f.MaxLanes);
  library.Find("nvmlDeviceGetEnforcedPowerLimit", f.PowerLimit);
  library.Find("nvmlDeviceGetPowerUsage", f.PowerUsage);
  library.Find("nvmlDeviceGetTotalEnergyConsumption", f.TotalEnergy);
  library.Find("nvmlDeviceGetNvLinkState", f.NvlinkState);
  return library.Find("nvmlInit_v2", f.Init) && library.Find("nvmlShutdown", f.Shutdown) &&
         library.Find("nvmlErrorString", f.ErrorString) && library.Find("nvmlSystemGetDriverVersion", f.DriverVersion) &&
         library.Find("nvmlDeviceGetCount_v2", f.Count) && library.Find("nvmlDeviceGetHandleByIndex_v2", f.HandleByIndex) &&
         library.Find("nvmlDeviceGetName", f.Name) && library.Find("nvmlDeviceGetMemoryInfo", f.Memory) &&
         library.Find("nvmlDeviceGetPciInfo_v3", f.Pci);
}

std::optional<unsigned> Ask(int (*function)(Handle, unsigned*), Handle device) {
  unsigned value = 0;
  if (function == nullptr || function(device, &value) != kSuccess) return std::nullopt;
  return value;
}

std::optional<int> AskPositive(int (*function)(Handle, unsigned*), Handle device) {
  const auto value = Ask(function, device);
  return value && *value > 0 ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

// NVML writes the domain with 8 digits and capitals ("00000000:1B:00.0"), the kernel with 4 small ones.
std::string KernelAddress(std::string address) {
  std::transform(address.begin(), address.end(), address.begin(), [](unsigned char c) { return std::tolower(c); });
  const size_t colon = address.find(':');
  return colon == 8 && address.starts_with("0000") ? address.substr(4) : address;
}

class NvmlManager final : public GpuManager {
 public:
  NvmlManager(SharedLibrary library, const Functions& functions) : library_(std::move(library)), f_(functions) {
    std::array<char, kNameBytes> version{};
    if (f_.DriverVersion(version.data(), kNameBytes - 1) == kSuccess) driver_ = fmt::format("NVIDIA {}", version.data());
    unsigned count = 0;
    if (f_.Count(&count) != kSuccess) return;
    for (unsigned i = 0; i < count; ++i) {
      Handle handle = nullptr;
      if (f_.HandleByIndex(i, &handle) == kSuccess) handles_.push_back(handle);
    }
  }
  ~NvmlManager() override { f_.Shutdown(); }
  NvmlManager(const NvmlManager&) = delete;
  NvmlManager& operator=(const NvmlManager&) = delete;

  std::vector<Accelerator> Devices() override {
    std::vector<Accelerator> devices;
    for (const Handle handle : handles_) devices.push_back(Describe(handle));
    return devices;
  }

  std::optional<double> TotalJoules(size_t index) override {
    unsigned long long millijoules = 0;
    if (index >= handles_.size() || f_.TotalEnergy == nullptr) return std::nullopt;
    if (f_.TotalEnergy(handles_[index], &millijoules) != kSuccess) return std::nullopt;
    return static_cast<double>(millijoules) * 1e-3;
  }

  std::optional<double> PowerW(size_t index) override {
    if (index >= handles_.size()) return std::nullopt;
    const auto milliwatts = Ask(f_.PowerUsage, handles_[index]);
    return milliwatts ? std::optional(*milliwatts * 1e-3) : std::nullopt;
  }

 private:
  Accelerator Describe(Handle handle) const {
    Accelerator gpu;
    gpu.vendor = "NVIDIA";
    gpu.driver = driver_;
    gpu.source = "NVML";
    std::array<char, kNameBytes> name{};
    if (f_.Name(handle, name.data(), kNameBytes - 1) == kSuccess) gpu.name = name.data();
    if (MemoryInfo memory{}; f_.Memory(handle, &memory) == kSuccess) gpu.memory_bytes = static_cast<double>(memory.total);
    if (PciInfo pci{}; f_.Pci(handle, &pci) == kSuccess) {
      pci.address[sizeof(pci.address) - 1] = '\0';
      gpu.pci_address = KernelAddress(pci.address);
      gpu.pci_id = fmt::format("{:04x}:{:04x}", pci.device_and_vendor & 0xffff, pci.device_and_vendor >> 16);
    }
    gpu.pcie = {AskPositive(f_.CurrentGeneration, handle), AskPositive(f_.CurrentLanes, handle),
                AskPositive(f_.MaxGeneration, handle), AskPositive(f_.MaxLanes, handle)};
    if (const auto milliwatts = Ask(f_.PowerLimit, handle)) gpu.power_limit_w = *milliwatts * 1e-3;
    gpu.nvlinks = Nvlinks(handle);
    return gpu;
  }

  // Null when the GPU knows no NVLink at all.
  std::optional<int> Nvlinks(Handle handle) const {
    std::optional<int> active;
    for (unsigned link = 0; f_.NvlinkState != nullptr && link < kMostNvlinks; ++link) {
      unsigned enabled = 0;
      if (f_.NvlinkState(handle, link, &enabled) != kSuccess) continue;
      active = active.value_or(0) + (enabled == 1 ? 1 : 0);
    }
    return active;
  }

  SharedLibrary library_;
  Functions f_;
  std::string driver_;
  std::vector<Handle> handles_;
};

}  // namespace

Result<std::unique_ptr<GpuManager>> OpenNvml(const std::string& name) {
  ASSIGN_OR_RETURN(SharedLibrary library, SharedLibrary::Open(name));
  Functions functions{};
  if (!Bind(library, functions)) {
    return Failed(fmt::format("{} lacks functions that every driver since 2019 has; update the NVIDIA driver", name));
  }
  if (const int code = functions.Init(); code != kSuccess) {
    return Failed(
        fmt::format("the NVIDIA driver does not answer ({}); nvidia-smi should fail alike", functions.ErrorString(code)));
  }
  return std::unique_ptr<GpuManager>(std::make_unique<NvmlManager>(std::move(library), functions));
}

}  // namespace moecap::hardware
