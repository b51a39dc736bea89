// One connection of the HTTP client and the exchange on it. Plain data; http_client.cc moves it through its states.
#pragma once

#include <memory>
#include <string>

#include "net/http_client.h"
#include "net/tls_session.h"

namespace moecap::net {

enum class ConnectionState {
  kFree,        // the slot is not used
  kConnecting,  // TCP
  kProxy,       // CONNECT was sent or is being sent
  kHandshake,   // TLS
  kIdle,
  kActive,  // a request is being written or its response read
  kFailed,  // failed inside Start; Poll reports it
};

struct Connection {
  explicit Connection(size_t max_head_bytes) : parser(max_head_bytes) {}

  uint32_t slot = 0;
  ConnectionState state = ConnectionState::kFree;
  int fd = -1;
  uint32_t epoch = 0;       // of the descriptor: events of an older one are stale
  uint32_t generation = 0;  // of the exchange: ids of an older one are unknown
  size_t endpoint = 0;
  size_t address = 0;  // which of the endpoint's addresses
  size_t addresses_left = 0;
  bool waits_for_write = false;
  int64_t idle_since_ns = 0;
  std::unique_ptr<TlsSession> tls;
  ResponseParser parser;

  // The exchange; `handler` is null while there is none.
  ExchangeHandler* handler = nullptr;
  std::string out;     // the request
  size_t written = 0;  // bytes of it
  std::string tunnel;  // the CONNECT request
  PhaseLimits limits;
  ExchangeResult result;
  bool reused = false;   // the connection had carried an exchange, or was opened ahead
  bool carried = false;  // it had carried an exchange
  int64_t written_from_ns = 0;
  int64_t progress_ns = 0;  // arrival of the last progress

  // Limits. `scheduled_ns` is when the deadline queue will look at this slot.
  NetErrorKind phase = NetErrorKind::kNone;
  int64_t phase_deadline_ns = kNoLimit;
  int64_t total_deadline_ns = kNoLimit;
  int64_t scheduled_ns = kNoLimit;
};

}  // namespace moecap::net
