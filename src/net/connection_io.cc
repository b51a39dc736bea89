// What happens on a connection's socket, from connect to the end of a response.
#include <fmt/format.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "net/client_impl.h"

namespace moecap::net {
namespace {

void SetOption(int fd, int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); }

std::string ConnectRemedy(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "nothing listens there; is the server running, and is this its port?";
    case EMFILE:
    case ENFILE:
      return "this process may not open more files; raise `ulimit -n`";
    case ECONNRESET:
      return "the server dropped the connection at once; does it take connections now? Its log may say why";
    case EADDRNOTAVAIL:
      return "no local port is left, or the source address is not one of this host; give more source addresses";
    case EINVAL:
    case EAFNOSUPPORT:
      return "is the source address of the same family (IPv4, IPv6) as the server's?";
    default:
      return "is the host reachable from here?";
  }
}

NetErrorKind ConnectErrorKind(int error) {
  return error == ECONNREFUSED ? NetErrorKind::kConnectRefused : NetErrorKind::kConnectFailed;
}

// From the kernel's receive stamp (wall clock) to now; -1 = the message carries none.
int64_t KernelDelay(msghdr& message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPING) continue;
    scm_timestamping stamps{};
    std::memcpy(&stamps, CMSG_DATA(control), sizeof stamps);
    if (stamps.ts[0].tv_sec == 0) return -1;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const int64_t delay_ns = (now.tv_sec - stamps.ts[0].tv_sec) * 1'000'000'000 + (now.tv_nsec - stamps.ts[0].tv_nsec);
    return std::max<int64_t>(delay_ns, 0);
  }
  return -1;
}

}  // namespace

// Connects to the endpoint's next address. False with `error` when that failed at once.
bool HttpClient::Impl::TryConnect(Connection& connection, int* error) {
  const Endpoint& endpoint = endpoints[connection.endpoint];
  const SocketAddress& address = endpoint.addresses[connection.address];
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *error = errno;
    return false;
  }
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  bool bound = true;
  if (!sources.empty()) {
    const SocketAddress& source = sources[next_source++ % sources.size()];
    // The port is then chosen at connect, unique per destination only.
    SetOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&source.storage), source.size) == 0;
  }
  if (options.kernel_timestamps) {
    SetOption(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
  }
  if (!bound ||
      (::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 && errno != EINPROGRESS)) {
    *error = errno;
    ::close(fd);
    return false;
  }
  connection.fd = fd;
  ++connection.epoch;
  connection.state = ConnectionState::kConnecting;
  connection.waits_for_write = true;
  poller.Add(fd, TagOf(connection), true);
  return true;
}

void HttpClient::Impl::Open(Connection& connection) {
  const Endpoint& endpoint = endpoints[connection.endpoint];
  connection.reused = false;
  connection.address = endpoint.first_address;
  connection.addresses_left = endpoint.addresses.size();
  connection.result.timings.connect_start_ns = clock.NowNs();
  ++counters.connections_opened;
  connection.state = ConnectionState::kConnecting;
  SetPhase(connection, NetErrorKind::kConnectTimeout, connection.result.timings.connect_start_ns, connection.limits.connect_ns);
  OnConnectReady(connection);
}

// The connection of the current address is made, has failed, or is still to be begun (no descriptor).
void HttpClient::Impl::OnConnectReady(Connection& connection) {
  int error = 0;
  if (connection.fd >= 0) {
    socklen_t size = sizeof error;
    ::getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) return OnConnected(connection);
    ::close(std::exchange(connection.fd, -1));
    ++connection.epoch;
    connection.address = (connection.address + 1) % endpoints[connection.endpoint].addresses.size();
  }
  while (connection.addresses_left > 0) {
    --connection.addresses_left;
    if (TryConnect(connection, &error)) return;
    connection.address = (connection.address + 1) % endpoints[connection.endpoint].addresses.size();
  }
  Fail(connection, ConnectErrorKind(error), fmt::format("cannot connect: {}; {}", std::strerror(error), ConnectRemedy(error)));
}

