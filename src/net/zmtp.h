// ZMTP 3.0 (rfc.zeromq.org/spec/23), the wire format of ZeroMQ, as far as a subscriber without authentication needs it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::net {

// What a subscriber to everything sends: the greeting at once, the rest when the publisher has greeted.
std::string ZmtpGreeting();
std::string ZmtpSubscription();

using ZmtpMessage = std::vector<std::string>;  // its frames

// Reads what a publisher sends, cut as it may be.
class ZmtpReader {
 public:
  // Appends the messages that are complete now. Error kFailed: no ZMTP 3 publisher, one that wants authentication, a frame of
  // more than kMostFrame; then nothing more can be read.
  Status Feed(std::string_view bytes, std::vector<ZmtpMessage>& messages);
  // Whether the publisher has greeted.
  bool greeted() const { return greeted_; }

  static constexpr size_t kMostFrame = size_t{1} << 20;
  static constexpr size_t kMostFrames = 64;  // of a message

 private:
  Status TakeGreeting();
  // Whether a whole frame was there.
  Result<bool> TakeFrame(std::vector<ZmtpMessage>& messages);

  std::string waiting_;
  size_t read_ = 0;  // of waiting_
  bool greeted_ = false;
  ZmtpMessage message_;
};

}  // namespace moecap::net
