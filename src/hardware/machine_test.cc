#include "hardware/machine.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::hardware {
namespace {

// PCI Express Base Specification: 2.5 GT/s x 8b/10b; 16 GT/s x 128b/130b.
TEST(PcieBytesPerS, CountsTheLineCoding) {
  EXPECT_DOUBLE_EQ(*PcieBytesPerS(1, 1), 250e6);
  EXPECT_NEAR(*PcieBytesPerS(4, 16), 31.508e9, 1e6);
  EXPECT_NEAR(*PcieBytesPerS(5, 16), 63.015e9, 1e6);
  EXPECT_NEAR(*PcieBytesPerS(6, 16), 121e9, 1e6);
  EXPECT_FALSE(PcieBytesPerS(7, 16).has_value());
  EXPECT_FALSE(PcieBytesPerS(0, 16).has_value());
  EXPECT_FALSE(PcieBytesPerS(std::nullopt, 16).has_value());
  EXPECT_FALSE(PcieBytesPerS(4, 0).has_value());
}

TEST(PcieBytesPerS, AgreesWithTheCatalogue) {
  const auto catalogue = Catalogue::Builtin();
  ASSERT_TRUE(catalogue.ok());
  const std::tuple<const char*, int, int> kLinks[] = {{"pcie3-x16", 3, 16}, {"pcie4-x4", 4, 4},   {"pcie4-x16", 4, 16},
                                                      {"pcie5-x8", 5, 8},   {"pcie5-x16", 5, 16}, {"pcie6-x16", 6, 16}};
  for (const auto& [id, generation, lanes] : kLinks) {
    const double datasheet = catalogue->FindLink(id)->bytes_per_s;
    EXPECT_NEAR(*PcieBytesPerS(generation, lanes) / datasheet, 1, 0.005) << id;
  }
}

Accelerator Reported(std::string name, std::string pci_id, std::optional<double> memory_bytes) {
  Accelerator accelerator;
  accelerator.name = std::move(name);
  accelerator.pci_id = std::move(pci_id);
  accelerator.memory_bytes = memory_bytes;
  return accelerator;
}

TEST(MatchCatalogue, NamesWhatItKnowsAndLeavesTheRest) {
  constexpr double kMebibyte = 1024.0 * 1024;
  const auto catalogue = Catalogue::Builtin();
  ASSERT_TRUE(catalogue.ok());
  MachineInfo machine;
  machine.host.cpu_model = "AMD EPYC 9654 96-Core Processor";
  machine.accelerators = {Reported("NVIDIA H200", "10de:2335", 143771 * kMebibyte), Reported("", "10de:2335", std::nullopt),
                          Reported("NVIDIA H200 MIG 1g.18gb", "10de:2335", 18000 * kMebibyte),
                          Reported("", "10de:ffff", std::nullopt)};
  MemoryModule module;
  module.type = "DDR5";
  module.mega_transfers_per_s = 4800;
  machine.memory.modules = {module};
  MatchCatalogue(*catalogue, machine);
  EXPECT_EQ(machine.processor_catalogue_id, "epyc-9654");
  EXPECT_EQ(machine.accelerators[0].catalogue_id, "h200-sxm");
  EXPECT_EQ(machine.accelerators[1].catalogue_id, "h200-sxm");
  EXPECT_EQ(machine.accelerators[1].name, "H200 SXM");
  EXPECT_EQ(machine.accelerators[2].catalogue_id, "");
  EXPECT_EQ(machine.accelerators[3].catalogue_id, "");
  EXPECT_EQ(machine.memory.channel_catalogue_id, "ddr5-4800");
}

TEST(MachineInfo, JsonHasNullForWhatIsNotKnown) {
  MachineInfo machine;
  machine.accelerators = {Reported("", "10de:ffff", std::nullopt)};
  machine.disks = {{"vda", "", "virtio", 1e12, false, {}}};
  const Json json = ToJson(machine);
  EXPECT_TRUE(json["accelerators"][0]["memory_bytes"].is_null());
  EXPECT_TRUE(json["accelerators"][0]["catalogue_id"].is_null());
  EXPECT_TRUE(json["disks"][0]["pcie"].is_null());
  EXPECT_EQ(json["disks"][0]["rotational"], false);
  EXPECT_TRUE(json["memory"]["channels"].is_null());
}

}  // namespace
}  // namespace moecap::hardware
