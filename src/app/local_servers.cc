#include "app/local_servers.h"

#include <fmt/format.h>

#include <utility>

#include "net/http_client.h"
#include "system/openai/base_url.h"

namespace moecap::app {

std::vector<int> UsualPorts() { return {8000, 30000, 8080, 11434, 3000, 23333, 1234}; }

std::vector<LocalServer> FindLocalServers(const std::vector<int>& ports, const Clock& clock) {
  constexpr int64_t kLimitNs = 1'000'000'000;
  std::vector<LocalServer> found;
  for (const int port : ports) {
    std::string url = fmt::format("http://127.0.0.1:{}", port);
    auto base = openai::ParseBaseUrl(url);
    if (!base) continue;
    net::HttpClientOptions options;
    options.urls = {std::move(base->url)};
    auto identity = openai::IdentifyServers(options, kLimitNs, clock);
    if (identity) found.push_back({std::move(url), std::move(*identity)});
  }
  return found;
}

}  // namespace moecap::app
