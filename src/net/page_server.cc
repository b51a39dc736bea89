#include "net/page_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace moecap::net {
namespace {

constexpr int kPollMs = 100;                // between two looks at whether to stop
constexpr timeval kPatience = {2, 0};       // with a client that sends or takes nothing
constexpr int64_t kMostNs = 4'000'000'000;  // of a whole exchange: one that trickles keeps nobody waiting
constexpr size_t kMostHead = 8 << 10;

Result<sockaddr_in> ParseListenAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  const std::string host = colon == std::string::npos ? "127.0.0.1" : text.substr(0, colon);
  const std::string port_text = colon == std::string::npos ? text : text.substr(colon + 1);
  uint16_t port = 0;
  const char* end = port_text.data() + port_text.size();
  const auto [parsed, error] = std::from_chars(port_text.data(), end, port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  const std::string numeric = host == "localhost" ? "127.0.0.1" : host;
  if (error != std::errc() || parsed != end || ::inet_pton(AF_INET, numeric.c_str(), &address.sin_addr) != 1)
    return BadInput(fmt::format("\"{}\" is no address to listen at; give PORT or ADDRESS:PORT, e.g. 127.0.0.1:9400", text));
  return address;
}

void SendAll(int connection, std::string_view bytes, int64_t end_ns) {
  while (!bytes.empty() && SteadyClock().NowNs() < end_ns) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

// The request's first line; "" when none comes.
std::string ReadRequestLine(int connection, int64_t end_ns) {
  std::string head;
  std::array<char, 2048> buffer;
  while (head.size() < kMostHead && head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t size = ::recv(connection, buffer.data(), buffer.size(), 0);
    if (size <= 0 || SteadyClock().NowNs() > end_ns) return "";
    head.append(buffer.data(), static_cast<size_t>(size));
  }
  return head.substr(0, head.find("\r\n"));
}

}  // namespace

Result<std::unique_ptr<PageServer>> PageServer::Listen(const std::string& address) {
  ASSIGN_OR_RETURN(sockaddr_in at, ParseListenAddress(address));
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  socklen_t size = sizeof at;
  const bool listens = listener >= 0 && ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                       ::bind(listener, reinterpret_cast<const sockaddr*>(&at), size) == 0 && ::listen(listener, 16) == 0 &&
                       ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  if (!listens) {
    const int error = errno;
    if (listener >= 0) ::close(listener);
    return BadInput(fmt::format("cannot listen at {}: {}; choose another port or address", address, std::strerror(error)));
  }
  std::array<char, INET_ADDRSTRLEN> host{};
  ::inet_ntop(AF_INET, &at.sin_addr, host.data(), host.size());
  return std::unique_ptr<PageServer>(
      new PageServer(listener, fmt::format("http://{}:{}/metrics", host.data(), ntohs(at.sin_port))));
}

PageServer::PageServer(int listener, std::string url) : listener_(listener), url_(std::move(url)), thread_([this] { Run(); }) {}

PageServer::~PageServer() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

void PageServer::SetPage(std::string page) {
  const std::lock_guard lock(mutex_);
  page_ = std::move(page);
}

void PageServer::Run() {
  pollfd waiting{listener_, POLLIN, 0};
  while (!stop_) {
    if (::poll(&waiting, 1, kPollMs) <= 0) continue;
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    ::setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    Answer(connection);
    ::close(connection);
  }
}

void PageServer::Answer(int connection) {
  const int64_t end_ns = SteadyClock().NowNs() + kMostNs;
  const std::string line = ReadRequestLine(connection, end_ns);
  if (line.empty()) return;
  std::string status = "404 Not Found", body = "the page is at /metrics\n";
  if (line.starts_with("GET /metrics ") || line.starts_with("GET /metrics?")) {
    status = "200 OK";
    const std::lock_guard lock(mutex_);
    body = page_;
  } else if (!line.starts_with("GET ")) {
    status = "405 Method Not Allowed";
    body = "only GET is answered\n";
  }
  SendAll(connection,
          fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                      "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
                      status, body.size(), body),
          end_ns);
}

}  // namespace moecap::net
