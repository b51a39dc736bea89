// Names to socket addresses.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "net/url.h"

namespace moecap::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// Every address of the URL's host with its port, at least one. Blocks. Error: kBadInput naming the URL.
Result<std::vector<SocketAddress>> Resolve(const Url& url);

// An address of this host to connect from. Error: kBadInput when it is no IP address.
Result<SocketAddress> ParseSourceAddress(const std::string& text);

}  // namespace moecap::net
