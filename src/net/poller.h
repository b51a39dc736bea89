// Readiness of many sockets: epoll, level-triggered.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>

namespace moecap::net {

class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Reports when `fd` can be read, and with `write` also when it can be written. Closing a descriptor removes it.
  void Add(int fd, uint64_t tag, bool write);
  void Change(int fd, uint64_t tag, bool write);

  // Waits at most `timeout_ns` (negative = without limit). The span holds until the next call; `data.u64` is the tag.
  std::span<const epoll_event> Wait(int64_t timeout_ns);
  // Whether a signal ended the last Wait.
  bool interrupted() const { return interrupted_; }

 private:
  int fd_;
  bool interrupted_ = false;
  std::array<epoll_event, 64> events_;
};

}  // namespace moecap::net
