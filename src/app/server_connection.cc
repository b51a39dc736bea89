#include "app/server_connection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "app/server_vocabulary.h"
#include "base/fs.h"
#include "net/proxy.h"
#include "system/openai/base_url.h"
#include "system/openai/probe.h"

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

// The value itself, or that of the environment variable that it names.
Result<std::string> ValueOf(const std::string& what, const std::string& name, const std::string& value) {
  if (!value.starts_with('$')) return value;
  std::string variable = FromEnvironment(value.c_str() + 1);
  if (variable.empty())
    return BadInput(fmt::format("the environment variable {} ({} {}) is not set; export it", value.substr(1), what, name));
  return variable;
}

Result<net::HttpClientOptions> HttpOptions(const experiment::ServerConfig& server) {
  net::HttpClientOptions options;
  options.tls = {!server.insecure, server.ca.string()};
  for (const auto& [name, value] : server.headers) {
    ASSIGN_OR_RETURN(std::string content, ValueOf("header", name, value));
    options.headers.emplace_back(name, std::move(content));
  }
  const net::ProxyEnvironment environment{FromEnvironment("http_proxy"), FirstOf("https_proxy", "HTTPS_PROXY"),
                                          FirstOf("no_proxy", "NO_PROXY")};
  options.source_addresses = server.source_addresses;
  for (const std::string& text : server.urls) {
    ASSIGN_OR_RETURN(openai::BaseUrl base, openai::ParseBaseUrl(text));
    options.urls.push_back(std::move(base.url));
  }
  ASSIGN_OR_RETURN(options.proxy, net::ChooseProxy(options.urls, environment));
  return options;
}

std::string PercentEncoded(std::string_view text) {
  constexpr std::string_view kPlain = "-._~:/,@";
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || kPlain.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

// Whether the interface that a URL's path names can be the configured one: /generate is that of two, and `completions` is also
// what a configuration says that says nothing.
bool Agrees(openai::Api named, openai::Api configured) {
  return named == configured || configured == openai::Api::kCompletions ||
         openai::Path(named, false) == openai::Path(configured, false);
}

// What the URLs say beside where the servers are: interface, version, query. All of them must say the same.
Status TakeUrls(const experiment::ServerConfig& server, openai::RequestProfile& profile) {
  ASSIGN_OR_RETURN(const openai::BaseUrl first, openai::ParseBaseUrl(server.urls.front()));
  for (const std::string& text : server.urls) {
    ASSIGN_OR_RETURN(const openai::BaseUrl other, openai::ParseBaseUrl(text));
    if (other.api != first.api || other.version != first.version || other.query != first.query) {
      return BadInput(fmt::format("{} and {} end in different paths; the URLs of one system must differ in what stands before",
                                  server.urls.front(), text));
    }
  }
  if (first.api && !Agrees(*first.api, profile.api)) {
    return BadInput(fmt::format("{} is the path of api {}, but api is {}; leave the path or the key out", server.urls.front(),
                                openai::Name(*first.api), openai::Name(profile.api)));
  }
  if (first.api && profile.api == openai::Api::kCompletions) profile.api = *first.api;
  profile.version = first.version;
  profile.query = first.query;
  for (const auto& [name, value] : server.query) {
    ASSIGN_OR_RETURN(const std::string content, ValueOf("query parameter", name, value));
    profile.query += fmt::format("{}{}={}", profile.query.empty() ? "" : "&", PercentEncoded(name), PercentEncoded(content));
  }
  return {};
}

// The shape of requests, without what the server itself tells.
Result<openai::RequestProfile> ProfileOf(const experiment::ServerConfig& server) {
  openai::RequestProfile profile;
  ASSIGN_OR_RETURN(profile.api, openai::ParseApi(server.api));
  RETURN_IF_ERROR(TakeUrls(server, profile));
  profile.path = server.path;
  profile.max_tokens_field = server.max_tokens_field;
  profile.temperature = server.temperature;
  for (const auto& [key, json] : server.body) profile.body.push_back({key, json});
  return profile;
}

int64_t Nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

// The model's name: the configured one, or the only one the server lists.
Result<std::string> ModelName(const experiment::ServerConfig& server, const openai::ServerIdentity& identity) {
  if (!server.model.empty()) return server.model;
  if (identity.models.size() == 1) return identity.models.front();
  if (identity.models.empty()) return std::string("unnamed");
  return BadInput(
      fmt::format("{} serves {} models; choose one, as server.model or by the flag (--model; of watch --served-model): {}",
                  server.urls.front(), identity.models.size(), fmt::join(identity.models, ", ")));
}

}  // namespace

