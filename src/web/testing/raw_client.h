// A client that sends the bytes that a test gives it, whatever they are.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace moecap::web {

class RawConnection {
 public:
  // `before_connect`: called when the socket is there, before the server hears of it.
  explicit RawConnection(uint16_t port, const std::function<void()>& before_connect = {})
      : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (before_connect) before_connect();
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;
  ~RawConnection() { ::close(fd_); }

  // A server that closed after its answer need not take all.
  void Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t took = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (took <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(took));
    }
  }
  void EndSending() const { ::shutdown(fd_, SHUT_WR); }
  // Everything that the server says until `end` has come, or, without it, until it closes.
  std::string ReadUntil(std::string_view end) const {
    std::string said;
    std::array<char, 65536> buffer;
    for (ssize_t got = 0; (got = ::recv(fd_, buffer.data(), buffer.size(), 0)) > 0;) {
      said.append(buffer.data(), static_cast<size_t>(got));
      if (!end.empty() && said.find(end) != std::string::npos) break;
    }
    return said;
  }
  // Whether there is something to read, or the server has closed.
  bool HasArrived() const {
    char byte = 0;
    return ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
  }
  std::string ReadAll() const { return ReadUntil(""); }

 private:
  int fd_;
};

// Everything that the server says until it closes, after `bytes` and the end of what this side sends.
inline std::string RawExchange(uint16_t port, const std::string& bytes) {
  const RawConnection connection(port);
  connection.Send(bytes);
  connection.EndSending();
  return connection.ReadAll();
}

// Everything that the server says to a GET until it closes; this side stays open.
inline std::string RawExchangeOpen(uint16_t port, const std::string& target) {
  const RawConnection connection(port);
  connection.Send("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  return connection.ReadAll();
}

struct RawAnswer {
  int status = 0;
  std::string head, body;
};

inline RawAnswer Ask(uint16_t port, const std::string& method, const std::string& target, const std::string& fields = "",
                     const std::string& body = "") {
  std::string request = method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields;
  if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  const std::string said = RawExchange(port, request + "\r\n" + body);
  const size_t end = said.find("\r\n\r\n");
  if (end == std::string::npos) return {};
  return {std::stoi(said.substr(9, 3)), said.substr(0, end + 2), said.substr(end + 4)};
}

}  // namespace moecap::web
