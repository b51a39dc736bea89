// How TLS connections are made.
#pragma once

#include <string>

namespace moecap::net {

struct TlsOptions {
  bool verify = true;   // certificate chain and host name; false accepts anyone
  std::string ca_file;  // PEM, instead of the system's trusted certificates; empty = the system's
};

}  // namespace moecap::net
