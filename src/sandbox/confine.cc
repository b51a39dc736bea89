#include "sandbox/confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace moecap::sandbox {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the system calls of this architecture are not known"
#endif

[[noreturn]] void Fail(const Plan& plan, const char* what) {
  Report report;
  report.failed = what;
  report.error = errno;
  [[maybe_unused]] const ssize_t written = ::write(plan.report, &report, sizeof report);
  ::_exit(1);
}

void Need(const Plan& plan, bool done, const char* what) {
  if (!done) Fail(plan, what);
}

// By system calls alone: glibc's functions would tell this process's other threads, which are not here, and wait for them.
void BecomeNobody(const Plan& plan) {
  if (!plan.change_user) return;
  Need(plan, ::syscall(SYS_setgroups, 0, nullptr) == 0, "leave the groups of root");
  Need(plan, ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) == 0, "take the group of nobody");
  Need(plan, ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0, "become nobody");
}

void FenceFiles(const Plan& plan) {
  Need(plan, ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "keep mounts to itself");
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  Need(plan, ::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof read_only) == 0, "make files read-only");
  constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV;
  Need(plan, ::mount("tmpfs", plan.folder, "tmpfs", kPlain, plan.file_system_options) == 0, "make a folder in memory");
  // A container may forbid a new /proc; the old one shows other processes.
  const bool own = ::mount("proc", "/proc", "proc", kPlain | MS_NOEXEC, nullptr) == 0;
  Need(plan, own || ::mount("tmpfs", "/proc", "tmpfs", kPlain | MS_RDONLY, "size=4k") == 0, "hide other processes");
}

void WriteProgram(const Plan& plan) {
  Need(plan, ::chdir(plan.folder) == 0, "enter the folder");
  const int file = ::open(plan.file_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  Need(plan, file >= 0, "make the program's file");
  std::string_view left = plan.text;
  while (!left.empty()) {
    const ssize_t written = ::write(file, left.data(), left.size());
    Need(plan, written > 0, "write the program's file");
    left.remove_prefix(static_cast<size_t>(written));
  }
  ::close(file);
}

void Limit(const Plan& plan, int resource, int64_t most, int64_t beyond_warning = 0) {
  const rlimit limit{static_cast<rlim_t>(most), static_cast<rlim_t>(most + beyond_warning)};
  Need(plan, ::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0, "limit resources");
}

void SetLimits(const Plan& plan) {
  const Limits& limits = plan.limits;
  Limit(plan, RLIMIT_CPU, limits.cpu_s, /*beyond_warning=*/1);  // SIGXCPU, then SIGKILL
  Limit(plan, RLIMIT_AS, limits.memory_bytes);
  Limit(plan, RLIMIT_FSIZE, limits.files_bytes);
  Limit(plan, RLIMIT_NOFILE, limits.open_files);
  Limit(plan, RLIMIT_CORE, 0);
  // Outside, the user's other processes would count, too.
  if (plan.isolated) Limit(plan, RLIMIT_NPROC, limits.processes);
}

// EPERM for what opens a way out. Others of this kernel's interfaces (32-bit, x32) are not let in at all.
void RefuseCalls(const Plan& plan) {
  constexpr uint32_t kNumber = offsetof(seccomp_data, nr), kArch = offsetof(seccomp_data, arch);
  constexpr uint32_t kFirstOfX32 = 0x40000000;
  std::array filter{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArch),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstOfX32, 3, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 2, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 1, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{filter.size(), filter.data()};
  Need(plan, ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "give up new rights");
  Need(plan, ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "refuse system calls");
}

[[noreturn]] void RunProgram(const Plan& plan, const sigset_t& none) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool ready = ::dup2(plan.input, STDIN_FILENO) >= 0 && ::dup2(plan.output, STDOUT_FILENO) >= 0 &&
                     ::dup2(plan.output, STDERR_FILENO) >= 0;
  Need(plan, ready, "connect the outputs");
  SetLimits(plan);
  RefuseCalls(plan);
  ::execve(plan.interpreter, plan.words, plan.environment);
  Fail(plan, "run the interpreter");
}

int64_t NowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Until the program ends or its time is over; children that it has left behind are collected as well.
Report WaitFor(const Plan& plan, pid_t program) {
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  const int64_t end_ns = NowNs() + static_cast<int64_t>(plan.limits.wall_s * 1e9);
  Report report;
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid == program) {
      report.status = status;
      return report;
    }
    if (pid > 0) continue;
    const int64_t left_ns = end_ns - NowNs();
    if (left_ns <= 0) {
      report.timed_out = true;
      report.status = SIGKILL;
      return report;
    }
    const timespec left{static_cast<time_t>(left_ns / 1'000'000'000), static_cast<long>(left_ns % 1'000'000'000)};
    ::sigtimedwait(&child, nullptr, &left);
  }
}

// Kills this process's children, among them those that lost their parents, as long as new ones turn up. In namespaces of its
// own the end of this process does that.
void KillAll(pid_t program) {
  constexpr int kTurns = 100;
  ::kill(-program, SIGKILL);
  for (int turn = 0; turn < kTurns; ++turn) {
    std::array<char, 4096> text;
    const int fd = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? 0 : ::read(fd, text.data(), text.size());
    if (fd >= 0) ::close(fd);
    pid_t pid = 0;
    for (const char c : std::string_view(text.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)))) {
      if (c != ' ') {
        pid = pid * 10 + (c - '0');
        continue;
      }
      ::kill(pid, SIGKILL);
      pid = 0;
    }
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (::waitpid(-1, nullptr, WNOHANG) < 0) return;
    const timespec moment{0, 10'000'000};
    ::nanosleep(&moment, nullptr);
  }
}

void KeepOnlyOwnFiles(const Plan& plan) {
  std::array own{plan.go, plan.report, plan.output, plan.input};
  std::ranges::sort(own);
  int from = 0;
  for (const int fd : own) {
    if (fd > from) ::syscall(SYS_close_range, from, fd - 1, 0);
    from = fd + 1;
  }
  ::syscall(SYS_close_range, from, INT_MAX, 0);
}

}  // namespace

void LiveInside(const Plan& plan) {
  sigset_t all, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  KeepOnlyOwnFiles(plan);
  ::setsid();
  char byte = 0;
  if (::read(plan.go, &byte, 1) != 1) ::_exit(1);
  ::signal(SIGCHLD, SIG_DFL);
  if (plan.isolated) {
    BecomeNobody(plan);
    FenceFiles(plan);
  } else {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  WriteProgram(plan);
  const pid_t program = ::_Fork();  // not fork, which takes locks that threads elsewhere may have held
  if (program == 0) RunProgram(plan, none);
  Need(plan, program > 0, "start the program");
  // A program that could not be run has reported itself; what is told here comes second.
  const Report report = WaitFor(plan, program);
  if (!plan.isolated) KillAll(program);
  [[maybe_unused]] const ssize_t written = ::write(plan.report, &report, sizeof report);
  ::_exit(0);
}

}  // namespace moecap::sandbox
