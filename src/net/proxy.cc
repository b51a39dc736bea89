#include "net/proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace moecap::net {
namespace {

// "example.com" and ".example.com" both match the domain and everything below it.
bool Matches(std::string_view host, std::string_view pattern) {
  if (pattern == "*") return true;
  if (pattern.starts_with('.')) pattern.remove_prefix(1);
  if (pattern.empty() || !host.ends_with(pattern)) return false;
  return host.size() == pattern.size() || host[host.size() - pattern.size() - 1] == '.';
}

bool Excluded(std::string_view host, std::string_view list) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view entry = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (entry.starts_with(' ')) entry.remove_prefix(1);
    while (entry.ends_with(' ')) entry.remove_suffix(1);
    if (Matches(host, entry)) return true;
  }
  return false;
}

}  // namespace

Result<std::optional<Url>> ChooseProxy(const Url& target, const ProxyEnvironment& environment) {
  const std::string& value = target.tls ? environment.https_proxy : environment.http_proxy;
  if (value.empty() || IsLoopback(target.host) || Excluded(target.host, environment.no_proxy)) return std::optional<Url>();
  // "proxy:3128" without a scheme is common.
  auto proxy = ParseUrl(value.find("://") == std::string::npos ? "http://" + value : value);
  const char* name = target.tls ? "https_proxy" : "http_proxy";
  if (!proxy.ok()) return Annotate(name, proxy.error());
  if (proxy->tls)
    return BadInput(fmt::format("{}: a proxy that is itself reached by https is not supported; give an http:// URL", name));
  return std::optional<Url>(std::move(proxy).value());
}

Result<std::optional<Url>> ChooseProxy(const std::vector<Url>& targets, const ProxyEnvironment& environment) {
  std::optional<Url> common;
  for (size_t i = 0; i < targets.size(); ++i) {
    ASSIGN_OR_RETURN(std::optional<Url> proxy, ChooseProxy(targets[i], environment));
    const auto name = [](const std::optional<Url>& url) { return url ? url->Origin() : std::string("none"); };
    if (i > 0 && name(proxy) != name(common)) {
      return BadInput(fmt::format("{} needs proxy {}, but {} needs {}; set no_proxy so that the URLs of one system go one way",
                                  targets.front().Origin(), name(common), targets[i].Origin(), name(proxy)));
    }
    common = std::move(proxy);
  }
  return common;
}

}  // namespace moecap::net
