// The part of a configuration that names a server.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/yaml.h"

namespace moecap::experiment {

// A server reached over HTTP. The names of interfaces and kinds are those of system/openai/dialect.h.
struct ServerConfig {
  std::vector<std::string> urls;  // at least one, but of a launched server; further ones serve the same
  std::string api = "completions";
  std::string kind;   // empty = found out by asking the server
  std::string model;  // as the server knows it; empty = the only one it lists
  // Where the key is; the key itself is never in a configuration.
  std::string api_key_env;
  std::filesystem::path api_key_file;
  std::filesystem::path ca;  // PEM; empty = the system's certificates
  bool insecure = false;     // accept any certificate
  std::map<std::string, std::string> headers;
  std::vector<std::string> source_addresses;
  bool stream = true;
  std::filesystem::path pass_records;  // the server writes its passes there itself (server_records.h); empty = it does not
  // The shape of requests (openai::RequestProfile), where the interface's own does not fit.
  std::map<std::string, std::string> body;   // member of the request's body -> its JSON; "null" removes it
  std::string max_tokens_field;              // "" = the interface's own
  std::optional<double> temperature = 0;     // null = none is sent
  std::string path;                          // "" = the interface's own
  std::map<std::string, std::string> query;  // a value "$NAME" is taken from the environment
  std::string api_key_header;                // "" = the interface's own
  double timeout_s = 600;                    // for one request
  double connect_timeout_s = 10;             // for one connection
};

// The mapping `server` of a system; paths are relative to `base_dir`. A header that looks like a secret must name an
// environment variable ("$NAME"), since the configuration is stored with the run. `needs_url`: false for a server that is
// launched, whose address may follow from its command.
ServerConfig ReadServer(const YamlNode& node, const std::filesystem::path& base_dir, bool needs_url, YamlErrors& errors);

}  // namespace moecap::experiment
