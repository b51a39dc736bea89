// The key `cap` of a run's configuration: how its figures are scored. It changes no measurement.
#pragma once

#include <span>

#include "base/json.h"
#include "base/result.h"
#include "base/yaml.h"
#include "cap/axis.h"

namespace moecap::run {

struct CapConfig {
  cap::CapChoice choice;
  cap::ServiceLevel service_level;  // limits that a request must keep to count into the goodput
};

// Complains about unknown scenarios and axes (with the nearest), a concurrency that is not among `measured`, and goodput
// without a service level.
CapConfig ReadCap(const YamlNode& node, std::span<const int> measured, YamlErrors& errors);

// What was given and no more, and back.
Json ToJson(const CapConfig& config);
Result<CapConfig> CapConfigFromJson(const Json& json, std::span<const int> measured);

}  // namespace moecap::run
