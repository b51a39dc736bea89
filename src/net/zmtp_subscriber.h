// A subscription to a ZeroMQ publisher, without ZeroMQ's library: telemetry of serving engines is all that is read so.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "net/zmtp.h"

namespace moecap::net {

// Not for several threads.
class ZmtpSubscriber {
 public:
  // `address`: "ipc:///path" or "tcp://127.0.0.1:5557" (a numeric IPv4 address, or "localhost"). Does not wait for the
  // publisher's greeting. Errors: kBadInput for another address, kFailed when nothing listens.
  static Result<ZmtpSubscriber> Connect(const std::string& address);
  ZmtpSubscriber(ZmtpSubscriber&& other) noexcept;
  ZmtpSubscriber& operator=(ZmtpSubscriber&& other) noexcept;
  ~ZmtpSubscriber();

  // Appends what has arrived; never waits. What is not fetched for long the publisher drops. Error kFailed: the publisher is
  // gone, or speaks something else.
  Status Take(std::vector<ZmtpMessage>& messages);
  // Whether the publisher was told; Take does it when it has greeted.
  bool subscribed() const { return subscribed_; }

 private:
  explicit ZmtpSubscriber(int fd) : fd_(fd) {}
  Status Send(const std::string& bytes) const;

  int fd_ = -1;
  ZmtpReader reader_;
  bool subscribed_ = false;
};

}  // namespace moecap::net
