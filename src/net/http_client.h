// An HTTP/1.1 client for many concurrent streamed responses: one event loop, used by one thread, with warm connections that
// carry one request at a time. Every piece of a response is stamped right after the read that brought it returned.
//
// It waits for readiness with epoll, so that all connections share one read buffer and the stamp sits behind the read itself,
// under TLS too. A bare Boost.Asio loop costs the same CPU (bench/sse_client.cc), but a buffer per connection.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/error.h"
#include "net/response_parser.h"
#include "net/tls.h"
#include "net/url.h"

namespace moecap::net {

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

struct HttpClientOptions {
  std::vector<Url> urls;  // at least one; further ones serve the same, exchanges take them in turn. Without userinfo.
  TlsOptions tls;
  std::vector<std::pair<std::string, std::string>> headers;  // of every request; never part of a message
  std::optional<Url> proxy;                                  // http://; absolute-form for http, CONNECT for https
  std::vector<std::string> source_addresses;                 // of this host; connections take them in turn
  size_t max_head_bytes = ResponseParser::kDefaultMaxHeadBytes;
  int64_t idle_discard_ns = 4'000'000'000;  // a connection idle for longer is not used again
  bool kernel_timestamps = false;           // ask the kernel when data arrived (plain TCP only); costs a little per read
};

struct HttpRequest {
  std::string_view method = "POST";
  std::string_view path;    // behind the URL's own path, e.g. "/v1/completions"
  std::string_view body;    // JSON; empty = none
  std::string_view fields;  // further header lines, each with its CRLF
};

// How long each phase may take, in ns.
struct PhaseLimits {
  int64_t connect_ns = kNoLimit;         // TCP, proxy and TLS together
  int64_t headers_ns = kNoLimit;         // from the request being written to the response's head
  int64_t first_progress_ns = kNoLimit;  // from the request being written to the handler's first kProgress
  int64_t idle_ns = kNoLimit;            // from one kProgress to the next
  int64_t total_ns = kNoLimit;           // from Start to the end
};

// When a piece of a response arrived.
struct Arrival {
  int64_t arrival_ns = 0;        // of the client's clock, right after the read
  int64_t kernel_delay_ns = -1;  // from the kernel's receive stamp to that; -1 = not known
};

// Instants on the client's clock; 0 = was not reached.
struct ExchangeTimings {
  int64_t connect_start_ns = 0;  // 0 also when an open connection was used
  int64_t connected_ns = 0;
  int64_t sent_ns = 0;  // the last byte was given to the kernel
  int64_t head_ns = 0;
  int64_t first_byte_ns = 0;  // of the body
  int64_t end_ns = 0;
};

struct ExchangeResult {
  NetError error;  // kNone: the response was read to its end, whatever its status
  int status = 0;  // 0 = no head came
  size_t url = 0;  // which of the options' URLs it went to
  ExchangeTimings timings;
  int retries = 0;  // sent again because an idle connection had been closed and not one byte came back
};

enum class BodyVerdict {
  kProgress,    // ends the first-progress phase, restarts the idle limit
  kNoProgress,  // a keep-alive comment, part of an event
  kAbort,       // close the connection; OnEnd follows with kAborted
};

// One exchange. Called from Poll only.
class ExchangeHandler {
 public:
  virtual ~ExchangeHandler() = default;
  virtual void OnHead(const ResponseHead& head) = 0;
  virtual BodyVerdict OnBody(std::string_view bytes, const Arrival& arrival) = 0;
  virtual void OnEnd(const ExchangeResult& result) = 0;  // the last call; the handler may be gone after it
};

// Names an exchange until its OnEnd.
using ExchangeId = uint64_t;

class HttpClient {
 public:
  // Resolves the names (blocking) and loads the certificates. `clock` must outlive the client and be CLOCK_MONOTONIC or move
  // with it. Errors: kBadInput naming the URL, the file or the address, with a remedy.
  static Result<std::unique_ptr<HttpClient>> Create(HttpClientOptions options, const Clock& clock);
  ~HttpClient();

  // Sends at once when a connection is idle, else when one is open. `handler` must live until its OnEnd or Cancel.
  ExchangeId Start(const HttpRequest& request, const PhaseLimits& limits, ExchangeHandler& handler);

  // Ends an exchange without OnEnd by closing its connection. Unknown ids are ignored.
  void Cancel(ExchangeId id);

  // Handles what is ready, waiting for it until `until_ns` on the clock (kNoLimit = as long as it takes). Returns whether a
  // handler was called. Handlers may call Start and Cancel.
  bool Poll(int64_t until_ns);

  // Opens connections until `count` are idle, 128 at a time. Error: kFailed with the first connection's failure, which one that
  // takes longer than `limit_ns` is, or when that time is over for every 128 of them.
  Status WarmUp(size_t count, int64_t limit_ns);

  struct Counters {
    int64_t connections_opened = 0;
    int64_t keep_alive_retries = 0;
    int64_t reads = 0;
    int64_t bytes = 0;
  };
  const Counters& counters() const;

  // Whole response of one request. Error: kFailed with the transport's message, also for a body of more than `max_bytes`.
  struct Response {
    int status = 0;
    std::string body;
  };
  Result<Response> Fetch(const HttpRequest& request, int64_t limit_ns, size_t max_bytes = size_t{16} << 20);

 private:
  struct Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moecap::net
