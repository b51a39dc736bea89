// Catalogue entries from JSON. Internal to hardware/.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "hardware/device.h"

namespace moecap::hardware {

// The keys and units of catalog/hardware/; errors name the key.
Result<Device> DeviceFromJson(const Json& json);
Result<Link> LinkFromJson(const Json& json);

}  // namespace moecap::hardware
