// Small files of /proc and /sys. Internal to hardware/probe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hardware/machine.h"

namespace moecap::hardware {

// The first line without spaces around it; empty when the file cannot be read.
std::string ReadWord(const std::filesystem::path& file);

// The number at the start of the first line; null when there is none.
std::optional<double> ReadNumber(const std::filesystem::path& file);

// Entries of a folder by name, in order; empty when it cannot be read.
std::vector<std::filesystem::path> Entries(const std::filesystem::path& folder);

// CPU numbers that the calling thread may run on, ascending; never empty.
std::vector<int> AffinityMask();

// current_link_speed and its kin of a PCI device's folder.
PcieLink ReadPcieLink(const std::filesystem::path& device);

}  // namespace moecap::hardware
