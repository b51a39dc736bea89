#include "net/http_client.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>

#include "net/client_impl.h"

namespace moecap::net {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;
// Connections that Poll serves although its time is over, so that a caller who is always late still reads.
constexpr size_t kLeastHandled = 16;

int64_t Plus(int64_t instant_ns, int64_t limit_ns) {
  return limit_ns >= kNoLimit - instant_ns ? kNoLimit : instant_ns + limit_ns;
}

std::string Base64(const std::string& text) {
  std::string result(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(result.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  result.resize(static_cast<size_t>(size));
  return result;
}

std::string ProxyField(const Url& proxy) {
  return proxy.userinfo.empty() ? "" : fmt::format("Proxy-Authorization: Basic {}\r\n", Base64(proxy.userinfo));
}

Status CheckHeader(const std::string& name, const std::string& value) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  const auto outside = [&](char c) { return control(c) || c == ':' || c == ' '; };
  if (name.empty() || std::any_of(name.begin(), name.end(), outside))
    return BadInput(fmt::format("header name \"{}\" is not possible; use letters, digits and '-'", name));
  if (std::any_of(value.begin(), value.end(), control))
    return BadInput(fmt::format("the value of header {} has a line end or another control character; remove it", name));
  return {};
}

}  // namespace

HttpClient::Impl::Impl(HttpClientOptions client_options, const Clock& steady_clock)
    : options(std::move(client_options)), clock(steady_clock), buffer(kReadBytes) {}

HttpClient::Impl::~Impl() {
  for (const auto& connection : slots) {
    if (connection->fd >= 0) ::close(connection->fd);
  }
}

Status HttpClient::Impl::Prepare() {
  if (options.urls.empty()) return BadInput("no URL is given; give one like http://127.0.0.1:8000");
  std::string fields;
  for (const auto& [name, value] : options.headers) {
    RETURN_IF_ERROR(CheckHeader(name, value));
    fields += fmt::format("{}: {}\r\n", name, value);
  }
  for (const std::string& source : options.source_addresses) {
    ASSIGN_OR_RETURN(const SocketAddress address, ParseSourceAddress(source));
    sources.push_back(address);
  }
  for (const Url& url : options.urls) {
    if (!url.userinfo.empty())
      return BadInput(
          fmt::format("{}: a name or password in the URL is not sent; give a header or a key instead", url.Origin()));
    if (url.tls && !tls) {
      ASSIGN_OR_RETURN(tls, TlsContext::Create(options.tls));
    }
    Endpoint endpoint;
    endpoint.url = url;
    ASSIGN_OR_RETURN(endpoint.addresses, Resolve(options.proxy ? *options.proxy : url));
    const bool default_port = url.port == (url.tls ? 443 : 80);
    const std::string host_port = url.HostPort();
    endpoint.common_fields = fmt::format("Host: {}\r\nUser-Agent: moecap\r\nAccept-Encoding: identity\r\n{}",
                                         default_port ? host_port.substr(0, host_port.rfind(':')) : host_port, fields);
    endpoint.target_prefix = url.path;
    if (options.proxy && url.tls) {
      endpoint.tunnel = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{1}\r\n", host_port, ProxyField(*options.proxy));
    } else if (options.proxy) {
      endpoint.target_prefix = url.Origin() + url.path;
      endpoint.common_fields += ProxyField(*options.proxy);
    }
    endpoints.push_back(std::move(endpoint));
  }
  return {};
}

uint32_t HttpClient::Impl::NewSlot(size_t endpoint) {
  uint32_t slot = 0;
  if (free_slots.empty()) {
    slot = static_cast<uint32_t>(slots.size());
    slots.push_back(std::make_unique<Connection>(options.max_head_bytes));
    slots.back()->slot = slot;
  } else {
    slot = free_slots.back();
    free_slots.pop_back();
  }
  slots[slot]->endpoint = endpoint;
  endpoints[endpoint].idle.reserve(slots.size());  // Release must not allocate
  return slot;
}

// The idle connection used last: the others may then run into the idle limit and go.
Connection* HttpClient::Impl::TakeIdle(size_t endpoint) {
  std::vector<uint32_t>& idle = endpoints[endpoint].idle;
  while (!idle.empty()) {
    Connection& connection = *slots[idle.back()];
    idle.pop_back();
    if (clock.NowNs() - connection.idle_since_ns <= options.idle_discard_ns) return &connection;
    Close(connection);
  }
  return nullptr;
}

// Gives the connection back to the pool, or its slot when the connection cannot be used again.
void HttpClient::Impl::Release(Connection& connection) {
  connection.handler = nullptr;
  ++connection.generation;
  connection.phase_deadline_ns = connection.total_deadline_ns = kNoLimit;
  connection.state = ConnectionState::kIdle;
  connection.idle_since_ns = clock.NowNs();
  connection.reused = true;
  endpoints[connection.endpoint].idle.push_back(connection.slot);
}

void HttpClient::Impl::Close(Connection& connection) {
  if (connection.state == ConnectionState::kIdle) std::erase(endpoints[connection.endpoint].idle, connection.slot);
  connection.tls.reset();
  if (connection.fd >= 0) ::close(connection.fd);
  connection.fd = -1;
  ++connection.epoch;
  ++connection.generation;
  connection.handler = nullptr;
  connection.reused = connection.carried = false;
  connection.waits_for_write = false;
  connection.phase_deadline_ns = connection.total_deadline_ns = kNoLimit;
  connection.state = ConnectionState::kFree;
  free_slots.push_back(connection.slot);
}

void HttpClient::Impl::ComposeRequest(const HttpRequest& request, Connection& connection) {
  const Endpoint& endpoint = endpoints[connection.endpoint];
  std::string& out = connection.out;
  out.clear();
  fmt::format_to(std::back_inserter(out), "{} {}{} HTTP/1.1\r\n{}", request.method, endpoint.target_prefix, request.path,
                 endpoint.common_fields);
  if (request.method == "POST") {
    fmt::format_to(std::back_inserter(out), "Content-Type: application/json\r\nContent-Length: {}\r\n", request.body.size());
  }
  out += request.fields;
  out += "\r\n";
  out += request.body;
}

void HttpClient::Impl::SetPhase(Connection& connection, NetErrorKind phase, int64_t begin_ns, int64_t limit_ns) {
  connection.phase = phase;
  connection.phase_deadline_ns = Plus(begin_ns, limit_ns);
  Schedule(connection);
}

// A deadline that moves away, as with every token, costs nothing: the queue finds out when the old one is due.
void HttpClient::Impl::Schedule(Connection& connection) {
  const int64_t due_ns = std::min(connection.phase_deadline_ns, connection.total_deadline_ns);
  if (due_ns >= connection.scheduled_ns) return;
  connection.scheduled_ns = due_ns;
  deadlines.emplace_back(due_ns, connection.slot);
  std::push_heap(deadlines.begin(), deadlines.end(), std::greater<>());
}

void HttpClient::Impl::ExpireLimits(int64_t now_ns) {
  while (!deadlines.empty() && deadlines.front().first <= now_ns) {
    std::pop_heap(deadlines.begin(), deadlines.end(), std::greater<>());
    const auto [due_ns, slot] = deadlines.back();
    deadlines.pop_back();
    Connection& connection = *slots[slot];
    if (connection.scheduled_ns != due_ns) continue;
    connection.scheduled_ns = kNoLimit;
    if (std::min(connection.phase_deadline_ns, connection.total_deadline_ns) > now_ns) {
      Schedule(connection);
    } else if (connection.total_deadline_ns <= now_ns) {
      Fail(connection, NetErrorKind::kTotalTimeout,
           fmt::format("the request did not end within {:g} s; is the server overloaded, or the limit too short?",
                       static_cast<double>(connection.limits.total_ns) * 1e-9));
    } else {
      Fail(connection, connection.phase, "");
    }
  }
}

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() = default;

Result<std::unique_ptr<HttpClient>> HttpClient::Create(HttpClientOptions options, const Clock& clock) {
  auto impl = std::make_unique<Impl>(std::move(options), clock);
  RETURN_IF_ERROR(impl->Prepare());
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(impl)));
}

