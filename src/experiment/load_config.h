// The keys of a configuration that say when requests are sent. Internal to experiment/.
#pragma once

#include <optional>
#include <string_view>

#include "base/yaml.h"
#include "experiment/config.h"

namespace moecap::experiment {

// `load`, `concurrency`, `search` and `objectives` of the whole configuration.
void ReadLevels(YamlMap& map, YamlErrors& errors, Config& config);
void ReadObjectives(const YamlNode& node, std::string_view where, YamlErrors& errors, metrics::LatencyObjectives& objectives);
void ReadDeadlines(const YamlNode& node, YamlErrors& errors, Deadlines& deadlines);

// Values that do not go together. Error: kBadInput.
Status CheckLoad(const Config& config);

// A number above 0; null when absent.
std::optional<double> ReadPositive(YamlMap& map, std::string_view key);
double ReadWithin(YamlMap& map, std::string_view key, double least, double most, double otherwise);

}  // namespace moecap::experiment
