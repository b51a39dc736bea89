// Which server answers at a URL.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client.h"
#include "system/openai/dialect.h"

namespace moecap::openai {

struct ServerIdentity {
  ServerKind kind = ServerKind::kUnknown;
  std::string version;              // as the server words it; "" = it does not tell
  std::vector<std::string> models;  // names it lists; may be empty
};

struct Question {
  std::string version = "/v1";  // of the path of the models' list; as RequestProfile::version
  // The user says what kind of server it is, or what its model is called: then any answer will do.
  bool is_known = false;
};

// Asks for the list of models and each server's own pages. A server that lists models but is none of those known is kUnknown.
// Error: kBadInput naming the whole paths that were asked, what was answered and the remedy when nothing there looks like an
// LLM server; kFailed when it cannot be reached.
Result<ServerIdentity> IdentifyServer(net::HttpClient& client, const std::string& url, int64_t limit_ns,
                                      const Question& question = {});

// The same for every URL of the options, whose headers hold the key if there is one. They must be servers of one kind: the
// first one's identity, with the models that all of them list (those that list none are not asked for any). Error: kBadInput
// also when they differ, naming two that do.
Result<ServerIdentity> IdentifyServers(const net::HttpClientOptions& options, int64_t limit_ns, const Clock& clock,
                                       const Question& question = {});

}  // namespace moecap::openai
