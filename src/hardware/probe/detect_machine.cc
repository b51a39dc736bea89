#include <algorithm>

#include "hardware/probe/machine_parts.h"
#include "hardware/probe/probe.h"

namespace moecap::hardware {
namespace fs = std::filesystem;

MachineInfo DetectMachineAt(const fs::path& root, const std::vector<int>& allowed_cpus, GpuManager* gpus) {
  MachineInfo machine;
  machine.host = DetectHostAt(root, allowed_cpus);
  machine.memory = ReadMemoryLayout(root, machine.notes);
  if (gpus != nullptr) machine.accelerators = gpus->Devices();
  const size_t managed = machine.accelerators.size();
  for (Accelerator& found : ReadPciAccelerators(root)) {
    const auto end = machine.accelerators.begin() + static_cast<std::ptrdiff_t>(managed);
    const bool known = std::any_of(machine.accelerators.begin(), end,
                                   [&](const Accelerator& other) { return other.pci_address == found.pci_address; });
    if (!known) machine.accelerators.push_back(std::move(found));
  }
  machine.disks = ReadDisks(root);
  machine.network_ports = ReadNetworkPorts(root);
  return machine;
}

MachineInfo DetectMachine() {
  const HostInfo host = DetectHost();
  auto nvml = OpenNvml();
  const std::unique_ptr<GpuManager> gpus = nvml ? std::move(nvml).value() : nullptr;
  MachineInfo machine = DetectMachineAt("/", host.allowed_cpus, gpus.get());
  machine.host = host;  // with what uname tells
  const bool unmanaged = std::any_of(machine.accelerators.begin(), machine.accelerators.end(), [](const Accelerator& found) {
    return found.vendor == "NVIDIA" && found.source != "NVML";
  });
  if (unmanaged && gpus == nullptr) machine.notes.push_back(nvml.error().message);
  return machine;
}

}  // namespace moecap::hardware
