// The memory modules in a firmware's SMBIOS table.
#include "fuzz/fuzz.h"
#include "hardware/smbios.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto modules = hardware::MemoryModulesFromSmbios(fuzz::Bytes(data, size));
  if (!modules.ok()) return 0;
  for (const hardware::MemoryModule& module : *modules) {
    CHECK(module.bytes > 0 && module.slot.size() <= size && module.bank.size() <= size);
    CHECK(!module.data_bits || *module.data_bits >= 8);
    CHECK(!module.mega_transfers_per_s || *module.mega_transfers_per_s >= 100);
  }
  return 0;
}
