#include "app/local_servers.h"

#include <fmt/format.h>

#include <utility>

#include "net/http_client.h"
#include "system/openai/base_url.h"
#include "system/openai/openai_system.h"

namespace moecap::app {

std::vector<int> UsualPorts() { return {8000, 30000, 8080, 11434, 3000, 23333, 1234}; }

namespace {

constexpr int64_t kLimitNs = 1'000'000'000;

bool WantsKey(const net::HttpClientOptions& options, const Clock& clock) {
  const auto client = net::HttpClient::Create(options, clock);
  if (!client.ok()) return false;
  const auto answer = (*client)->Fetch({.method = "GET", .path = "/v1/models"}, kLimitNs);
  return answer.ok() && (answer->status == 401 || answer->status == 403);
}

}  // namespace

std::vector<LocalServer> FindLocalServers(const std::vector<int>& ports, const std::string& key, const Clock& clock) {
  std::vector<LocalServer> found;
  for (const int port : ports) {
    std::string url = fmt::format("http://127.0.0.1:{}", port);
    auto base = openai::ParseBaseUrl(url);
    if (!base) continue;
    net::HttpClientOptions options;
    options.urls = {std::move(base->url)};
    if (!key.empty()) options.headers.push_back(openai::KeyHeader(openai::Api::kCompletions, "", key));
    auto identity = openai::IdentifyServers(options, kLimitNs, clock);
    if (identity.ok() && !identity->models.empty()) {
      found.push_back({std::move(url), std::move(*identity)});
    } else if (!identity.ok() && WantsKey(options, clock)) {
      found.push_back({.url = std::move(url), .wants_key = true});
    }
  }
  return found;
}

}  // namespace moecap::app
