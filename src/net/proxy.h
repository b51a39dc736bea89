// Which proxy, if any, a request goes through.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/url.h"

namespace moecap::net {

// The values of the environment variables of these names (http_proxy in lower case only, as a CGI program's HTTP_PROXY comes
// from outside); empty = not set.
struct ProxyEnvironment {
  std::string http_proxy;
  std::string https_proxy;
  std::string no_proxy;  // comma-separated hosts and domains, "*" = never a proxy
};

// The proxy for `target`. Never one for localhost and loopback addresses. Error: kBadInput when the variable holds no http URL.
Result<std::optional<Url>> ChooseProxy(const Url& target, const ProxyEnvironment& environment);
// The one for all of them. Error: kBadInput also when they need different ones.
Result<std::optional<Url>> ChooseProxy(const std::vector<Url>& targets, const ProxyEnvironment& environment);

}  // namespace moecap::net
