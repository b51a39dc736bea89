// Which server answers at a URL.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "net/http_client.h"
#include "system/openai/dialect.h"

namespace moecap::openai {

struct ServerIdentity {
  ServerKind kind = ServerKind::kUnknown;
  std::string version;              // as the server words it; "" = it does not tell
  std::vector<std::string> models;  // names it lists; may be empty
};

// Asks /v1/models and each server's own pages. A server that lists models but is none of those known is kUnknown. Error:
// kBadInput naming what was asked and answered when nothing there looks like an LLM server; kFailed when it cannot be reached.
Result<ServerIdentity> IdentifyServer(net::HttpClient& client, const std::string& origin, int64_t limit_ns);

}  // namespace moecap::openai
