// An HTTP/1.1 server: reads requests within limits, has a service answer them on threads of their own, and writes the answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "web/http.h"

namespace moecap::web {

// What may follow a request's head.
struct Admission {
  std::optional<Response> refusal;  // sent at once; the body is not read, the connection closes
  uint64_t most_body_bytes = 0;     // a longer body is answered with 413
};

// Called from several threads at once.
class Service {
 public:
  virtual ~Service() = default;
  virtual Admission Admit(const Head& head) const = 0;
  virtual Response Answer(const Request& request) = 0;
};

struct ServerOptions {
  std::string address = "127.0.0.1";    // an IPv4 or IPv6 address of this machine
  uint16_t port = 7070;                 // 0: any free one
  int threads = 2;                      // that answer
  uint32_t most_head_bytes = 16 << 10;  // a longer head is answered with 431
  size_t most_connections = 128;        // further ones are closed at once
  size_t most_event_streams = 64;       // of the connections; a further one is answered with 503
  int event_period_ms = 1000;           // between two looks at what is new in one
  int accept_pause_ms = 100;            // while no connection can be accepted: there is no free file descriptor
  int idle_s = 30;                      // for a whole head, a body, an answer to be taken; then the connection closes
};

// Where --listen says: "7070", ":7070", "127.0.0.1:7070", "localhost:0", "[::1]:7070"; without an address 127.0.0.1. Error:
// kBadInput.
Result<ServerOptions> ListenAt(const std::string& text);

class HttpServer {
 public:
  // `service` must outlive it. Error: kBadInput for an address that cannot be listened on.
  static Result<std::unique_ptr<HttpServer>> Start(const ServerOptions& options, Service& service);
  // Ends every connection; answers that are being made are waited for.
  virtual ~HttpServer() = default;
  // "http://127.0.0.1:7070"
  virtual std::string url() const = 0;
  virtual uint16_t port() const = 0;
};

}  // namespace moecap::web
