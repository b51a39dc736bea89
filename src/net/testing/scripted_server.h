// A loopback server for tests that does exactly what a script says: which bytes, in which pieces, when, and how it ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace moecap::net {

// A limit for what must come in any case, however slow the machine is: it only ends a test that would hang.
inline constexpr int64_t kPatienceNs = 300'000'000'000;

// One accepted connection, seen from the server. Blocking.
class ScriptedConnection {
 public:
  virtual ~ScriptedConnection() = default;
  // Head and body of the next request; "" when the client closed.
  std::string ReadRequest();
  void Send(std::string_view bytes);
  // In pieces of `piece` bytes, each its own segment with `pause_us` behind it.
  void SendInPieces(std::string_view bytes, size_t piece, int pause_us = 200);
  void SleepMs(int milliseconds);
  // Until some bytes came; ReadRequest returns them later.
  void AwaitBytes();
  // Whether the client went away, as far as sending has shown.
  bool failed() const { return failed_; }
  // Ends the connection with RST instead of FIN.
  void Reset();
  // Until the client closes.
  void Hold();
  // Passes bytes to and from another port of this host until either side closes.
  void Relay(uint16_t port);
  // The client's IPv4 address.
  std::string PeerAddress() const;

 protected:
  explicit ScriptedConnection(int fd) : fd_(fd) {}
  virtual long Read(char* buffer, size_t size) = 0;
  virtual long Write(const char* bytes, size_t size) = 0;
  int fd_;

 private:
  std::string unread_;
  bool failed_ = false;
};

// A certificate made on the spot.
struct CertificateOptions {
  std::string name = "localhost";  // DNS name, or an IP address
  bool expired = false;
};

struct Certificate {
  std::string certificate_pem, key_pem;
};
Certificate MakeCertificate(const CertificateOptions& options);

class ScriptedServer {
 public:
  using Script = std::function<void(ScriptedConnection&, int connection)>;

  // `script` runs in a thread per connection; `connection` counts from 0. With a certificate it speaks TLS.
  explicit ScriptedServer(Script script, const Certificate* certificate = nullptr);
  // Ends every connection and waits for the scripts.
  ~ScriptedServer();

  uint16_t port() const { return port_; }
  std::string Url() const;
  int connections() const { return connections_; }

 private:
  void Accept();

  Script script_;
  void* tls_ = nullptr;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// A port of this host where nothing listens, nor will as long as this process lives.
uint16_t ClosedPort();

// `body` as one HTTP/1.1 chunk; "" is the last one.
std::string ChunkOf(std::string_view body);

// Head of a 200 response with chunked body.
std::string StreamHead(std::string_view content_type = "text/event-stream");

// A whole response with content-length.
std::string WholeResponse(int status, std::string_view body, std::string_view extra_fields = "");

}  // namespace moecap::net
