#include "net/local_port.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

namespace moecap::net {
namespace {

// Below what Linux gives to outgoing connections (ip_local_port_range begins at 32768), above what services have by custom.
constexpr int kFirst = 20000, kLast = 32767;

bool IsFree(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);  // connections of an earlier server may still time out
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

}  // namespace

Result<int> FreeLocalPort() {
  constexpr int kPorts = kLast - kFirst + 1;
  const int begin = static_cast<int>(std::random_device()() % kPorts);
  for (int i = 0; i < kPorts; ++i) {
    const int port = kFirst + (begin + i) % kPorts;
    if (IsFree(port)) return port;
  }
  return Failed(fmt::format("no port from {} to {} is free on 127.0.0.1", kFirst, kLast));
}

}  // namespace moecap::net
