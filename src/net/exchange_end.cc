// How exchanges end, well and otherwise.
#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "net/client_impl.h"

namespace moecap::net {
namespace {

double Seconds(int64_t ns) { return static_cast<double>(ns) * 1e-9; }

// What a phase's limit means when it is over.
std::string TimeoutMessage(NetErrorKind phase, const PhaseLimits& limits) {
  switch (phase) {
    case NetErrorKind::kConnectTimeout:
      return fmt::format("no connection within {:g} s; is the host reachable, and does it answer TLS if the URL says https?",
                         Seconds(limits.connect_ns));
    case NetErrorKind::kHeaderTimeout:
      return fmt::format(
          "the server accepted the request but sent no response headers within {:g} s; is it overloaded or loading?",
          Seconds(limits.headers_ns));
    case NetErrorKind::kFirstProgressTimeout:
      return fmt::format("no output came within {:g} s of the request; is the server overloaded, or the limit too short?",
                         Seconds(limits.first_progress_ns));
    default:
      return fmt::format("no output came for {:g} s in the middle of the response; does the server hang?",
                         Seconds(limits.idle_ns));
  }
}

}  // namespace

// The connection ended where it must not. A kept-alive one that the server closed before it saw the request is no failure of
// the request: it goes out again, once.
void HttpClient::Impl::OnBroken(Connection& connection, NetErrorKind kind, std::string why) {
  const bool untouched = !connection.parser.started();
  if (untouched && connection.reused && connection.result.retries == 0) {
    ++counters.keep_alive_retries;
    if (std::exchange(connection.carried, false)) ++endpoints[connection.endpoint].dropped;
    ++connection.result.retries;
    connection.result.timings = {};
    connection.tls.reset();
    ::close(std::exchange(connection.fd, -1));
    ++connection.epoch;
    connection.waits_for_write = false;
    return Open(connection);
  }
  const bool headless = !connection.parser.head_done() && kind == NetErrorKind::kResetMidstream;
  Fail(connection, headless ? NetErrorKind::kResetBeforeHeaders : kind, std::move(why));
}

void HttpClient::Impl::Finish(Connection& connection, int64_t now_ns) {
  connection.result.timings.end_ns = now_ns;
  const ExchangeResult result = connection.result;
  ExchangeHandler* handler = connection.handler;
  const bool whole = connection.written == connection.out.size() && connection.parser.Rest().empty();
  Endpoint& endpoint = endpoints[connection.endpoint];
  if (connection.carried) ++endpoint.kept;
  if (connection.parser.keep_alive() && whole && !endpoint.ClosesAfterEach()) {
    connection.carried = true;
    Release(connection);
  } else {
    Close(connection);
  }
  ++calls;
  handler->OnEnd(result);
}

void HttpClient::Impl::Fail(Connection& connection, NetErrorKind kind, std::string why) {
  if (why.empty() && kind != NetErrorKind::kAborted) why = TimeoutMessage(kind, connection.limits);
  const std::string origin = endpoints[connection.endpoint].url.Origin();
  connection.result.error.kind = kind;
  connection.result.error.message = options.proxy
                                        ? fmt::format("{} (through proxy {}): {}", origin, options.proxy->Origin(), why)
                                        : fmt::format("{}: {}", origin, why);
  connection.result.timings.end_ns = clock.NowNs();
  if (connection.handler == nullptr) {  // opened ahead
    --opening_ahead;
    if (warm_up_error.empty()) warm_up_error = connection.result.error.message;
    return Close(connection);
  }
  if (in_start) {
    connection.state = ConnectionState::kFailed;
    failed_in_start.push_back(connection.slot);
    return;
  }
  Report(connection, ExchangeResult(connection.result));
}

void HttpClient::Impl::Report(Connection& connection, const ExchangeResult& result) {
  ExchangeHandler* handler = connection.handler;
  Close(connection);
  ++calls;
  handler->OnEnd(result);
}

}  // namespace moecap::net
