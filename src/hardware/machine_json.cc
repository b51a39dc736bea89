#include <nlohmann/json.hpp>

#include "hardware/json_fields.h"
#include "hardware/machine.h"

namespace moecap::hardware {
namespace {

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json ToJson(const MemoryLayout& memory) {
  Json modules = Json::array();
  for (const MemoryModule& module : memory.modules) {
    modules.push_back({{"slot", TextOrNull(module.slot)},
                       {"bank", TextOrNull(module.bank)},
                       {"type", TextOrNull(module.type)},
                       {"size_bytes", module.bytes},
                       {"speed_mt_per_s", OrNull(module.mega_transfers_per_s)},
                       {"data_bits", OrNull(module.data_bits)}});
  }
  return {{"modules", std::move(modules)},
          {"channels", OrNull(memory.channels)},
          {"peak_bytes_per_s", OrNull(memory.peak_bytes_per_s)},
          {"channel_catalogue_id", TextOrNull(memory.channel_catalogue_id)},
          {"source", TextOrNull(memory.source)}};
}

Json ToJson(const Disk& disk) {
  return {{"name", disk.name},
          {"model", TextOrNull(disk.model)},
          {"transport", TextOrNull(disk.transport)},
          {"size_bytes", disk.bytes},
          {"rotational", OrNull(disk.rotational)},
          {"pcie", disk.pcie == PcieLink() ? Json(nullptr) : ToJson(disk.pcie)}};
}

}  // namespace

Json ToJson(const PcieLink& link) {
  return {{"generation", OrNull(link.generation)},
          {"lanes", OrNull(link.lanes)},
          {"bytes_per_s", OrNull(PcieBytesPerS(link.generation, link.lanes))},
          {"max_generation", OrNull(link.max_generation)},
          {"max_lanes", OrNull(link.max_lanes)},
          {"max_bytes_per_s", OrNull(PcieBytesPerS(link.max_generation, link.max_lanes))}};
}

Json ToJson(const Accelerator& accelerator) {
  return {{"vendor", accelerator.vendor},
          {"name", TextOrNull(accelerator.name)},
          {"catalogue_id", TextOrNull(accelerator.catalogue_id)},
          {"memory_bytes", OrNull(accelerator.memory_bytes)},
          {"power_limit_w", OrNull(accelerator.power_limit_w)},
          {"pcie", ToJson(accelerator.pcie)},
          {"nvlinks", OrNull(accelerator.nvlinks)},
          {"pci_address", TextOrNull(accelerator.pci_address)},
          {"pci_id", TextOrNull(accelerator.pci_id)},
          {"driver", TextOrNull(accelerator.driver)},
          {"source", accelerator.source}};
}

Json ToJson(const MachineInfo& machine) {
  Json accelerators = Json::array();
  for (const Accelerator& accelerator : machine.accelerators) accelerators.push_back(ToJson(accelerator));
  Json disks = Json::array();
  for (const Disk& disk : machine.disks) disks.push_back(ToJson(disk));
  Json ports = Json::array();
  for (const NetworkPort& port : machine.network_ports) {
    ports.push_back({{"name", port.name}, {"kind", port.kind}, {"bytes_per_s", OrNull(port.bytes_per_s)}});
  }
  return {{"schema", 1},
          {"host", ToJson(machine.host)},
          {"processor_catalogue_id", TextOrNull(machine.processor_catalogue_id)},
          {"memory", ToJson(machine.memory)},
          {"accelerators", std::move(accelerators)},
          {"disks", std::move(disks)},
          {"network_ports", std::move(ports)},
          {"notes", machine.notes}};
}

}  // namespace moecap::hardware
