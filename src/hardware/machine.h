// What is built into a machine besides its processor: accelerators, memory modules, disks and links. Values with their JSON
// form; reading them is hardware/probe's work.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "hardware/catalogue.h"
#include "hardware/host.h"

namespace moecap::hardware {

// Null = the system does not tell. `generation` and `lanes` are those in use now: a link may save power by slowing down when
// idle.
struct PcieLink {
  std::optional<int> generation, lanes;
  std::optional<int> max_generation, max_lanes;  // of device and slot together

  bool operator==(const PcieLink&) const = default;
};

// Peak of one direction after line coding (8b/10b, 128b/130b, FLIT), before packet headers; in practice 80 to 90 % of it is
// reached. Null for an unknown generation (known: 1 to 6).
std::optional<double> PcieBytesPerS(std::optional<int> generation, std::optional<int> lanes);

struct Accelerator {
  std::string vendor;       // "NVIDIA", "AMD", "Intel"; else the vendor's PCI number
  std::string name;         // as the driver reports it; empty when only the PCI number is known
  std::string pci_address;  // "0000:1b:00.0"
  std::string pci_id;       // vendor and device, "10de:2335"
  std::string driver;       // "NVIDIA 570.86.15", "amdgpu"
  std::string source;       // "NVML" or "sysfs"
  std::optional<double> memory_bytes;
  PcieLink pcie;
  std::optional<double> power_limit_w;
  std::optional<int> nvlinks;  // in use
  std::string catalogue_id;    // empty = not in the catalogue
};

struct MemoryModule {
  std::string slot;  // "CPU0_DIMM_A1"
  std::string bank;  // "P0 CHANNEL A"; names the channel on many boards
  std::string type;  // "DDR5"
  double bytes = 0;
  std::optional<int> mega_transfers_per_s;  // as configured, else as rated
  std::optional<int> data_bits;             // without error correction
};

// Null = neither the memory controller's driver (EDAC) nor the firmware's table (SMBIOS) tells.
struct MemoryLayout {
  std::vector<MemoryModule> modules;
  std::optional<int> channels;             // populated
  std::optional<double> peak_bytes_per_s;  // channels x width x transfers
  std::string channel_catalogue_id;        // the catalogue's link of one channel; empty = none
  std::string source;                      // "EDAC", "SMBIOS" or "EDAC and SMBIOS"
};

struct Disk {
  std::string name;       // "nvme0n1"
  std::string model;      // often empty in virtual machines
  std::string transport;  // "nvme", "virtio", "scsi", "mmc"; empty = another
  double bytes = 0;
  std::optional<bool> rotational;
  PcieLink pcie;  // of an NVMe disk
};

struct NetworkPort {
  std::string name;                   // "eth0", "mlx5_0/1"
  std::string kind;                   // "ethernet", "infiniband"
  std::optional<double> bytes_per_s;  // one direction; null = no link, or a virtual port
};

struct MachineInfo {
  HostInfo host;
  std::string processor_catalogue_id;  // empty = not in the catalogue, or the host hides its model
  MemoryLayout memory;
  std::vector<Accelerator> accelerators;
  std::vector<Disk> disks;
  std::vector<NetworkPort> network_ports;
  std::vector<std::string> notes;  // what could not be read, and what would help
};

// Fills the catalogue ids, and the names that only the PCI number told.
void MatchCatalogue(const Catalogue& catalogue, MachineInfo& machine);

Json ToJson(const PcieLink& link);
Json ToJson(const Accelerator& accelerator);
Json ToJson(const MachineInfo& machine);

}  // namespace moecap::hardware
