// The memory modules in a firmware's SMBIOS (DMI) structure table. A parser of foreign bytes: anything may be in them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "hardware/machine.h"

namespace moecap::hardware {

// The populated modules (type 17 structures, SMBIOS specification 7.18) of `table`, the raw structures as the kernel shows them
// in /sys/firmware/dmi/tables/DMI. Empty slots are left out; unknown values stay empty. Error: kBadInput when a structure is
// cut off or shorter than its header.
Result<std::vector<MemoryModule>> MemoryModulesFromSmbios(std::span<const std::byte> table);

}  // namespace moecap::hardware
