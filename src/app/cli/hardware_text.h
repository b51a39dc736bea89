// The text and JSON of `moecap hardware`.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "hardware/catalogue.h"
#include "hardware/host.h"
#include "hardware/machine.h"

namespace moecap::app {

// Tables of at most `width` columns, one line a device or link.
std::string DeviceTable(std::span<const hardware::Device> devices, size_t width, bool unicode);
std::string LinkTable(std::span<const hardware::Link> links, size_t width, bool unicode);

// Everything the catalogue knows of one, and what follows from it: FLOPs per byte at the ridge of the roofline, W and USD per
// TB/s.
std::string DeviceSheet(const hardware::Catalogue& catalogue, const hardware::Device& device, size_t width);
std::string LinkSheet(const hardware::Link& link, size_t width);
Json DeviceSheetJson(const hardware::Device& device);

// What a machine is built of.
std::string MachineText(const hardware::MachineInfo& machine, size_t width, bool unicode);

// The measured ceilings beside the datasheet's of the devices that the catalogue knows; `measured_now` is false for cached
// ones.
std::string CeilingsText(const hardware::Catalogue& catalogue, const hardware::HostInfo& host,
                         const hardware::Ceilings& ceilings, bool measured_now, size_t width, bool unicode);
// {"processor": DEVICE or null, "gpus": [DEVICE or null ...]}: the catalogue's entries of what was measured.
Json DatasheetJson(const hardware::Catalogue& catalogue, const hardware::HostInfo& host, const hardware::Ceilings& ceilings);

}  // namespace moecap::app
