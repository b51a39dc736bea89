#include "hardware/smbios.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

namespace moecap::hardware {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Table {
 public:
  // Puts a structure of `length` bytes; `fields` are (offset, byte) pairs.
  Table& Add(uint8_t type, uint8_t length, std::vector<std::pair<size_t, int>> fields, std::vector<std::string> strings) {
    std::string structure(length, '\0');
    structure[0] = static_cast<char>(type);
    structure[1] = static_cast<char>(length);
    for (const auto& [offset, value] : fields) structure[offset] = static_cast<char>(value);
    for (const std::string& text : strings) structure += text + '\0';
    if (strings.empty()) structure += '\0';
    bytes_ += structure + '\0';
    return *this;
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }
  std::string& raw() { return bytes_; }

 private:
  std::string bytes_;
};

// 64 GiB DDR5 of 80 bits with 64 of data, rated 5600 and run at 4800 MT/s.
Table Ddr5() {
  Table table;
  table.Add(17, 0x5c,
            {{0x08, 80},
             {0x0a, 64},
             {0x0c, 0xff},
             {0x0d, 0x7f},
             {0x10, 1},
             {0x11, 2},
             {0x12, 0x22},
             {0x15, 0xe0},
             {0x16, 0x15},
             {0x1c, 0x00},
             {0x1d, 0x00},
             {0x1e, 0x01},
             {0x20, 0xc0},
             {0x21, 0x12}},
            {"CPU0_DIMM_A1  ", "P0 CHANNEL A"});
  return table;
}

TEST(MemoryModulesFromSmbios, ReadsAModule) {
  const auto modules = MemoryModulesFromSmbios(Ddr5().bytes());
  ASSERT_TRUE(modules.ok()) << modules.error().message;
  ASSERT_THAT(*modules, SizeIs(1));
  const MemoryModule& module = modules->front();
  EXPECT_EQ(module.slot, "CPU0_DIMM_A1");
  EXPECT_EQ(module.bank, "P0 CHANNEL A");
  EXPECT_EQ(module.type, "DDR5");
  EXPECT_EQ(module.bytes, 64.0 * (1 << 30));
  EXPECT_EQ(module.data_bits, 64);
  EXPECT_EQ(module.mega_transfers_per_s, 4800);
}

TEST(MemoryModulesFromSmbios, OtherStructuresEmptySlotsAndOldVersions) {
  Table table;
  table.Add(0, 0x18, {}, {"a maker", "a version"}).Add(1, 0x1b, {}, {});
  table.Add(17, 0x28, {{0x0c, 0}}, {"DIMM_B1"});  // empty slot
  table.Add(17, 0x15, {{0x0c, 0x00}, {0x0d, 0x08}, {0x10, 9}, {0x12, 0x13}},
            {});                                                        // 2 GiB, ends before the speed, string 9 of 0
  table.Add(17, 0x28, {{0x0c, 0x00}, {0x0d, 0x82}, {0x12, 0x02}}, {});  // 512 KiB of an unknown type
  table.Add(127, 4, {}, {});
  table.raw() += "behind the end";
  const auto modules = MemoryModulesFromSmbios(table.bytes());
  ASSERT_TRUE(modules.ok()) << modules.error().message;
  ASSERT_THAT(*modules, SizeIs(2));
  EXPECT_EQ((*modules)[0].bytes, 2.0 * (1 << 30));
  EXPECT_EQ((*modules)[0].slot, "");
  EXPECT_EQ((*modules)[0].type, "DDR2");
  EXPECT_FALSE((*modules)[0].mega_transfers_per_s.has_value());
  EXPECT_EQ((*modules)[1].bytes, 512.0 * 1024);
  EXPECT_EQ((*modules)[1].type, "");
}

TEST(MemoryModulesFromSmbios, RefusesWhatIsCutOff) {
  Table table = Ddr5();
  for (const size_t kept : {table.raw().size() - 1, table.raw().size() - 20, size_t{40}, size_t{5}}) {
    const auto modules = MemoryModulesFromSmbios(table.bytes().first(kept));
    ASSERT_FALSE(modules.ok()) << kept;
    EXPECT_THAT(modules.error().message, HasSubstr("cut off")) << kept;
  }
  table.raw()[1] = 3;
  EXPECT_THAT(MemoryModulesFromSmbios(table.bytes()).error().message, HasSubstr("length of 3"));
  const auto none = MemoryModulesFromSmbios({});
  ASSERT_TRUE(none.ok());
  EXPECT_THAT(*none, IsEmpty());
}

}  // namespace
}  // namespace moecap::hardware
