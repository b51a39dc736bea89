#include "net/poller.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/epoll.h"

namespace moecap::net {
namespace {

epoll_event Event(uint64_t tag, bool write) {
  epoll_event event{};
  event.events = EPOLLIN | (write ? EPOLLOUT : 0u);
  event.data.u64 = tag;
  return event;
}

// Otherwise this thread's waits may end 50 us late.
void SleepExactly() {
  thread_local bool done = false;
  if (!std::exchange(done, true)) ::prctl(PR_SET_TIMERSLACK, 1UL);
}

}  // namespace

Poller::Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) { CHECK(fd_ >= 0); }
Poller::~Poller() { ::close(fd_); }

void Poller::Add(int fd, uint64_t tag, bool write) {
  epoll_event event = Event(tag, write);
  CHECK(::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void Poller::Change(int fd, uint64_t tag, bool write) {
  epoll_event event = Event(tag, write);
  CHECK(::epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event) == 0);
}

std::span<const epoll_event> Poller::Wait(int64_t timeout_ns) {
  SleepExactly();
  const int count = WaitForEvents(fd_, events_, timeout_ns);
  interrupted_ = count < 0 && errno == EINTR;
  CHECK(count >= 0 || interrupted_);
  return std::span(events_).first(count < 0 ? 0 : static_cast<size_t>(count));
}

}  // namespace moecap::net