ExchangeId HttpClient::Start(const HttpRequest& request, const PhaseLimits& limits, ExchangeHandler& handler) {
  Impl& impl = *impl_;
  const size_t endpoint = impl.next_endpoint++ % impl.endpoints.size();
  Connection* connection = impl.TakeIdle(endpoint);
  const bool idle = connection != nullptr;
  if (!idle) connection = impl.slots[impl.NewSlot(endpoint)].get();
  const int64_t now_ns = impl.clock.NowNs();
  connection->handler = &handler;
  connection->limits = limits;
  connection->result = {};
  connection->result.url = endpoint;
  connection->total_deadline_ns = Plus(now_ns, limits.total_ns);
  impl.ComposeRequest(request, *connection);
  const ExchangeId id = static_cast<uint64_t>(connection->generation) << 32 | connection->slot;
  impl.in_start = true;
  if (idle) {
    impl.BeginWriting(*connection);
  } else {
    impl.Open(*connection);
  }
  impl.in_start = false;
  return id;
}

void HttpClient::Cancel(ExchangeId id) {
  const auto slot = static_cast<uint32_t>(id);
  if (slot >= impl_->slots.size()) return;
  Connection& connection = *impl_->slots[slot];
  if (connection.handler != nullptr && connection.generation == static_cast<uint32_t>(id >> 32)) impl_->Close(connection);
}

