#include "net/resolve.h"

#include <fmt/format.h>
#include <netdb.h>

#include <cstring>
#include <memory>
#include <string>

namespace moecap::net {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, FreeAddresses>;

AddressList Lookup(const std::string& host, const std::string& port, int flags, int* error) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  *error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
  return AddressList(*error == 0 ? list : nullptr);
}

SocketAddress Copy(const addrinfo& entry) {
  SocketAddress address;
  std::memcpy(&address.storage, entry.ai_addr, entry.ai_addrlen);
  address.size = entry.ai_addrlen;
  return address;
}

}  // namespace

Result<std::vector<SocketAddress>> Resolve(const Url& url) {
  int error = 0;
  const AddressList list = Lookup(url.host, std::to_string(url.port), 0, &error);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) addresses.push_back(Copy(*entry));
  if (addresses.empty())
    return BadInput(
        fmt::format("{}: the host name has no address ({}); check the URL's spelling", url.Origin(), ::gai_strerror(error)));
  return addresses;
}

Result<SocketAddress> ParseSourceAddress(const std::string& text) {
  int error = 0;
  const AddressList list = Lookup(text, "0", AI_NUMERICHOST, &error);
  if (!list)
    return BadInput(fmt::format("source address \"{}\" is no IP address; give one of this host, e.g. 127.0.0.2", text));
  return Copy(*list);
}

}  // namespace moecap::net
