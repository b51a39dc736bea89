#include <algorithm>
#include <array>
#include <string_view>

#include "hardware/probe/machine_parts.h"
#include "hardware/probe/sysfs.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

constexpr double kSectorBytes = 512;  // the unit of /sys/block/*/size whatever the disk's own sector is
constexpr double kMegabit = 1e6 / 8;
constexpr double kGigabit = 1e9 / 8;

// "0x10de" -> "10de".
std::string HexDigits(const fs::path& file) {
  const std::string word = ReadWord(file);
  return word.starts_with("0x") ? word.substr(2) : "";
}

bool IsAcceleratorClass(std::string_view pci_class) {
  // Display controllers, processing accelerators, co-processors.
  return pci_class.starts_with("0x03") || pci_class.starts_with("0x12") || pci_class.starts_with("0x0b40");
}

// Consoles of server boards (ASPEED, Matrox) and of virtual machines (Bochs, Red Hat, VMware, Cirrus, Hyper-V).
bool IsConsole(std::string_view vendor) {
  constexpr std::array<std::string_view, 8> kConsoles = {"1a03", "102b", "1234", "1b36", "1af4", "15ad", "1013", "1414"};
  return std::find(kConsoles.begin(), kConsoles.end(), vendor) != kConsoles.end();
}

std::string VendorName(const std::string& vendor) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kVendors = {{{"10de", "NVIDIA"},
                                                                                      {"1002", "AMD"},
                                                                                      {"8086", "Intel"},
                                                                                      {"1da3", "Intel"},
                                                                                      {"1ae0", "Google"},
                                                                                      {"1d0f", "AWS"},
                                                                                      {"19e5", "Huawei"},
                                                                                      {"1e52", "Tenstorrent"},
                                                                                      {"17cb", "Qualcomm"}}};
  for (const auto& [number, name] : kVendors) {
    if (number == vendor) return std::string(name);
  }
  return vendor;
}

// amdgpu and xe publish their power cap through hwmon, in microwatts.
std::optional<double> PowerCapW(const fs::path& device) {
  for (const fs::path& monitor : Entries(device / "hwmon")) {
    for (const char* name : {"power1_cap", "power1_max"}) {
      if (const auto microwatts = ReadNumber(monitor / name); microwatts && *microwatts > 0) return *microwatts * 1e-6;
    }
  }
  return std::nullopt;
}

std::string LinkName(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  return error ? "" : target.filename().string();
}

std::string Transport(const std::string& name) {
  if (name.starts_with("nvme")) return "nvme";
  if (name.starts_with("vd")) return "virtio";
  if (name.starts_with("sd")) return "scsi";
  if (name.starts_with("mmcblk")) return "mmc";
  return "";
}

bool IsVirtualDisk(const std::string& name) {
  constexpr std::array<std::string_view, 8> kPrefixes = {"loop", "ram", "zram", "dm-", "md", "sr", "nbd", "fd"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace

std::vector<Accelerator> ReadPciAccelerators(const fs::path& root) {
  std::vector<Accelerator> accelerators;
  for (const fs::path& device : Entries(root / "sys/bus/pci/devices")) {
    const std::string vendor = HexDigits(device / "vendor");
    if (!IsAcceleratorClass(ReadWord(device / "class")) || vendor.empty() || IsConsole(vendor)) continue;
    Accelerator accelerator;
    accelerator.vendor = VendorName(vendor);
    accelerator.name = ReadWord(device / "product_name");
    accelerator.pci_address = device.filename().string();
    accelerator.pci_id = vendor + ":" + HexDigits(device / "device");
    accelerator.driver = LinkName(device / "driver");
    accelerator.source = "sysfs";
    accelerator.memory_bytes = ReadNumber(device / "mem_info_vram_total");
    accelerator.pcie = ReadPcieLink(device);
    accelerator.power_limit_w = PowerCapW(device);
    accelerators.push_back(std::move(accelerator));
  }
  return accelerators;
}

std::vector<Disk> ReadDisks(const fs::path& root) {
  std::vector<Disk> disks;
  for (const fs::path& block : Entries(root / "sys/block")) {
    Disk disk;
    disk.name = block.filename().string();
    disk.bytes = ReadNumber(block / "size").value_or(0) * kSectorBytes;
    if (IsVirtualDisk(disk.name) || disk.bytes <= 0) continue;
    disk.model = ReadWord(block / "device/model");
    disk.transport = Transport(disk.name);
    // A virtio disk says that it rotates, whatever the host keeps it on.
    const auto rotational = disk.transport == "virtio" ? std::nullopt : ReadNumber(block / "queue/rotational");
    if (rotational) disk.rotational = *rotational != 0;
    // nvme0n1/device is the controller, whose own device is the PCI function.
    if (disk.transport == "nvme") disk.pcie = ReadPcieLink(block / "device/device");
    disks.push_back(std::move(disk));
  }
  return disks;
}

std::vector<NetworkPort> ReadNetworkPorts(const fs::path& root) {
  std::vector<NetworkPort> ports;
  std::error_code error;
  for (const fs::path& net : Entries(root / "sys/class/net")) {
    const bool ethernet = ReadNumber(net / "type") == 1.0;
    if (!ethernet || !fs::exists(net / "device", error)) continue;
    NetworkPort port{net.filename().string(), "ethernet", std::nullopt};
    if (const auto speed = ReadNumber(net / "speed"); speed && *speed > 0) port.bytes_per_s = *speed * kMegabit;
    ports.push_back(std::move(port));
  }
  for (const fs::path& device : Entries(root / "sys/class/infiniband")) {
    for (const fs::path& entry : Entries(device / "ports")) {
      if (ReadWord(entry / "link_layer") == "Ethernet") continue;  // listed above
      NetworkPort port{device.filename().string() + "/" + entry.filename().string(), "infiniband", std::nullopt};
      const bool active = ReadWord(entry / "state").find("ACTIVE") != std::string::npos;
      if (const auto rate = ReadNumber(entry / "rate"); rate && active) port.bytes_per_s = *rate * kGigabit;
      ports.push_back(std::move(port));
    }
  }
  return ports;
}

}  // namespace moecap::hardware
