#include "hardware/smbios.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace moecap::hardware {
namespace {

constexpr uint8_t kMemoryDevice = 17;
constexpr uint8_t kEndOfTable = 127;
constexpr size_t kHeaderBytes = 4;
constexpr size_t kMostModules = 4096;
constexpr double kMib = 1024.0 * 1024;

// One structure: its formatted part, and the strings behind it that fields name by number.
class Structure {
 public:
  Structure(std::span<const std::byte> formatted, std::span<const std::byte> strings)
      : formatted_(formatted), strings_(strings) {}

  // 0 when the structure ends before: an older version of the specification.
  uint8_t Byte(size_t offset) const { return offset < formatted_.size() ? static_cast<uint8_t>(formatted_[offset]) : 0; }
  uint16_t Word(size_t offset) const { return static_cast<uint16_t>(Byte(offset) | (Byte(offset + 1) << 8)); }
  uint32_t DoubleWord(size_t offset) const { return Word(offset) | (static_cast<uint32_t>(Word(offset + 2)) << 16); }

  // The string that the byte at `offset` numbers (from 1), without trailing spaces; empty when there is none.
  std::string Text(size_t offset) const {
    const int wanted = Byte(offset);
    const char* data = reinterpret_cast<const char*>(strings_.data());
    const char* const end = data + strings_.size();
    for (int number = 1; number <= wanted && data < end; ++number) {
      const char* const zero = std::find(data, end, '\0');
      if (number == wanted) {
        std::string text(data, zero);
        text.erase(text.find_last_not_of(' ') + 1);
        return text;
      }
      data = zero + 1;
    }
    return "";
  }

 private:
  std::span<const std::byte> formatted_;
  std::span<const std::byte> strings_;
};

// Specification 7.18.2, the types in use today.
std::string TypeName(uint8_t type) {
  switch (type) {
    case 0x12:
      return "DDR";
    case 0x13:
      return "DDR2";
    case 0x18:
      return "DDR3";
    case 0x1a:
      return "DDR4";
    case 0x1d:
      return "LPDDR3";
    case 0x1e:
      return "LPDDR4";
    case 0x20:
      return "HBM";
    case 0x21:
      return "HBM2";
    case 0x22:
      return "DDR5";
    case 0x23:
      return "LPDDR5";
    case 0x24:
      return "HBM3";
    default:
      return "";
  }
}

// Bytes; 0 = empty slot or unknown. A set highest bit counts in KiB instead of MiB; 0x7fff refers to the extended field.
double SizeBytes(const Structure& module) {
  const uint16_t size = module.Word(0x0c);
  if (size == 0 || size == 0xffff) return 0;
  if (size == 0x7fff) return (module.DoubleWord(0x1c) & 0x7fffffffu) * kMib;
  return (size & 0x8000) != 0 ? (size & 0x7fff) * 1024.0 : size * kMib;
}

std::optional<int> PlausibleSpeed(uint32_t mega_transfers_per_s) {
  return mega_transfers_per_s >= 100 && mega_transfers_per_s <= 100000 ? std::optional(static_cast<int>(mega_transfers_per_s))
                                                                       : std::nullopt;
}

// Speeds above 65 GT/s stand in the extended field.
std::optional<int> Speed(const Structure& module, size_t offset, size_t extended_offset) {
  const uint16_t speed = module.Word(offset);
  return PlausibleSpeed(speed == 0xffff ? module.DoubleWord(extended_offset) & 0x7fffffffu : speed);
}

MemoryModule ToModule(const Structure& structure) {
  MemoryModule module;
  module.bytes = SizeBytes(structure);
  module.slot = structure.Text(0x10);
  module.bank = structure.Text(0x11);
  module.type = TypeName(structure.Byte(0x12));
  const uint16_t bits = structure.Word(0x0a);
  if (bits >= 8 && bits <= 8192) module.data_bits = bits;
  module.mega_transfers_per_s = Speed(structure, 0x20, 0x58);
  if (!module.mega_transfers_per_s) module.mega_transfers_per_s = Speed(structure, 0x15, 0x54);
  return module;
}

}  // namespace

Result<std::vector<MemoryModule>> MemoryModulesFromSmbios(std::span<const std::byte> table) {
  std::vector<MemoryModule> modules;
  size_t at = 0;
  while (at + kHeaderBytes <= table.size()) {
    const auto type = static_cast<uint8_t>(table[at]);
    const size_t length = static_cast<size_t>(table[at + 1]);
    if (length < kHeaderBytes) return BadInput(fmt::format("the SMBIOS structure at byte {} has a length of {}", at, length));
    // The strings end with two zeros, also when there is no string.
    size_t end = at + length;
    while (end + 1 < table.size() && (table[end] != std::byte{0} || table[end + 1] != std::byte{0})) ++end;
    if (end + 1 >= table.size()) return BadInput(fmt::format("the SMBIOS structure at byte {} is cut off", at));
    if (type == kEndOfTable) break;
    if (type == kMemoryDevice && modules.size() < kMostModules) {
      const Structure structure(table.subspan(at, length), table.subspan(at + length, end + 1 - at - length));
      if (MemoryModule module = ToModule(structure); module.bytes > 0) modules.push_back(std::move(module));
    }
    at = end + 2;
  }
  return modules;
}

}  // namespace moecap::hardware
