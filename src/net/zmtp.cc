#include "net/zmtp.h"

#include <cstdint>

namespace moecap::net {
namespace {

constexpr size_t kGreeting = 64;
constexpr size_t kSignature = 10, kMechanism = 12, kMechanismSize = 20;
constexpr unsigned char kMore = 1, kLong = 2, kCommand = 4;

}  // namespace

std::string ZmtpGreeting() {
  std::string greeting(kGreeting, '\0');
  greeting[0] = '\xff';
  greeting[kSignature - 1] = '\x7f';
  greeting[kSignature] = 3;
  greeting.replace(kMechanism, 4, "NULL");
  return greeting;
}

std::string ZmtpSubscription() {
  using namespace std::string_literals;
  const std::string ready = "\x05READY\x0bSocket-Type\0\0\0\x03SUB"s;
  std::string bytes = {kCommand, static_cast<char>(ready.size())};
  bytes += ready;
  return bytes + "\0\x01\x01"s;  // a message: subscribe to every topic
}

Status ZmtpReader::TakeGreeting() {
  const std::string_view greeting = std::string_view(waiting_).substr(0, kGreeting);
  if (greeting[0] != '\xff' || greeting[kSignature - 1] != '\x7f' || greeting[kSignature] < 3)
    return Failed("what answers there does not speak ZMTP 3 (ZeroMQ 4 or newer)");
  const std::string_view mechanism = greeting.substr(kMechanism, kMechanismSize);
  if (mechanism.substr(0, mechanism.find('\0')) != "NULL") return Failed("the publisher wants authentication");
  greeted_ = true;
  read_ = kGreeting;
  return {};
}

Result<bool> ZmtpReader::TakeFrame(std::vector<ZmtpMessage>& messages) {
  const std::string_view rest = std::string_view(waiting_).substr(read_);
  if (rest.size() < 2) return false;
  const auto flags = static_cast<unsigned char>(rest[0]);
  const size_t head = (flags & kLong) != 0 ? 9 : 2;
  if (rest.size() < head) return false;
  uint64_t size = 0;
  for (size_t i = 1; i < head; ++i) size = size << 8 | static_cast<unsigned char>(rest[i]);
  if (size > kMostFrame || message_.size() >= kMostFrames)
    return Failed("the publisher sends larger messages than telemetry is");
  if (rest.size() - head < size) return false;
  read_ += head + size;
  if ((flags & kCommand) != 0) return true;
  message_.emplace_back(rest.substr(head, size));
  if ((flags & kMore) == 0) {
    messages.push_back(std::move(message_));
    message_.clear();
  }
  return true;
}

Status ZmtpReader::Feed(std::string_view bytes, std::vector<ZmtpMessage>& messages) {
  waiting_.append(bytes);
  if (!greeted_) {
    if (waiting_.size() < kGreeting) return {};
    RETURN_IF_ERROR(TakeGreeting());
  }
  for (;;) {
    ASSIGN_OR_RETURN(const bool whole, TakeFrame(messages));
    if (!whole) break;
  }
  waiting_.erase(0, read_);
  read_ = 0;
  return {};
}

}  // namespace moecap::net
