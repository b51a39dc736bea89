#include "base/epoll.h"

#include <poll.h>

#include <atomic>
#include <cerrno>
#include <ctime>

namespace moecap {

int WaitForEvents(int epoll, std::span<epoll_event> events, int64_t timeout_ns) {
  static std::atomic<bool> old_kernel = false;
  const timespec limit{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  const timespec* timeout = timeout_ns < 0 ? nullptr : &limit;
  const int size = static_cast<int>(events.size());
  if (!old_kernel.load(std::memory_order_relaxed)) {
    const int count = ::epoll_pwait2(epoll, events.data(), size, timeout, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    old_kernel.store(true, std::memory_order_relaxed);
  }
  // epoll_wait itself counts milliseconds, but an epoll descriptor can be waited for like any other.
  pollfd ready{epoll, POLLIN, 0};
  const int count = ::ppoll(&ready, 1, timeout, nullptr);
  return count <= 0 ? count : ::epoll_wait(epoll, events.data(), size, 0);
}

}  // namespace moecap