void HttpClient::Impl::OnConnected(Connection& connection) {
  Endpoint& endpoint = endpoints[connection.endpoint];
  endpoint.first_address = connection.address;
  WantWrite(connection, false);
  if (!endpoint.tunnel.empty()) {
    connection.state = ConnectionState::kProxy;
    connection.tunnel = endpoint.tunnel;
    connection.parser.Reset(true);
    ContinueTunnel(connection, 0);
    return;
  }
  if (!endpoint.url.tls) return OnUsable(connection);
  connection.state = ConnectionState::kHandshake;
  connection.tls = std::make_unique<TlsSession>(*tls, endpoint.url.host, connection.fd, clock);
  ContinueHandshake(connection);
}

void HttpClient::Impl::ContinueTunnel(Connection& connection, uint32_t events) {
  if (!connection.tunnel.empty()) {
    const ssize_t sent = ::send(connection.fd, connection.tunnel.data(), connection.tunnel.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return Fail(connection, NetErrorKind::kConnectFailed, "the proxy closed the connection");
    connection.tunnel.erase(0, static_cast<size_t>(std::max<ssize_t>(sent, 0)));
    WantWrite(connection, !connection.tunnel.empty());
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  // Byte by byte: what follows the answer belongs to TLS.
  char byte = 0;
  ssize_t size = 0;
  while ((size = ::recv(connection.fd, &byte, 1, 0)) == 1) {
    connection.parser.Push({&byte, 1});
    std::string_view body;
    const auto step = connection.parser.Next(body);
    if (step == ResponseParser::Step::kError)
      return Fail(connection, NetErrorKind::kConnectFailed, "the proxy: " + connection.parser.error());
    if (step != ResponseParser::Step::kHead) continue;
    const int status = connection.parser.head().status();
    if (status != 200) {
      return Fail(connection, NetErrorKind::kConnectFailed,
                  fmt::format("the proxy refused the connection with status {}; check its address and permissions", status));
    }
    connection.state = ConnectionState::kHandshake;
    connection.tls = std::make_unique<TlsSession>(*tls, endpoints[connection.endpoint].url.host, connection.fd, clock);
    return ContinueHandshake(connection);
  }
  if (size == 0 || (errno != EAGAIN && errno != EINTR))
    Fail(connection, NetErrorKind::kConnectFailed, "the proxy closed the connection");
}

void HttpClient::Impl::ContinueHandshake(Connection& connection) {
  const IoStep step = connection.tls->Handshake();
  switch (step) {
    case IoStep::kDone:
      WantWrite(connection, false);
      return OnUsable(connection);
    case IoStep::kWantRead:
    case IoStep::kWantWrite:
      return WantWrite(connection, step == IoStep::kWantWrite);
    case IoStep::kClosed:
      return Fail(
          connection, NetErrorKind::kTls,
          "the server closed the connection during the TLS handshake; if it speaks plain HTTP, write http:// in the URL");
    case IoStep::kFailed:
      return Fail(connection, NetErrorKind::kTls, connection.tls->Error());
  }
}

void HttpClient::Impl::OnUsable(Connection& connection) {
  connection.result.timings.connected_ns = clock.NowNs();
  if (connection.handler != nullptr) return BeginWriting(connection);
  --opening_ahead;
  Release(connection);
}

void HttpClient::Impl::BeginWriting(Connection& connection) {
  connection.state = ConnectionState::kActive;
  connection.written = 0;
  connection.parser.Reset();
  connection.written_from_ns = clock.NowNs();
  const bool headers_first = connection.limits.headers_ns <= connection.limits.first_progress_ns;
  SetPhase(connection, headers_first ? NetErrorKind::kHeaderTimeout : NetErrorKind::kFirstProgressTimeout,
           connection.written_from_ns, std::min(connection.limits.headers_ns, connection.limits.first_progress_ns));
  ContinueWriting(connection);
}

IoStep HttpClient::Impl::WriteSome(Connection& connection, std::string_view bytes, size_t& size) {
  if (connection.tls) return connection.tls->Write(bytes, size);
  const ssize_t sent = ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) {
    size = static_cast<size_t>(sent);
    return IoStep::kDone;
  }
  return errno == EAGAIN || errno == EINTR ? IoStep::kWantWrite : IoStep::kFailed;
}

void HttpClient::Impl::ContinueWriting(Connection& connection) {
  while (connection.written < connection.out.size()) {
    size_t size = 0;
    const IoStep step = WriteSome(connection, std::string_view(connection.out).substr(connection.written), size);
    if (step == IoStep::kDone) {
      connection.written += size;
    } else if (step == IoStep::kWantWrite || step == IoStep::kWantRead) {
      return WantWrite(connection, step == IoStep::kWantWrite);
    } else {
      return OnSendFailed(connection);
    }
  }
  connection.result.timings.sent_ns = clock.NowNs();
  WantWrite(connection, false);
}

// A server that refuses a request may answer and close before it has read all of it: the answer says more than the failure.
void HttpClient::Impl::OnSendFailed(Connection& connection) {
  size_t size = 0;
  Arrival arrival;
  while (!in_start && ReadSome(connection, size, arrival) == IoStep::kDone) {
    if (!Feed(connection, {buffer.data(), size}, arrival)) return;
  }
  if (!in_start && connection.parser.PushEnd() == ResponseParser::Step::kEnd) return Finish(connection, arrival.arrival_ns);
  const std::string why = connection.tls ? connection.tls->Error() : "";
  if (!why.empty()) return OnBroken(connection, NetErrorKind::kTls, why);
  OnBroken(connection, NetErrorKind::kSendFailed,
           "the server closed the connection while the request was being sent; does it take connections now, and requests of "
           "this size?");
}

void HttpClient::Impl::WantWrite(Connection& connection, bool wanted) {
  if (connection.waits_for_write == wanted) return;
  connection.waits_for_write = wanted;
  poller.Change(connection.fd, TagOf(connection), wanted);
}

void HttpClient::Impl::OnReady(Connection& connection, uint32_t events) {
  switch (connection.state) {
    case ConnectionState::kConnecting:
      return OnConnectReady(connection);
    case ConnectionState::kProxy:
      return ContinueTunnel(connection, events);
    case ConnectionState::kHandshake:
      return ContinueHandshake(connection);
    case ConnectionState::kIdle:
      return OnIdleReady(connection);
    case ConnectionState::kActive:
      return OnActiveReady(connection, events);
    case ConnectionState::kFree:
    case ConnectionState::kFailed:
      return;
  }
}

// No byte of HTTP may come unasked, but TLS sends session tickets when it likes.
void HttpClient::Impl::OnIdleReady(Connection& connection) {
  size_t size = 0;
  Arrival arrival;
  if (!connection.tls || ReadSome(connection, size, arrival) != IoStep::kWantRead) Close(connection);
}

void HttpClient::Impl::OnActiveReady(Connection& connection, uint32_t events) {
  const uint32_t epoch = connection.epoch;
  const uint32_t generation = connection.generation;
  // TLS may need to read before it can write, and the other way round.
  if (connection.written < connection.out.size()) {
    if ((events & EPOLLOUT) != 0 || connection.tls) ContinueWriting(connection);
  } else if ((events & EPOLLOUT) != 0) {
    WantWrite(connection, false);
  }
  if (connection.epoch != epoch || connection.generation != generation) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 || connection.tls) ReadAll(connection);
}