bool HttpClient::Poll(int64_t until_ns) {
  Impl& impl = *impl_;
  const int64_t calls_before = impl.calls;
  for (;;) {
    const std::vector<uint32_t> failed = std::exchange(impl.failed_in_start, {});
    for (const uint32_t slot : failed) {
      Connection& connection = *impl.slots[slot];
      if (connection.state != ConnectionState::kFailed) continue;  // cancelled since
      const ExchangeResult result = connection.result;
      impl.Report(connection, result);
    }
    int64_t now_ns = impl.clock.NowNs();
    const int64_t due_ns = std::min(until_ns, impl.deadlines.empty() ? kNoLimit : impl.deadlines.front().first);
    const bool observed = impl.calls != calls_before;
    const int64_t wait_ns = observed ? 0 : due_ns == kNoLimit ? -1 : std::max<int64_t>(due_ns - now_ns, 0);
    size_t handled = 0;
    for (const epoll_event& event : impl.poller.Wait(wait_ns)) {
      Connection& connection = *impl.slots[static_cast<uint32_t>(event.data.u64)];
      if (connection.epoch == static_cast<uint32_t>(event.data.u64 >> 32)) impl.OnReady(connection, event.events);
      // What the caller wants to do at its time must not wait for hundreds of reads; epoll reports the rest again.
      now_ns = impl.clock.NowNs();
      if (++handled >= kLeastHandled && now_ns >= until_ns) break;
    }
    if (handled == 0) now_ns = impl.clock.NowNs();
    impl.ExpireLimits(now_ns);
    if (impl.calls != calls_before || now_ns >= until_ns || impl.poller.interrupted()) break;
  }
  return impl.calls != calls_before;
}

Status HttpClient::WarmUp(size_t count, int64_t limit_ns) {
  Impl& impl = *impl_;
  const auto idle = [&] {
    size_t total = 0;
    for (const Impl::Endpoint& endpoint : impl.endpoints) total += endpoint.idle.size();
    return total;
  };
  // Not all at once: a server's queue of new connections is short.
  constexpr size_t kAtOnce = 128;
  const auto waves = static_cast<int64_t>((count + kAtOnce - 1) / kAtOnce);
  const int64_t all_ns = limit_ns > kNoLimit / std::max<int64_t>(waves, 1) ? kNoLimit : waves * limit_ns;
  const int64_t until_ns = Plus(impl.clock.NowNs(), all_ns);
  impl.warm_up_error.clear();
  while (idle() < count) {
    while (impl.opening_ahead < std::min(kAtOnce, count - idle())) {
      Connection& connection = *impl.slots[impl.NewSlot(impl.next_endpoint++ % impl.endpoints.size())];
      ++impl.opening_ahead;
      connection.limits = {.connect_ns = limit_ns};
      impl.Open(connection);
    }
    Poll(std::min(until_ns, impl.clock.NowNs() + 1'000'000));
    if (!impl.warm_up_error.empty()) return Failed(impl.warm_up_error);
    if (impl.poller.interrupted()) return Error{ErrorKind::kInterrupted, "interrupted"};
    if (impl.clock.NowNs() >= until_ns && idle() < count) {
      return Failed(fmt::format("{}: only {} of {} connections could be opened within {:g} s; is the server overloaded?",
                                impl.endpoints[0].url.Origin(), idle(), count, static_cast<double>(all_ns) * 1e-9));
    }
  }
  return {};
}

const HttpClient::Counters& HttpClient::counters() const { return impl_->counters; }

namespace {

class Collector final : public ExchangeHandler {
 public:
  explicit Collector(size_t max_bytes) : max_bytes_(max_bytes) {}
  void OnHead(const ResponseHead&) override {}
  BodyVerdict OnBody(std::string_view bytes, const Arrival&) override {
    if (body.size() + bytes.size() > max_bytes_) return BodyVerdict::kAbort;
    body += bytes;
    return BodyVerdict::kProgress;
  }
  void OnEnd(const ExchangeResult& end) override { result = end; }

  std::string body;
  std::optional<ExchangeResult> result;

 private:
  size_t max_bytes_;
};

}  // namespace

Result<HttpClient::Response> HttpClient::Fetch(const HttpRequest& request, int64_t limit_ns, size_t max_bytes) {
  Collector collector(max_bytes);
  const ExchangeId id = Start(request, {.total_ns = limit_ns}, collector);
  while (!collector.result) {
    Poll(kNoLimit);
    if (!collector.result && impl_->poller.interrupted()) {
      Cancel(id);
      return Error{ErrorKind::kInterrupted, "interrupted"};
    }
  }
  const ExchangeResult& result = *collector.result;
  if (result.error.kind == NetErrorKind::kAborted)
    return Failed(
        fmt::format("{}{}: the answer is larger than {} bytes", impl_->endpoints[0].url.Origin(), request.path, max_bytes));
  if (result.error.kind != NetErrorKind::kNone) return Failed(result.error.message);
  return Response{result.status, std::move(collector.body)};
}

}  // namespace moecap::net
