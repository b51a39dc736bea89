// The URL that a user gives for a server: an origin, an OpenAI base URL ("http://host/proxy/v1"), or an interface's whole path.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/url.h"
#include "system/openai/dialect.h"

namespace moecap::openai {

struct BaseUrl {
  net::Url url;                 // what stands before the version and the interface's path
  std::string version = "/v1";  // of the paths behind it; "" when the URL is an interface's whole path without one
  std::optional<Api> api;       // of a whole path
  std::string query;            // without '?'
};

// "http://host/v1/" and "http://host/v1/chat/completions" are "http://host"; "http://host/v4" keeps its version, and
// "http://host/deployments/d/chat/completions?a=b" has none. Errors: those of net::ParseUrl.
Result<BaseUrl> ParseBaseUrl(std::string_view text);

}  // namespace moecap::openai