Result<ServerConnection> ConnectServer(const experiment::ServerConfig& server, const Clock& clock) {
  ServerConnection connection;
  openai::OpenAiOptions& options = connection.options;
  ASSIGN_OR_RETURN(options.http, HttpOptions(server));
  ASSIGN_OR_RETURN(options.api_key, ReadKey(server));
  ASSIGN_OR_RETURN(options.profile, ProfileOf(server));
  options.api_key_header = server.api_key_header;
  connection.connect_limit_ns = Nanoseconds(server.connect_timeout_s);
  options.default_deadlines.connect_ns = connection.connect_limit_ns;
  options.default_deadlines.total_ns = Nanoseconds(server.timeout_s);
  options.stream = server.stream;
  connection.url = options.http.urls.front().Origin() + options.http.urls.front().path;

  net::HttpClientOptions asking = options.http;
  if (!options.api_key.empty())
    asking.headers.push_back(openai::KeyHeader(options.profile.api, options.api_key_header, options.api_key));
  const openai::Question question{.version = options.profile.version,
                                  .is_known = !server.kind.empty() || !server.model.empty()};
  ASSIGN_OR_RETURN(connection.identity, openai::IdentifyServers(asking, connection.connect_limit_ns, clock, question));
  connection.found_kind = connection.identity.kind;
  if (!server.kind.empty()) {
    ASSIGN_OR_RETURN(connection.identity.kind, openai::ParseServerKind(server.kind));
  }
  options.profile.server = connection.identity.kind;
  ASSIGN_OR_RETURN(options.profile.model, ModelName(server, connection.identity));
  RETURN_IF_ERROR(openai::CheckProfile(options.profile));
  return connection;
}

namespace {

// Eight ids that the model has, for a question.
std::vector<int32_t> FewIds(const std::optional<experiment::Vocabulary>& vocabulary) {
  constexpr int32_t kFew = 8;
  std::vector<int32_t> few;
  if (!vocabulary || vocabulary->size < 2 * kFew) return few;
  for (int32_t i = 0; i < kFew; ++i) few.push_back(static_cast<int32_t>(vocabulary->size / 2) + i);
  if (std::ssize(vocabulary->ids) >= kFew) few.assign(vocabulary->ids.begin(), vocabulary->ids.begin() + kFew);
  return few;
}

TokenizeText TokenizerOf(openai::ServerControl& control, openai::ServerKind kind) {
  if (!openai::CanTokenize(kind)) return {};
  return [&control](const std::string& text) -> Result<std::vector<int32_t>> {
    ASSIGN_OR_RETURN(openai::TokenizedText tokens, control.Tokenize(text));
    return std::move(tokens.token_ids);
  };
}

constexpr int64_t kQuestionLimitNs = 120'000'000'000;  // a first request may take a minute

}  // namespace

void SeekVocabulary(ServerConnection& connection, openai::ServerControl& control) {
  const openai::RequestProfile& profile = connection.options.profile;
  connection.vocabulary =
      FindVocabulary(connection.facts, profile.model, connection.served, TokenizerOf(control, profile.server));
  connection.vocabulary_was_sought = true;
}

Status InspectServer(ServerConnection& connection, Inspection inspection, const Clock& clock) {
  openai::OpenAiOptions& options = connection.options;
  openai::RequestProfile& profile = options.profile;
  net::HttpClientOptions asking = options.http;
  asking.urls.resize(1);
  if (!options.api_key.empty())
    asking.headers.push_back(openai::KeyHeader(profile.api, options.api_key_header, options.api_key));
  ASSIGN_OR_RETURN(const auto client, net::HttpClient::Create(std::move(asking), clock));
  openai::ServerIdentity identity = connection.identity;
  ASSIGN_OR_RETURN(connection.facts, openai::ReadServerFacts(*client, identity, profile.version, connection.connect_limit_ns));
  connection.context_tokens = FindContext(connection.facts, profile.model, connection.served);
  connection.capabilities = openai::CapabilitiesOnPages(profile.server, connection.facts);
  const bool openai = profile.api == openai::Api::kCompletions || profile.api == openai::Api::kChat;
  const bool learns = openai && openai::AsksForFields(profile.server);
  if (inspection == Inspection::kNeeded && !learns) return {};
  ASSIGN_OR_RETURN(const auto control, openai::ServerControl::Create(options, kQuestionLimitNs, clock));
  SeekVocabulary(connection, *control);
  const openai::ProbeInput input{options, connection.facts, FewIds(connection.vocabulary), kQuestionLimitNs};
  ASSIGN_OR_RETURN(openai::ProbeResult found, inspection == Inspection::kWhole ? openai::ProbeCapabilities(input, clock)
                                                                               : openai::LearnFields(input, clock));
  profile.api = found.api;
  if (learns) profile.fields = found.fields;
  for (openai::Capability& capability : connection.capabilities) {
    if (openai::Find(found.capabilities, capability.feature) == nullptr) found.capabilities.push_back(std::move(capability));
  }
  connection.capabilities = std::move(found.capabilities);
  std::ranges::stable_sort(connection.capabilities, {}, &openai::Capability::feature);
  return {};
}

std::vector<experiment::ServerCapability> DescribeCapabilities(const ServerConnection& connection) {
  std::vector<experiment::ServerCapability> described;
  const std::string where = connection.url + ": ";  // which every message begins with
  for (const openai::Capability& capability : connection.capabilities) {
    const bool has = capability.support == openai::Support::kYes || capability.support == openai::Support::kTaken;
    described.push_back({std::string(openai::Name(capability.feature)), std::string(openai::Name(capability.support)),
                         capability.detail.starts_with(where) ? capability.detail.substr(where.size()) : capability.detail,
                         has ? "" : std::string(openai::Remedy(connection.identity.kind, capability.feature))});
  }
  return described;
}

std::string ServerConnection::ServerName() const {
  return fmt::format("{}{}{}", openai::Name(identity.kind), identity.version.empty() ? "" : " ", identity.version);
}

}  // namespace moecap::app
