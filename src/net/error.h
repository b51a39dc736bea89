// Why an exchange failed, as far as the transport is concerned.
#pragma once

#include <string>

namespace moecap::net {

enum class NetErrorKind {
  kNone,
  kConnectRefused,
  kConnectFailed,
  kConnectTimeout,  // TCP, proxy and TLS together
  kTls,
  kSendFailed,
  kHeaderTimeout,
  kFirstProgressTimeout,  // the handler saw no progress in time
  kIdleTimeout,
  kTotalTimeout,
  kResetBeforeHeaders,
  kResetMidstream,
  kBadResponse,  // not HTTP, headers too large, an encoding nobody asked for
  kAborted,      // by the handler
};

struct NetError {
  NetErrorKind kind = NetErrorKind::kNone;
  std::string message;  // names the origin and a remedy; never a header's value
};

}  // namespace moecap::net
