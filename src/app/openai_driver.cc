#include "app/openai_driver.h"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

#include "base/fs.h"
#include "net/proxy.h"
#include "system/openai/discovery.h"
#include "system/openai/openai_system.h"

namespace moecap::app {
namespace {

using openai::OpenAiOptions;
using openai::OpenAiSystem;

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string FirstOf(const char* name, const char* other) {
  const std::string value = FromEnvironment(name);
  return value.empty() ? FromEnvironment(other) : value;
}

Result<std::string> ReadKey(const run::ServerConfig& server) {
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

Result<net::HttpClientOptions> HttpOptions(const run::ServerConfig& server) {
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
  ASSIGN_OR_RETURN(options.proxy, net::ChooseProxy(options.urls.front(), environment));
  options.source_addresses = server.source_addresses;
  return options;
}

int64_t Nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

class Instance final : public run::SystemInstance {
 public:
  explicit Instance(std::unique_ptr<OpenAiSystem> system) : system_(std::move(system)) {}
  load::SystemUnderTest& system() override { return *system_; }
  void BeginMeasurement() override {}
  Status AddRouting(std::vector<record::PassRecord>&) override { return {}; }

 private:
  std::unique_ptr<OpenAiSystem> system_;
};

class Driver final : public run::SystemDriver {
 public:
  Driver(OpenAiOptions options, int64_t connect_limit_ns, const Clock& clock, run::SystemDescription description)
      : options_(std::move(options)),
        connect_limit_ns_(connect_limit_ns),
        clock_(clock),
        description_(std::move(description)) {}

  const run::SystemDescription& description() const override { return description_; }
  bool in_process() const override { return false; }

  Result<std::unique_ptr<run::SystemInstance>> Start(int concurrency) override {
    ASSIGN_OR_RETURN(auto system, OpenAiSystem::Create(options_, clock_));
    RETURN_IF_ERROR(system->WarmUp(static_cast<size_t>(concurrency), connect_limit_ns_));
    return std::unique_ptr<run::SystemInstance>(new Instance(std::move(system)));
  }

  void Unload() override {}

 private:
  OpenAiOptions options_;
  int64_t connect_limit_ns_;
  const Clock& clock_;
  run::SystemDescription description_;
};

// The model's name: the configured one, or the only one the server lists.
Result<std::string> ModelName(const run::ServerConfig& server, const openai::ServerIdentity& identity) {
  if (!server.model.empty()) return server.model;
  if (identity.models.size() == 1) return identity.models.front();
  if (identity.models.empty()) return std::string("unnamed");
  return BadInput(fmt::format("{} serves {} models; choose one as server.model: {}", server.urls.front(),
                              identity.models.size(), fmt::join(identity.models, ", ")));
}

Result<std::unique_ptr<run::SystemDriver>> MakeDriver(const run::SystemConfig& system, const Clock& clock) {
  const run::ServerConfig& server = *system.server;
  OpenAiOptions options;
  ASSIGN_OR_RETURN(options.http, HttpOptions(server));
  ASSIGN_OR_RETURN(options.api_key, ReadKey(server));
  ASSIGN_OR_RETURN(options.profile.api, openai::ParseApi(server.api));
  const int64_t connect_ns = Nanoseconds(server.connect_timeout_s);
  options.default_deadlines.connect_ns = connect_ns;
  options.default_deadlines.total_ns = Nanoseconds(server.timeout_s);
  options.stream = server.stream;

  net::HttpClientOptions probe_options = options.http;
  if (!options.api_key.empty()) probe_options.headers.emplace_back("Authorization", "Bearer " + options.api_key);
  ASSIGN_OR_RETURN(const auto client, net::HttpClient::Create(std::move(probe_options), clock));
  ASSIGN_OR_RETURN(openai::ServerIdentity identity,
                   openai::IdentifyServer(*client, options.http.urls.front().Origin(), connect_ns));
  if (!server.kind.empty()) {
    ASSIGN_OR_RETURN(identity.kind, openai::ParseServerKind(server.kind));
  }
  options.profile.server = identity.kind;
  ASSIGN_OR_RETURN(options.profile.model, ModelName(server, identity));

  run::SystemDescription description;
  description.name = system.name;
  description.engine =
      fmt::format("{}{}{}", openai::Name(identity.kind), identity.version.empty() ? "" : " ", identity.version);
  description.description = fmt::format("{}, {} at {}, api {}", description.engine, options.profile.model,
                                        options.http.urls.front().Origin(), server.api);
  description.model.id = options.profile.model;
  return std::unique_ptr<run::SystemDriver>(new Driver(std::move(options), connect_ns, clock, std::move(description)));
}

}  // namespace

run::DriverFactory OpenAiDriverFactory(const Clock& clock) {
  return [&clock](const run::SystemConfig& system, const run::RunConfig&) { return MakeDriver(system, clock); };
}

}  // namespace moecap::app
