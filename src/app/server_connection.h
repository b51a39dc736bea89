// From a server's configuration to what system/openai needs: keys and headers from the environment, proxies, what kind of
// server answers.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "experiment/server_config.h"
#include "system/openai/discovery.h"
#include "system/openai/openai_system.h"

namespace moecap::app {

struct ServerConnection {
  openai::OpenAiOptions options;
  openai::ServerIdentity identity;
  std::string url;  // of the first server, without version and interface
  int64_t connect_limit_ns = 0;

  std::string ServerName() const;  // "vLLM 0.11.0"
};

// Asks the server who it is. Errors: kBadInput for a key, a header, a certificate file, an interface or a model that is not
// there, naming it; kFailed when the server cannot be reached.
Result<ServerConnection> ConnectServer(const experiment::ServerConfig& server, const Clock& clock);

}  // namespace moecap::app
