// The HTTP client's state machine. http_client.cc: pool, limits, loop; connection_io.cc: what happens on a
// socket; exchange_end.cc: how exchanges end.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "net/connection.h"
#include "net/http_client.h"
#include "net/poller.h"
#include "net/resolve.h"

namespace moecap::net {

struct HttpClient::Impl {
  Impl(HttpClientOptions client_options, const Clock& steady_clock);
  ~Impl();
  Status Prepare();

  // One URL: where to connect and what every request to it begins with.
  struct Endpoint {
    Url url;
    std::vector<SocketAddress> addresses;  // of the proxy when there is one
    size_t first_address = 0;              // the last one that could be connected to
    std::string target_prefix;             // before a request's path
    std::string common_fields;             // header lines after the request line
    std::string tunnel;                    // CONNECT request, or empty
    std::vector<uint32_t> idle;            // slots, the latest used last
    // Second exchanges on one connection that were answered, and that found it closed.
    int64_t kept = 0, dropped = 0;

    // Some servers (llama-server behind cpp-httplib) close after every streamed answer without saying so.
    bool ClosesAfterEach() const { return kept == 0 && dropped >= 2; }
  };

  // Pool.
  uint32_t NewSlot(size_t endpoint);
  Connection* TakeIdle(size_t endpoint);
  void Release(Connection& connection);
  void Close(Connection& connection);
  void ComposeRequest(const HttpRequest& request, Connection& connection);

  // Sockets (connection_io.cc).
  void Open(Connection& connection);
  bool TryConnect(Connection& connection, int* error);
  void OnReady(Connection& connection, uint32_t events);
  void OnIdleReady(Connection& connection);
  void OnActiveReady(Connection& connection, uint32_t events);
  void OnConnectReady(Connection& connection);
  void OnConnected(Connection& connection);
  void ContinueTunnel(Connection& connection, uint32_t events);
  void ContinueHandshake(Connection& connection);
  void OnUsable(Connection& connection);
  void BeginWriting(Connection& connection);
  void ContinueWriting(Connection& connection);
  IoStep WriteSome(Connection& connection, std::string_view bytes, size_t& size);
  IoStep ReadSome(Connection& connection, size_t& size, Arrival& arrival);
  IoStep ReadPlain(Connection& connection, size_t& size, Arrival& arrival);
  void ReadAll(Connection& connection);
  bool Feed(Connection& connection, std::string_view bytes, const Arrival& arrival);
  bool OnHead(Connection& connection, int64_t now_ns);
  bool OnBody(Connection& connection, std::string_view bytes, const Arrival& arrival);
  void OnPeerClosed(Connection& connection, int64_t now_ns);
  void OnBroken(Connection& connection, NetErrorKind kind, std::string why);
  void OnSendFailed(Connection& connection);
  void WantWrite(Connection& connection, bool wanted);

  // Ends of exchanges (exchange_end.cc).
  void Finish(Connection& connection, int64_t now_ns);
  void Fail(Connection& connection, NetErrorKind kind, std::string why);
  void Report(Connection& connection, const ExchangeResult& result);

  // Limits.
  void SetPhase(Connection& connection, NetErrorKind phase, int64_t begin_ns, int64_t limit_ns);
  void Schedule(Connection& connection);
  void ExpireLimits(int64_t now_ns);

  static uint64_t TagOf(const Connection& connection) {
    return static_cast<uint64_t>(connection.epoch) << 32 | connection.slot;
  }

  HttpClientOptions options;
  const Clock& clock;
  std::unique_ptr<TlsContext> tls;
  Poller poller;
  std::vector<Endpoint> endpoints;
  std::vector<SocketAddress> sources;
  size_t next_endpoint = 0;
  size_t next_source = 0;
  std::vector<std::unique_ptr<Connection>> slots;
  std::vector<uint32_t> free_slots;
  std::vector<uint32_t> failed_in_start;
  std::vector<std::pair<int64_t, uint32_t>> deadlines;  // heap, the nearest first
  std::vector<char> buffer;                             // all connections read into it, one after the other
  bool in_start = false;
  int64_t calls = 0;  // of handlers
  size_t opening_ahead = 0;
  std::string warm_up_error;
  Counters counters;
};

}  // namespace moecap::net
