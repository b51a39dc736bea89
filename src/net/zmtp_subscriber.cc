#include "net/zmtp_subscriber.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace moecap::net {
namespace {

constexpr int kPollMs = 50;

Error NotConnected(const std::string& address, const std::string& why) {
  return Failed(fmt::format("{}: {}; is the server started with telemetry of its passes?", address, why));
}

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

template <typename Kind>
SocketAddress Stored(const Kind& kind) {
  SocketAddress address;
  std::memcpy(&address.bytes, &kind, sizeof kind);
  address.size = sizeof kind;
  return address;
}

Result<SocketAddress> LocalAddress(const std::string& address) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::string path = address.substr(std::strlen("ipc://"));
  if (path.empty() || path.size() >= sizeof to.sun_path)
    return BadInput(fmt::format("{}: not the path of a socket, which has 1 to {} characters", address, sizeof to.sun_path - 1));
  std::memcpy(to.sun_path, path.data(), path.size());
  return Stored(to);
}

Result<SocketAddress> TcpAddress(const std::string& address) {
  const std::string rest = address.substr(std::strlen("tcp://"));
  const size_t colon = rest.rfind(':');
  const std::string host = rest.substr(0, colon) == "localhost" ? "127.0.0.1" : rest.substr(0, colon);
  uint16_t port = 0;
  const char* end = rest.data() + rest.size();
  const bool has_port = colon != std::string::npos && std::from_chars(rest.data() + colon + 1, end, port).ptr == end;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  if (!has_port || port == 0 || ::inet_pton(AF_INET, host.c_str(), &to.sin_addr) != 1)
    return BadInput(fmt::format("{}: give tcp://ADDRESS:PORT with a numeric address", address));
  return Stored(to);
}

Result<SocketAddress> AddressOf(const std::string& address) {
  if (address.starts_with("ipc://")) return LocalAddress(address);
  if (address.starts_with("tcp://")) return TcpAddress(address);
  return BadInput(fmt::format("{}: telemetry is at an address like ipc:///run/fpm.0 or tcp://127.0.0.1:5557", address));
}

}  // namespace

Result<ZmtpSubscriber> ZmtpSubscriber::Connect(const std::string& address) {
  ASSIGN_OR_RETURN(const SocketAddress to, AddressOf(address));
  const int fd = ::socket(to.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Failed(fmt::format("{}: no socket: {}", address, std::strerror(errno)));
  ZmtpSubscriber subscriber(fd, address);
  RETURN_IF_ERROR(subscriber.Greet(0));
  return subscriber;
}

ZmtpSubscriber::ZmtpSubscriber(ZmtpSubscriber&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      address_(std::move(other.address_)),
      connecting_(other.connecting_),
      has_greeted_(other.has_greeted_),
      reader_(std::move(other.reader_)),
      subscribed_(other.subscribed_) {}

ZmtpSubscriber& ZmtpSubscriber::operator=(ZmtpSubscriber&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  std::swap(connecting_, other.connecting_);
  std::swap(has_greeted_, other.has_greeted_);
  std::swap(reader_, other.reader_);
  std::swap(subscribed_, other.subscribed_);
  return *this;
}

ZmtpSubscriber::~ZmtpSubscriber() {
  if (fd_ >= 0) ::close(fd_);
}

Status ZmtpSubscriber::Send(const std::string& bytes) const {
  // Far below any socket's buffer: it goes out whole.
  if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())) return {};
  return Failed(fmt::format("the publisher of telemetry is gone: {}", std::strerror(errno)));
}

Status ZmtpSubscriber::TryConnect() {
  ASSIGN_OR_RETURN(const SocketAddress to, AddressOf(address_));
  connecting_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to.bytes), to.size) == 0 || errno == EINPROGRESS;
  // A socket of this host whose queue is full refuses at once, where one of TCP would wait.
  if (connecting_ || errno == EAGAIN) return {};
  return NotConnected(address_, std::strerror(errno));
}

Status ZmtpSubscriber::Greet(int wait_ms) {
  if (has_greeted_) return {};
  if (!connecting_) RETURN_IF_ERROR(TryConnect());
  pollfd connection{fd_, POLLOUT, 0};
  if (::poll(&connection, connecting_ ? 1 : 0, wait_ms) <= 0) return {};
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0)
    return NotConnected(address_, std::strerror(error));
  has_greeted_ = true;
  return Send(ZmtpGreeting());
}

Status ZmtpSubscriber::Await(int64_t limit_ns) {
  const SteadyClock clock;
  const int64_t end_ns = clock.NowNs() + limit_ns;
  do {
    RETURN_IF_ERROR(Greet(kPollMs));
  } while (!has_greeted_ && clock.NowNs() < end_ns);
  if (has_greeted_) return {};
  return NotConnected(address_, fmt::format("no connection within {:g} s", static_cast<double>(limit_ns) * 1e-9));
}

Status ZmtpSubscriber::Take(std::vector<ZmtpMessage>& messages) {
  RETURN_IF_ERROR(Greet(0));
  std::array<char, 1 << 16> buffer;
  for (size_t taken = 0; has_greeted_ && taken < kMostTaken;) {
    const ssize_t size = ::recv(fd_, buffer.data(), std::min(buffer.size(), kMostTaken - taken), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (size <= 0) return Failed("the publisher of telemetry is gone");
    taken += static_cast<size_t>(size);
    RETURN_IF_ERROR(reader_.Feed({buffer.data(), static_cast<size_t>(size)}, messages));
    if (reader_.greeted() && !std::exchange(subscribed_, true)) RETURN_IF_ERROR(Send(ZmtpSubscription()));
  }
  return {};
}

}  // namespace moecap::net
