#include "base/epoll.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>

namespace moecap {
namespace {

// From here on this process has a kernel without epoll_pwait2. False where that cannot be arranged.
bool ForgetEpollPwait2() {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// A descriptor that is ready is found; without one the wait lasts as long as asked for. 0 = well, else the check that failed.
int Check() {
  const int epoll = ::epoll_create1(0);
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return 1;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 77;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) != 0) return 2;
  std::array<epoll_event, 4> events{};
  const auto begin = std::chrono::steady_clock::now();
  if (WaitForEvents(epoll, events, 300'000) != 0) return 3;
  if (std::chrono::steady_clock::now() - begin < std::chrono::microseconds(300)) return 4;
  if (::write(ends[1], "x", 1) != 1) return 5;
  for (const int64_t timeout_ns : {int64_t{-1}, int64_t{0}, int64_t{5'000'000'000}}) {
    events = {};
    if (WaitForEvents(epoll, events, timeout_ns) != 1 || events[0].data.u64 != 77) return 6;
  }
  ::close(ends[0]);
  ::close(ends[1]);
  ::close(epoll);
  return 0;
}

TEST(WaitForEvents, FindsWhatIsReady) { EXPECT_EQ(Check(), 0); }

TEST(WaitForEventsDeathTest, WorksWithoutEpollPwait2) {
  EXPECT_EXIT(
      {
        if (!ForgetEpollPwait2()) ::_exit(0);
        epoll_event event{};
        const bool gone = ::epoll_pwait2(-1, &event, 1, nullptr, nullptr) == -1 && errno == ENOSYS;
        ::_exit(gone ? Check() : 99);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace moecap
