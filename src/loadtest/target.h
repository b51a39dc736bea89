// What a load test needs of a server beside load's interface. app/ wires it to system/openai.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "load/system_under_test.h"
#include "loadtest/results.h"

namespace moecap::loadtest {

class Target {
 public:
  virtual ~Target() = default;
  virtual const TargetDescription& description() const = 0;

  // A connection of its own to the server for one thread, with `connections` opened ahead. `keep_text`: answers are wanted as
  // text. Error: kFailed when the server cannot be reached.
  virtual Result<std::unique_ptr<load::SystemUnderTest>> Open(int connections, bool keep_text) = 0;

  virtual bool TakesTokenIds() const = 0;
  virtual bool TakesMessages() const = 0;  // chat
  virtual bool CanIgnoreEndToken() const = 0;
  virtual bool CanTokenize() const = 0;
  // Tokens of a prompt's text as the server counts them. Requires CanTokenize.
  virtual Result<int64_t> CountTokens(const std::string& text) = 0;
  // Error: kBadInput when this server has no interface for it.
  virtual Status FlushPrefixCache() = 0;

  // What this machine does, with so many streams and threads, against a server that does nothing: tokens a second. Starts that
  // server and ends it. Error: kFailed.
  virtual Result<double> MeasureHeadRoom(int streams, int threads) = 0;
};

}  // namespace moecap::loadtest
