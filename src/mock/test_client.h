// A plain HTTP client for tests that says what bytes came.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace moecap::mock {

// A blocking socket to the server.
class Client {
 public:
  explicit Client(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    const timeval patience{300, 0};  // it only ends a test that would hang
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Client() { Close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void Send(const std::string& text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void Post(const std::string& path, const std::string& body, const std::string& headers = "") {
    Send(fmt::format("POST {} HTTP/1.1\r\nhost: a\r\n{}content-length: {}\r\n\r\n{}", path, headers, body.size(), body));
  }

  // One read; empty at the end. `error` is set when the read fails.
  std::string Read() {
    char buffer[65536];
    const ssize_t count = ::recv(fd_, buffer, sizeof buffer, 0);
    error = count < 0 ? errno : 0;
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : std::string();
  }
  // Until the text ends in `end`, or the connection ends.
  std::string ReadUntil(const std::string& end) {
    std::string text;
    while (!text.ends_with(end)) {
      const std::string more = Read();
      if (more.empty()) break;
      text += more;
    }
    return text;
  }
  std::string ReadAll() {
    std::string text;
    for (std::string more = Read(); !more.empty(); more = Read()) text += more;
    return text;
  }

  int error = 0;

 private:
  int fd_;
  bool connected_ = false;
};

}  // namespace moecap::mock
