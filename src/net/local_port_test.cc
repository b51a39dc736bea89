#include "net/local_port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace moecap::net {
namespace {

TEST(LocalPort, CanBeListenedOn) {
  const auto port = FreeLocalPort();
  ASSERT_TRUE(port.ok()) << port.error().message;
  EXPECT_GE(*port, 20000);
  EXPECT_LT(*port, 32768) << "the system gives those above to outgoing connections";
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(*port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd, 1), 0);
  for (int i = 0; i < 100; ++i) EXPECT_NE(FreeLocalPort().value(), *port);
  ::close(fd);
}

}  // namespace
}  // namespace moecap::net
