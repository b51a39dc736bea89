#include "base/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

extern char** environ;

namespace moecap {
namespace {

// What the guard needs, made before it is forked: between fork and exec only async-signal-safe functions may be called.
struct Plan {
  std::vector<char*> words, environment;  // with a null at the end
  const char* directory = nullptr;        // null = stay
  int input = -1, output = -1;            // of the program
  int control = -1;                       // reads; ends when the program is to end
  int status = -1;                        // takes an ExitStatus
  int started = -1;                       // takes the program's id, then errno if it cannot be run
  int64_t grace_ns = 0;
};

// A file descriptor that closes itself. None is that of standard input, output or error, which may be closed here: in the
// program these are its own.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {
    if (fd < 0 || fd > STDERR_FILENO) return;
    fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    ::close(fd);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int64_t NowNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

template <typename T>
void Tell(int fd, const T& value) {
  [[maybe_unused]] const ssize_t written = ::write(fd, &value, sizeof value);
}

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
}

[[noreturn]] void RunProgram(const Plan& plan, pid_t guard, const sigset_t& none) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != guard) ::_exit(127);
  Tell(plan.started, ::getpid());
  ResetSignals();
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool ready = ::dup2(plan.input, STDIN_FILENO) >= 0 && ::dup2(plan.output, STDOUT_FILENO) >= 0 &&
                     ::dup2(plan.output, STDERR_FILENO) >= 0 && (plan.directory == nullptr || ::chdir(plan.directory) == 0);
  if (ready) {
    ::environ = const_cast<char**>(plan.environment.data());
    ::execvp(plan.words.front(), plan.words.data());
  }
  Tell(plan.started, errno);
  ::_exit(127);
}

// Closes files [from, to).
void CloseFiles(int from, int to) {
  if (from >= to || ::syscall(SYS_close_range, from, to - 1, 0) == 0) return;
  const long most = ::sysconf(_SC_OPEN_MAX);
  for (int fd = from; fd < to && fd < most; ++fd) ::close(fd);
}

// Sends a signal to every child of this process, which are those that lost their parents. The kernel may lack the page.
void SignalChildren(int number) {
  const int fd = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  std::array<char, 4096> text;
  const ssize_t size = ::read(fd, text.data(), text.size());
  ::close(fd);
  pid_t pid = 0;
  for (ssize_t i = 0; i < size; ++i) {
    if (text[static_cast<size_t>(i)] == ' ') {
      if (pid > 1) ::kill(pid, number);
      pid = 0;
    } else {
      pid = pid * 10 + (text[static_cast<size_t>(i)] - '0');
    }
  }
}

// The guard's own life.
class Guard {
 public:
  Guard(const Plan& plan, const sigset_t& none) : plan_(plan), none_(none) {}

  [[noreturn]] void Run() {
    ::setsid();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ::prctl(PR_SET_NAME, "moecap-guard");
    KeepOnlyOwnFiles();
    // All signals stay blocked but in ppoll, which the end of a child interrupts; what others send is not for the guard.
    ResetSignals();
    struct sigaction wake {};
    wake.sa_handler = [](int) {};
    ::sigaction(SIGCHLD, &wake, nullptr);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(number, SIG_IGN);

    const pid_t self = ::getpid();
    program_ = ::fork();
    if (program_ == 0) RunProgram(plan_, self, none_);
    if (program_ < 0) ::_exit(1);
    ::setpgid(program_, program_);
    ::close(plan_.started);
    for (const int fd : {plan_.input, plan_.output}) ::close(fd);
    Wait(-1, /*until_stop=*/true);
    End();
    ::_exit(0);
  }

 private:
  // Other pipes of the parent would never end while the guard holds them.
  void KeepOnlyOwnFiles() {
    std::array own = {plan_.input, plan_.output, plan_.control, plan_.status, plan_.started};
    std::ranges::sort(own);
    int from = 0;
    for (const int fd : own) {
      CloseFiles(from, fd);
      from = fd + 1;
    }
    CloseFiles(from, INT_MAX);
  }

  // Collects what has ended. False when no child is left.
  bool Collect() {
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid < 0) return errno == EINTR;
      if (pid == 0) return true;
      if (pid != program_ || told_) continue;
      told_ = true;
      Tell(plan_.status, ExitStatus{WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0});
    }
  }

  // Until no child is left or `limit_ns` (negative = without limit) is over; with `until_stop`, until the program has ended or
  // is to end. Whether a child is left.
  bool Wait(int64_t limit_ns, bool until_stop) {
    const int64_t end_ns = NowNs() + limit_ns;  // without meaning for no limit
    for (;;) {
      if (!Collect()) return false;
      if (until_stop && told_) return true;
      const int64_t left_ns = limit_ns < 0 ? 1 : end_ns - NowNs();
      if (left_ns <= 0) return true;
      pollfd control{plan_.control, POLLIN, 0};
      const timespec left{static_cast<time_t>(left_ns / 1'000'000'000), static_cast<long>(left_ns % 1'000'000'000)};
      const int ready = ::ppoll(&control, until_stop ? 1 : 0, limit_ns < 0 ? nullptr : &left, &none_);
      if (until_stop && ready > 0) return true;
    }
  }

  void End() {
    ::kill(-program_, SIGTERM);
    const int64_t grace_end_ns = NowNs() + plan_.grace_ns;
    // Those that the program leaves behind are asked as well.
    while (Wait(std::min(kAskAgainNs, grace_end_ns - NowNs()), false) && NowNs() < grace_end_ns) {
      if (told_) SignalChildren(SIGTERM);
    }
    // A child of a killed one becomes ours and is killed in the next turn.
    for (int turn = 0; turn < kTurns && Collect(); ++turn) {
      ::kill(-program_, SIGKILL);
      SignalChildren(SIGKILL);
      Wait(kTurnNs, false);
    }
  }

  static constexpr int64_t kAskAgainNs = 1'000'000'000, kTurnNs = 100'000'000;
  static constexpr int kTurns = 50;

  const Plan& plan_;
  const sigset_t& none_;
  pid_t program_ = -1;
  bool told_ = false;
};

