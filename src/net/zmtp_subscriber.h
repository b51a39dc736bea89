// A subscription to a ZeroMQ publisher, without ZeroMQ's library: telemetry of serving engines is all that is read so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/zmtp.h"

namespace moecap::net {

// Not for several threads.
class ZmtpSubscriber {
 public:
  // `address`: "ipc:///path" or "tcp://127.0.0.1:5557" (a numeric IPv4 address, or "localhost"). Never waits: the connection
  // is made while Await or Take are called. Errors: kBadInput for another address, kFailed when it is refused at once.
  static Result<ZmtpSubscriber> Connect(const std::string& address);
  ZmtpSubscriber(ZmtpSubscriber&& other) noexcept;
  ZmtpSubscriber& operator=(ZmtpSubscriber&& other) noexcept;
  ~ZmtpSubscriber();

  // Returns when the connection is made. Error kFailed: it was refused, or not made within `limit_ns`.
  Status Await(int64_t limit_ns);

  // Appends what has arrived, of at most kMostTaken bytes; never waits. What is not fetched for long the publisher drops. Error
  // kFailed: the publisher is gone, does not let anybody in, or speaks something else.
  Status Take(std::vector<ZmtpMessage>& messages);
  static constexpr size_t kMostTaken = size_t{4} << 20;  // a publisher that never pauses keeps nobody
  // Whether the publisher was told; Take does it when it has greeted.
  bool subscribed() const { return subscribed_; }

 private:
  ZmtpSubscriber(int fd, std::string address) : fd_(fd), address_(std::move(address)) {}
  Status Send(const std::string& bytes) const;
  Status TryConnect();
  // Greets as soon as there is a connection; waits for that at most so long.
  Status Greet(int wait_ms);

  int fd_ = -1;
  std::string address_;
  bool connecting_ = false;   // or connected; false: the listener had no room yet
  bool has_greeted_ = false;  // this side
  ZmtpReader reader_;
  bool subscribed_ = false;
};

}  // namespace moecap::net
