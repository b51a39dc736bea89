// From a server's configuration to what system/openai needs: keys and headers from the environment, proxies, what kind of
// server answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "experiment/driver.h"
#include "experiment/server_config.h"
#include "system/openai/capability.h"
#include "system/openai/control.h"
#include "system/openai/discovery.h"
#include "system/openai/openai_system.h"
#include "system/openai/server_facts.h"

namespace moecap::app {

struct ServerConnection {
  openai::OpenAiOptions options;
  openai::ServerIdentity identity;                               // of the kind that the configuration says
  openai::ServerKind found_kind = openai::ServerKind::kUnknown;  // as the server's pages tell
  std::string url;                                               // of the first server, without version and interface
  std::string served;  // what it runs, as the configuration says: an absolute path or an id of the catalogue; "" = not said
  int64_t connect_limit_ns = 0;
  // Of InspectServer.
  openai::ServerFacts facts;
  std::optional<experiment::Vocabulary> vocabulary;
  bool vocabulary_was_sought = false;  // SeekVocabulary
  std::optional<int64_t> context_tokens;
  std::vector<openai::Capability> capabilities;

  std::string ServerName() const;  // "vLLM 0.11.0"
};

// How much of a server is asked for: what a measurement must know before its first request, or all that can be told of it.
enum class Inspection : uint8_t { kNeeded, kWhole };

// Reads the server's pages and, of a server that is not known well, or for the whole, finds out which token ids it knows and
// which fields it takes; the options then send those and no others, over the interface that it answers. Errors: those of
// openai::LearnFields and ReadServerFacts.
Status InspectServer(ServerConnection& connection, Inspection inspection, const Clock& clock);

// Fills in which token ids the server's model knows (server_vocabulary.h).
void SeekVocabulary(ServerConnection& connection, openai::ServerControl& control);

// For the manifest, with what would switch on what is missing.
std::vector<experiment::ServerCapability> DescribeCapabilities(const ServerConnection& connection);

// Asks the server who it is. Errors: kBadInput for a key, a header, a certificate file, an interface or a model that is not
// there, naming it; kFailed when the server cannot be reached.
Result<ServerConnection> ConnectServer(const experiment::ServerConfig& server, const Clock& clock);

}  // namespace moecap::app
