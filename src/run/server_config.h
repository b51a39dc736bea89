// The part of a run's configuration that names a server: from YAML, and to and from the manifest's JSON.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "base/yaml.h"
#include "run/config.h"

namespace moecap::run {

// The mapping `server` of a system; paths are relative to `base_dir`. A header that looks like a secret must name an
// environment variable ("$NAME"), since the configuration is stored with the run.
ServerConfig ReadServer(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors);

Json ToJson(const ServerConfig& server);
// Throws Json::exception for a missing key, as the reader of the whole configuration expects.
ServerConfig ServerFromJson(const Json& json);

}  // namespace moecap::run
