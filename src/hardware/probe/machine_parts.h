// The parts of DetectMachineAt, one file each. Internal to hardware/probe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hardware/machine.h"

namespace moecap::hardware {

// Display and processing devices on the PCI bus, without those that computer boards and hypervisors use for their consoles.
std::vector<Accelerator> ReadPciAccelerators(const std::filesystem::path& root);

// Disks with a size, without partitions, loop devices, RAM disks and device-mapper volumes.
std::vector<Disk> ReadDisks(const std::filesystem::path& root);

// Ethernet ports of devices (bridges and tunnels left out) and InfiniBand ports.
std::vector<NetworkPort> ReadNetworkPorts(const std::filesystem::path& root);

// Modules from SMBIOS (root only), channels from the memory controller's driver. Appends to `notes` why something is missing.
MemoryLayout ReadMemoryLayout(const std::filesystem::path& root, std::vector<std::string>& notes);

}  // namespace moecap::hardware
