// A port for a server that is started on this machine.
#pragma once

#include "base/result.h"

namespace moecap::net {

// A TCP port on which nothing listens at 127.0.0.1 now. Not one of those that the system gives to outgoing connections, so that
// it stays free while the server is down between two starts. Error: kFailed when there is none.
Result<int> FreeLocalPort();

}  // namespace moecap::net
