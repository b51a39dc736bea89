#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>

#include "base/fs.h"
#include "hardware/probe/machine_parts.h"
#include "hardware/probe/sysfs.h"
#include "hardware/smbios.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

constexpr double kMib = 1024.0 * 1024;
constexpr int kUsualDataBits = 64;

// "Registered-DDR4" -> "DDR4".
std::string ShortType(const std::string& edac_type) {
  constexpr std::array<std::string_view, 4> kTypes = {"DDR5", "DDR4", "DDR3", "HBM"};
  for (const std::string_view type : kTypes) {
    if (edac_type.find(type) != std::string::npos) return std::string(type);
  }
  return "";
}

// "memory 0 channel 3 slot 1" -> "memory 0 channel 3": where the location names a channel. Chip-select rows share a channel.
std::string ChannelOf(const std::string& location) {
  const size_t channel = location.find("channel ");
  if (channel == std::string::npos) return "";
  const size_t row = location.find("csrow");
  const size_t end = location.find(' ', channel + 8);
  const std::string until = location.substr(0, end);
  return row == 0 ? until.substr(until.find("channel")) : until;
}

struct Edac {
  std::vector<MemoryModule> modules;
  std::set<std::string> channels;
  bool every_module_names_its_channel = true;
};

Edac ReadEdac(const fs::path& root) {
  Edac edac;
  for (const fs::path& controller : Entries(root / "sys/devices/system/edac/mc")) {
    for (const fs::path& dimm : Entries(controller)) {
      const std::string folder = dimm.filename().string();
      const auto mib = ReadNumber(dimm / "size");
      if ((!folder.starts_with("dimm") && !folder.starts_with("rank")) || !mib || *mib <= 0) continue;
      MemoryModule module;
      module.slot = ReadWord(dimm / "dimm_label");
      module.type = ShortType(ReadWord(dimm / "dimm_mem_type"));
      module.bytes = *mib * kMib;
      const std::string channel = ChannelOf(ReadWord(dimm / "dimm_location"));
      if (channel.empty()) edac.every_module_names_its_channel = false;
      edac.channels.insert(controller.filename().string() + " " + channel);
      edac.modules.push_back(std::move(module));
    }
  }
  return edac;
}

// Boards whose bank locator reads like "P0 CHANNEL A" tell the channels; null for the others.
std::optional<int> ChannelsFromBanks(const std::vector<MemoryModule>& modules) {
  std::set<std::string> banks;
  for (const MemoryModule& module : modules) {
    std::string bank = module.bank;
    std::transform(bank.begin(), bank.end(), bank.begin(), [](unsigned char c) { return std::toupper(c); });
    if (bank.find("CHANNEL") == std::string::npos) return std::nullopt;
    banks.insert(bank);
  }
  return banks.empty() ? std::nullopt : std::optional(static_cast<int>(banks.size()));
}

std::vector<MemoryModule> ReadSmbios(const fs::path& root, std::vector<std::string>& notes) {
  const fs::path file = root / "sys/firmware/dmi/tables/DMI";
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  const auto table = ReadFile(file);
  if (!table) {
    notes.push_back(
        fmt::format("{} cannot be read: run `moecap hardware detect` as root to see memory modules", file.string()));
    return {};
  }
  auto modules = MemoryModulesFromSmbios(std::as_bytes(std::span(*table)));
  if (!modules) {
    notes.push_back(fmt::format("{}: {}", file.string(), modules.error().message));
    return {};
  }
  return *std::move(modules);
}

// All modules of one machine run at the speed of the slowest.
std::optional<double> PeakBytesPerS(const MemoryLayout& memory) {
  std::optional<int> speed;
  int bits = kUsualDataBits;
  for (const MemoryModule& module : memory.modules) {
    if (!module.mega_transfers_per_s) return std::nullopt;
    speed = std::min(speed.value_or(*module.mega_transfers_per_s), *module.mega_transfers_per_s);
    bits = module.data_bits.value_or(bits);
  }
  if (!speed || !memory.channels) return std::nullopt;
  return *speed * 1e6 * bits / 8 * *memory.channels;
}

}  // namespace

MemoryLayout ReadMemoryLayout(const fs::path& root, std::vector<std::string>& notes) {
  MemoryLayout memory;
  memory.modules = ReadSmbios(root, notes);
  Edac edac = ReadEdac(root);
  const bool smbios = !memory.modules.empty();
  memory.channels = ChannelsFromBanks(memory.modules);
  if (!edac.modules.empty() && edac.every_module_names_its_channel) memory.channels = static_cast<int>(edac.channels.size());
  if (!smbios) memory.modules = std::move(edac.modules);
  if (smbios) memory.source = "SMBIOS";
  if (!edac.channels.empty()) memory.source = smbios ? "EDAC and SMBIOS" : "EDAC";
  memory.peak_bytes_per_s = PeakBytesPerS(memory);
  if (memory.modules.empty())
    notes.emplace_back("memory modules and channels: neither the firmware nor the memory controller tells");
  return memory;
}

}  // namespace moecap::hardware
