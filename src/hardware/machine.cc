#include "hardware/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace moecap::hardware {
namespace {

// "DDR5" at 4800 MT/s -> "ddr5-4800", as the catalogue names a channel.
std::string ChannelId(const MemoryModule& module) {
  if (module.type.empty() || !module.mega_transfers_per_s) return "";
  std::string type = module.type;
  std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) { return std::tolower(c); });
  return fmt::format("{}-{}", type, *module.mega_transfers_per_s);
}

void MatchAccelerators(const Catalogue& catalogue, MachineInfo& machine) {
  for (Accelerator& accelerator : machine.accelerators) {
    auto device = catalogue.MatchAccelerator(accelerator.name, accelerator.memory_bytes);
    // A name that the catalogue does not know may be a cut-down or a partitioned board with the full board's PCI number.
    if (!device && accelerator.name.empty()) device = catalogue.MatchPciId(accelerator.pci_id, accelerator.memory_bytes);
    if (!device) continue;
    accelerator.catalogue_id = device->id;
    if (accelerator.name.empty()) accelerator.name = device->name;
  }
}

}  // namespace

std::optional<double> PcieBytesPerS(std::optional<int> generation, std::optional<int> lanes) {
  // Transfers per second and lane, and the share of the bits that carries data; generation 6: FLITs of 256 bytes, 242 of them
  // data.
  struct Rate {
    double giga_transfers_per_s, data_share;
  };
  constexpr Rate kRates[] = {{2.5, 0.8}, {5, 0.8}, {8, 128.0 / 130}, {16, 128.0 / 130}, {32, 128.0 / 130}, {64, 242.0 / 256}};
  if (!generation || !lanes || *generation < 1 || *generation > 6 || *lanes < 1 || *lanes > 32) return std::nullopt;
  const Rate& rate = kRates[*generation - 1];
  return rate.giga_transfers_per_s * 1e9 / 8 * rate.data_share * *lanes;
}

void MatchCatalogue(const Catalogue& catalogue, MachineInfo& machine) {
  if (const auto processor = catalogue.MatchProcessor(machine.host.cpu_model)) machine.processor_catalogue_id = processor->id;
  MatchAccelerators(catalogue, machine);
  if (!machine.memory.modules.empty()) {
    const std::string id = ChannelId(machine.memory.modules.front());
    if (!id.empty() && catalogue.FindLink(id).ok()) machine.memory.channel_catalogue_id = id;
  }
}

}  // namespace moecap::hardware
