// What src/system/openai and src/mock take llama-server's interface to be, asked of a real one.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client.h"

namespace moecap::peer {

// Waits until /health answers 200. Gives the body of a 503 met before, "" = none was. Error: kFailed after a minute, or once
// `running` says no.
Result<std::string> WaitUntilReady(net::HttpClient& client, const Clock& clock, const std::function<bool()>& running);

// Prints one line an assumption; whether all hold. `loading` is what WaitUntilReady gave. Error: the transport's.
Result<bool> CheckWire(net::HttpClient& client, const std::string& model, const std::string& loading);

}  // namespace moecap::peer
