#include "net/zmtp_subscriber.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace moecap::net {
namespace {

Result<int> ConnectTo(const sockaddr* address, socklen_t size, const std::string& name) {
  const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed(fmt::format("{}: no socket: {}", name, std::strerror(errno)));
  if (::connect(fd, address, size) == 0) return fd;
  const int error = errno;
  ::close(fd);
  return Failed(fmt::format("{}: {}; is the server started with telemetry of its passes?", name, std::strerror(error)));
}

Result<int> ConnectLocal(const std::string& address) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::string path = address.substr(std::strlen("ipc://"));
  if (path.empty() || path.size() >= sizeof to.sun_path)
    return BadInput(fmt::format("{}: not the path of a socket, which has 1 to {} characters", address, sizeof to.sun_path - 1));
  std::memcpy(to.sun_path, path.data(), path.size());
  return ConnectTo(reinterpret_cast<const sockaddr*>(&to), sizeof to, address);
}

Result<int> ConnectTcp(const std::string& address) {
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
  return ConnectTo(reinterpret_cast<const sockaddr*>(&to), sizeof to, address);
}

}  // namespace

Result<ZmtpSubscriber> ZmtpSubscriber::Connect(const std::string& address) {
  int fd = -1;
  if (address.starts_with("ipc://")) {
    ASSIGN_OR_RETURN(fd, ConnectLocal(address));
  } else if (address.starts_with("tcp://")) {
    ASSIGN_OR_RETURN(fd, ConnectTcp(address));
  } else {
    return BadInput(fmt::format("{}: telemetry is at an address like ipc:///run/fpm.0 or tcp://127.0.0.1:5557", address));
  }
  ZmtpSubscriber subscriber(fd);
  RETURN_IF_ERROR(subscriber.Send(ZmtpGreeting()));
  return subscriber;
}

ZmtpSubscriber::ZmtpSubscriber(ZmtpSubscriber&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), reader_(std::move(other.reader_)), subscribed_(other.subscribed_) {}

ZmtpSubscriber& ZmtpSubscriber::operator=(ZmtpSubscriber&& other) noexcept {
  std::swap(fd_, other.fd_);
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

Status ZmtpSubscriber::Take(std::vector<ZmtpMessage>& messages) {
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t size = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    if (size <= 0) return Failed("the publisher of telemetry is gone");
    RETURN_IF_ERROR(reader_.Feed({buffer.data(), static_cast<size_t>(size)}, messages));
    if (reader_.greeted() && !std::exchange(subscribed_, true)) RETURN_IF_ERROR(Send(ZmtpSubscription()));
  }
}

}  // namespace moecap::net
