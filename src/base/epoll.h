// Waiting for readiness with limits in nanoseconds, on every Linux.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <span>

namespace moecap {

// As epoll_pwait2, which Linux has from 5.11 on; before it two system calls do the same. Waits at most `timeout_ns` (negative =
// without limit). Returns how many of `events` are filled, or -1 with errno, e.g. EINTR.
int WaitForEvents(int epoll, std::span<epoll_event> events, int64_t timeout_ns);

}  // namespace moecap
