#include "app/server_connection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <utility>

#include "base/fs.h"
#include "net/proxy.h"

namespace moecap::app {
namespace {

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string FirstOf(const char* name, const char* other) {
  const std::string value = FromEnvironment(name);
  return value.empty() ? FromEnvironment(other) : value;
}

Result<std::string> ReadKey(const experiment::ServerConfig& server) {
  if (!server.api_key_env.empty()) {
    std::string key = FromEnvironment(server.api_key_env.c_str());
    if (key.empty())
      return BadInput(fmt::format("the environment variable {} (api_key_env) is not set; export it with the server's key",
                                  server.api_key_env));
    return key;
  }
  if (server.api_key_file.empty()) return std::string();
  ASSIGN_OR_RETURN(std::string key, ReadFile(server.api_key_file));
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' ')) key.pop_back();
  if (key.empty())
    return BadInput(
        fmt::format("{}: the file (api_key_file) is empty; write the server's key into it", server.api_key_file.string()));
  return key;
}

Result<net::HttpClientOptions> HttpOptions(const experiment::ServerConfig& server) {
  net::HttpClientOptions options;
  for (const std::string& text : server.urls) {
    ASSIGN_OR_RETURN(options.urls.emplace_back(), net::ParseUrl(text));
  }
  options.tls = {!server.insecure, server.ca.string()};
  for (const auto& [name, value] : server.headers) {
    const bool variable = value.starts_with('$');
    options.headers.emplace_back(name, variable ? FromEnvironment(value.c_str() + 1) : value);
    if (variable && options.headers.back().second.empty())
      return BadInput(fmt::format("the environment variable {} (header {}) is not set; export it", value.substr(1), name));
  }
  const net::ProxyEnvironment environment{FromEnvironment("http_proxy"), FirstOf("https_proxy", "HTTPS_PROXY"),
                                          FirstOf("no_proxy", "NO_PROXY")};
  ASSIGN_OR_RETURN(options.proxy, net::ChooseProxy(options.urls, environment));
  options.source_addresses = server.source_addresses;
  return options;
}

int64_t Nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

// The model's name: the configured one, or the only one the server lists.
Result<std::string> ModelName(const experiment::ServerConfig& server, const openai::ServerIdentity& identity) {
  if (!server.model.empty()) return server.model;
  if (identity.models.size() == 1) return identity.models.front();
  if (identity.models.empty()) return std::string("unnamed");
  return BadInput(fmt::format("{} serves {} models; choose one as server.model: {}", server.urls.front(),
                              identity.models.size(), fmt::join(identity.models, ", ")));
}

}  // namespace

Result<ServerConnection> ConnectServer(const experiment::ServerConfig& server, const Clock& clock) {
  ServerConnection connection;
  openai::OpenAiOptions& options = connection.options;
  ASSIGN_OR_RETURN(options.http, HttpOptions(server));
  ASSIGN_OR_RETURN(options.api_key, ReadKey(server));
  ASSIGN_OR_RETURN(options.profile.api, openai::ParseApi(server.api));
  connection.connect_limit_ns = Nanoseconds(server.connect_timeout_s);
  options.default_deadlines.connect_ns = connection.connect_limit_ns;
  options.default_deadlines.total_ns = Nanoseconds(server.timeout_s);
  options.stream = server.stream;
  connection.url = options.http.urls.front().Origin();

  ASSIGN_OR_RETURN(connection.identity,
                   openai::IdentifyServers(options.http, options.api_key, connection.connect_limit_ns, clock));
  if (!server.kind.empty()) {
    ASSIGN_OR_RETURN(connection.identity.kind, openai::ParseServerKind(server.kind));
  }
  options.profile.server = connection.identity.kind;
  ASSIGN_OR_RETURN(options.profile.model, ModelName(server, connection.identity));
  return connection;
}

std::string ServerConnection::ServerName() const {
  return fmt::format("{}{}{}", openai::Name(identity.kind), identity.version.empty() ? "" : " ", identity.version);
}

}  // namespace moecap::app