IoStep HttpClient::Impl::ReadPlain(Connection& connection, size_t& size, Arrival& arrival) {
  ssize_t received = 0;
  if (options.kernel_timestamps) {
    alignas(cmsghdr) char control[256];
    iovec piece{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    received = ::recvmsg(connection.fd, &message, 0);
    arrival.arrival_ns = clock.NowNs();
    if (received > 0) arrival.kernel_delay_ns = KernelDelay(message);
  } else {
    received = ::recv(connection.fd, buffer.data(), buffer.size(), 0);
    arrival.arrival_ns = clock.NowNs();
  }
  if (received == 0) return IoStep::kClosed;
  if (received < 0) return errno == EAGAIN || errno == EINTR ? IoStep::kWantRead : IoStep::kFailed;
  size = static_cast<size_t>(received);
  return IoStep::kDone;
}

IoStep HttpClient::Impl::ReadSome(Connection& connection, size_t& size, Arrival& arrival) {
  if (!connection.tls) return ReadPlain(connection, size, arrival);
  const IoStep step = connection.tls->Read(buffer.data(), buffer.size(), size);
  arrival.arrival_ns = connection.tls->last_read_ns();
  return step;
}

// Reads what is there. A plain socket once: epoll says when there is more, and the others get their turn. TLS to the end:
// what it has decrypted already, epoll does not know of.
void HttpClient::Impl::ReadAll(Connection& connection) {
  const uint32_t epoch = connection.epoch;
  const uint32_t generation = connection.generation;
  for (;;) {
    size_t size = 0;
    Arrival arrival;
    switch (ReadSome(connection, size, arrival)) {
      case IoStep::kDone:
        ++counters.reads;
        counters.bytes += static_cast<int64_t>(size);
        if (!Feed(connection, {buffer.data(), size}, arrival)) return;
        if (!connection.tls || connection.epoch != epoch || connection.generation != generation) return;
        break;
      case IoStep::kWantRead:
        return;
      case IoStep::kWantWrite:
        return WantWrite(connection, true);
      case IoStep::kClosed:
        return OnPeerClosed(connection, clock.NowNs());
      case IoStep::kFailed:
        if (connection.tls) return OnBroken(connection, NetErrorKind::kTls, connection.tls->Error());
        return OnBroken(connection, NetErrorKind::kResetMidstream,
                        connection.parser.head_done() ? "the server reset the connection; its log may say why"
                                                      : "the server reset the connection before it answered; its log may say "
                                                        "why, and if it speaks TLS, write https:// in the URL");
    }
  }
}

// Takes bytes of the response; false when the exchange is over.
bool HttpClient::Impl::Feed(Connection& connection, std::string_view bytes, const Arrival& arrival) {
  connection.parser.Push(bytes);
  for (;;) {
    std::string_view body;
    switch (connection.parser.Next(body)) {
      case ResponseParser::Step::kBody:
        if (!OnBody(connection, body, arrival)) return false;
        break;
      case ResponseParser::Step::kNeedBytes:
        return true;
      case ResponseParser::Step::kHead:
        if (!OnHead(connection, arrival.arrival_ns)) return false;
        break;
      case ResponseParser::Step::kEnd:
        Finish(connection, arrival.arrival_ns);
        return false;
      case ResponseParser::Step::kError:
        Fail(connection, NetErrorKind::kBadResponse, connection.parser.error());
        return false;
    }
  }
}

bool HttpClient::Impl::OnHead(Connection& connection, int64_t now_ns) {
  const ResponseHead& head = connection.parser.head();
  connection.result.status = head.status();
  connection.result.timings.head_ns = now_ns;
  const std::string_view encoding = head.Field("content-encoding");
  if (!encoding.empty() && encoding != "identity") {
    Fail(connection, NetErrorKind::kBadResponse,
         fmt::format(
             "the response is encoded as \"{}\" although identity was asked for; switch compression off in the server or proxy",
             encoding.substr(0, 40)));
    return false;
  }
  SetPhase(connection, NetErrorKind::kFirstProgressTimeout, connection.written_from_ns, connection.limits.first_progress_ns);
  const uint32_t generation = connection.generation;
  ++calls;
  connection.handler->OnHead(head);
  return connection.generation == generation;
}

bool HttpClient::Impl::OnBody(Connection& connection, std::string_view bytes, const Arrival& arrival) {
  ExchangeTimings& timings = connection.result.timings;
  if (timings.first_byte_ns == 0) timings.first_byte_ns = arrival.arrival_ns;
  const uint32_t generation = connection.generation;
  ++calls;
  const BodyVerdict verdict = connection.handler->OnBody(bytes, arrival);
  if (connection.generation != generation) return false;
  if (verdict == BodyVerdict::kAbort) {
    Fail(connection, NetErrorKind::kAborted, "");
    return false;
  }
  // Of several pieces of one read, the first sets the limit.
  const bool known = connection.phase == NetErrorKind::kIdleTimeout && connection.progress_ns == arrival.arrival_ns;
  if (verdict == BodyVerdict::kProgress && !known) {
    connection.progress_ns = arrival.arrival_ns;
    SetPhase(connection, NetErrorKind::kIdleTimeout, arrival.arrival_ns, connection.limits.idle_ns);
  }
  return true;
}

void HttpClient::Impl::OnPeerClosed(Connection& connection, int64_t now_ns) {
  if (connection.parser.PushEnd() == ResponseParser::Step::kEnd) return Finish(connection, now_ns);
  OnBroken(connection, NetErrorKind::kResetMidstream, connection.parser.error());
}

}  // namespace moecap::net