std::string Reason() { return ::strerror(errno); }

// NAME=VALUE lines: this process's own, and others over them.
std::vector<std::string> EnvironmentWith(const std::map<std::string, std::string>& over) {
  std::vector<std::string> lines;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const std::string line = *entry;
    if (!over.contains(line.substr(0, line.find('=')))) lines.push_back(line);
  }
  for (const auto& [name, value] : over) lines.push_back(fmt::format("{}={}", name, value));
  return lines;
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct Pipe {
  Fd read, write;
};
Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Failed(fmt::format("no pipe can be made: {}", Reason()));
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  if (pipe.read.get() < 0 || pipe.write.get() < 0) return Failed(fmt::format("no pipe can be made: {}", Reason()));
  return pipe;
}

// Reads one value; false at the end of the pipe.
template <typename T>
bool Hear(int fd, T& value) {
  ssize_t size = 0;
  while ((size = ::read(fd, &value, sizeof value)) < 0 && errno == EINTR) {
  }
  return size == static_cast<ssize_t>(sizeof value);
}

}  // namespace

std::string InWords(const ExitStatus& status) {
  if (status.signal != 0) return fmt::format("signal {} ({})", status.signal, ::strsignal(status.signal));
  return fmt::format("exit code {}", status.code);
}

Result<ChildProcess> ChildProcess::Start(const Options& options) {
  CHECK(!options.words.empty());
  const Fd output(::open(options.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (output.get() < 0) return BadInput(fmt::format("cannot write {}: {}", options.output.string(), Reason()));
  const Fd input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSIGN_OR_RETURN(Pipe control, MakePipe());
  ASSIGN_OR_RETURN(Pipe status, MakePipe());
  ASSIGN_OR_RETURN(Pipe started, MakePipe());
  const std::vector<std::string> environment = EnvironmentWith(options.environment);
  const Plan plan{Pointers(options.words),
                  Pointers(environment),
                  options.directory.empty() ? nullptr : options.directory.c_str(),
                  input.get(),
                  output.get(),
                  control.read.get(),
                  status.write.get(),
                  started.write.get(),
                  static_cast<int64_t>(options.grace_s * 1e9)};
  // No handler of this process may run in the guard.
  sigset_t all, before, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t guard = ::fork();
  if (guard == 0) Guard(plan, none).Run();
  const std::string reason = Reason();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (guard < 0) return Failed(fmt::format("no process can be started: {}", reason));
  ::close(started.write.Release());
  ::close(status.write.Release());
  pid_t pid = -1;
  int error = 0;
  const bool any = Hear(started.read.get(), pid);
  ChildProcess child(guard, pid, control.write.Release(), status.read.Release());
  ::fcntl(child.status_, F_SETFL, O_NONBLOCK);
  if (any && pid > 0 && !Hear(started.read.get(), error)) return child;
  return BadInput(fmt::format("{} cannot be run{}: {}", options.words.front(),
                              options.directory.empty() ? "" : " in " + options.directory.string(), ::strerror(error)));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : guard_(std::exchange(other.guard_, -1)),
      pid_(other.pid_),
      control_(std::exchange(other.control_, -1)),
      status_(std::exchange(other.status_, -1)),
      ended_(other.ended_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  Stop();
  guard_ = std::exchange(other.guard_, -1);
  pid_ = other.pid_;
  control_ = std::exchange(other.control_, -1);
  status_ = std::exchange(other.status_, -1);
  ended_ = other.ended_;
  return *this;
}

ChildProcess::~ChildProcess() { Stop(); }

void ChildProcess::ReadStatus() {
  ExitStatus status;
  if (!ended_ && status_ >= 0 && Hear(status_, status)) ended_ = status;
}

std::optional<ExitStatus> ChildProcess::Ended() {
  ReadStatus();
  return ended_;
}

std::optional<ExitStatus> ChildProcess::Stop() {
  if (guard_ < 0) return ended_;
  ::close(std::exchange(control_, -1));
  while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
  }
  guard_ = -1;
  ReadStatus();
  ::close(std::exchange(status_, -1));
  return ended_;
}

}  // namespace moecap
