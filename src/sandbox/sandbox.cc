#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "sandbox/confine.h"

namespace moecap::sandbox {
namespace {

constexpr const char* kFileName = "program";

std::string Reason(int error) { return ::strerror(error); }

// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd() { Close(); }
  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

struct Pipe {
  Fd read, write;
};
Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Failed(fmt::format("no pipe can be made: {}", Reason(errno)));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// A folder of this run, removed with what is in it.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> Make() {
    std::error_code none;
    std::string path = std::filesystem::temp_directory_path(none) / "moecap-sandbox-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return Failed(fmt::format("cannot make the folder {}: {}", path, Reason(errno)));
    return TemporaryFolder(std::move(path));
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The path of `program`, looked for as a shell does.
Result<std::string> FindProgram(const std::string& program) {
  const auto runs = [](const std::string& path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
  };
  if (program.find('/') != std::string::npos) {
    if (runs(program)) return std::filesystem::absolute(program).string();
    return BadInput(fmt::format("there is no interpreter {}", program));
  }
  const char* const path = ::getenv("PATH");
  std::string_view left = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!left.empty()) {
    const size_t end = std::min(left.find(':'), left.size());
    const std::string candidate = fmt::format("{}/{}", left.substr(0, end), program);
    if (end > 0 && runs(candidate)) return candidate;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return BadInput(
      fmt::format("there is no interpreter {} in PATH: install it (Debian: apt-get install python3) or name another", program));
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

bool WriteProcFile(pid_t pid, const char* name, const std::string& text) {
  const Fd file(::open(fmt::format("/proc/{}/{}", pid, name).c_str(), O_WRONLY | O_CLOEXEC));
  return file.get() >= 0 && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Nobody inside is nobody outside when this process is root, and else this user, who may map no other.
bool MapUser(pid_t pid, bool is_root) {
  const auto map = [](uint32_t outside) { return fmt::format("{} {} 1", kNobody, outside); };
  if (!is_root && !WriteProcFile(pid, "setgroups", "deny")) return false;
  return WriteProcFile(pid, "uid_map", map(is_root ? kNobody : ::geteuid())) &&
         WriteProcFile(pid, "gid_map", map(is_root ? kNobody : ::getegid()));
}

// Reads the output until the first process has reported and is gone. It keeps the time itself.
void Listen(int output, int report_fd, int64_t most, Outcome& outcome, std::vector<Report>& reports) {
  std::array<char, 64 << 10> buffer;
  const auto take = [&] {
    const ssize_t size = ::read(output, buffer.data(), buffer.size());
    if (size <= 0) return size == -1 && errno == EINTR;
    const auto room = static_cast<size_t>(std::max<int64_t>(most - std::ssize(outcome.output), 0));
    outcome.output.append(buffer.data(), std::min(room, static_cast<size_t>(size)));
    outcome.output_cut = outcome.output_cut || static_cast<size_t>(size) > room;
    return true;
  };
  bool output_open = true;
  for (;;) {
    std::array fds{pollfd{report_fd, POLLIN, 0}, pollfd{output_open ? output : -1, POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[1].revents != 0) output_open = take();
    if (fds[0].revents == 0) continue;
    Report report;
    const ssize_t size = ::read(report_fd, &report, sizeof report);
    if (size == static_cast<ssize_t>(sizeof report)) reports.push_back(report);
    if (size == 0) break;
  }
  // What is still in the pipe. A process that escaped, which only those without a fence can, may hold it open.
  ::fcntl(output, F_SETFL, O_NONBLOCK);
  while (output_open && take()) {
  }
}

struct Interior {
  Pipe go, report, output;
  Fd input;
};

Result<Outcome> Oversee(pid_t pid, Interior& interior, const Plan& plan) {
  for (Fd* mine_no_more : {&interior.go.read, &interior.report.write, &interior.output.write, &interior.input})
    mine_no_more->Close();
  Outcome outcome;
  outcome.isolated = plan.isolated;
  std::vector<Report> reports;
  const bool mapped = !plan.isolated || MapUser(pid, plan.change_user);
  const int map_error = errno;
  if (mapped) {
    [[maybe_unused]] const ssize_t written = ::write(interior.go.write.get(), "g", 1);
  }
  interior.go.write.Close();
  Listen(interior.output.read.get(), interior.report.read.get(), plan.limits.output_bytes, outcome, reports);
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (!mapped) return BadInput(fmt::format("the program cannot be isolated: its user cannot be mapped: {}", Reason(map_error)));
  if (reports.empty()) return Failed("the sandbox ended before its program did");
  const Report& first = reports.front();
  if (first.failed != nullptr) return BadInput(fmt::format("the sandbox cannot {}: {}", first.failed, Reason(first.error)));
  if (WIFEXITED(first.status)) outcome.exit_code = WEXITSTATUS(first.status);
  if (WIFSIGNALED(first.status)) outcome.signal = WTERMSIG(first.status);
  outcome.timed_out = first.timed_out || outcome.signal == SIGXCPU;
  return outcome;
}

// As fork, with namespaces of its own. glibc has no call for that.
pid_t Fork(bool isolated) {
  if (!isolated) return ::fork();
  constexpr long kNamespaces = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC;
  return static_cast<pid_t>(::syscall(SYS_clone, kNamespaces | SIGCHLD, 0, 0, 0, 0));
}

Result<Outcome> RunIn(const TemporaryFolder& folder, std::string_view text, const std::string& interpreter,
                      const Options& options, bool isolated) {
  std::vector<std::string> words = options.interpreter;
  words.push_back(kFileName);
  const std::vector<std::string> environment{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "OMP_NUM_THREADS=1",
                                             "HOME=" + folder.path(), "TMPDIR=" + folder.path()};
  const std::vector<char*> word_pointers = Pointers(words), environment_pointers = Pointers(environment);
  const std::string file_system = fmt::format("size={},nr_inodes={},mode=0700,uid={},gid={}", options.limits.files_bytes,
                                              options.limits.files, kNobody, kNobody);
  ASSIGN_OR_RETURN(Pipe go, MakePipe());
  ASSIGN_OR_RETURN(Pipe report, MakePipe());
  ASSIGN_OR_RETURN(Pipe output, MakePipe());
  Interior interior{std::move(go), std::move(report), std::move(output), Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))};
  const Plan plan{.words = word_pointers.data(),
                  .environment = environment_pointers.data(),
                  .interpreter = interpreter.c_str(),
                  .folder = folder.path().c_str(),
                  .file_system_options = file_system.c_str(),
                  .file_name = kFileName,
                  .text = text,
                  .limits = options.limits,
                  .isolated = isolated,
                  .change_user = ::geteuid() == 0,
                  .go = interior.go.read.get(),
                  .report = interior.report.write.get(),
                  .output = interior.output.write.get(),
                  .input = interior.input.get()};
  // No handler of this process may run inside.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = Fork(isolated);
  if (pid == 0) LiveInside(plan);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0 && isolated) {
    return BadInput(fmt::format("the program cannot be isolated: this system refuses new namespaces ({})",
                                error == ENOSPC ? "there are as many as user.max_user_namespaces allows" : Reason(error)));
  }
  if (pid < 0) return Failed(fmt::format("no process can be started: {}", Reason(error)));
  return Oversee(pid, interior, plan);
}

}  // namespace

Result<Outcome> RunUntrusted(std::string_view text, const Options& options) {
  CHECK(!options.interpreter.empty() && options.limits.wall_s > 0 && options.limits.cpu_s >= 1);
  if (options.permission == Permission::kRefused) {
    return BadInput("programs that a model wrote are run only when that is asked for");
  }
  ASSIGN_OR_RETURN(const std::string interpreter, FindProgram(options.interpreter.front()));
  ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Make());
  if (options.permission == Permission::kUnfenced) return RunIn(folder, text, interpreter, options, /*isolated=*/false);
  Result<Outcome> outcome = RunIn(folder, text, interpreter, options, /*isolated=*/true);
  if (outcome.ok() || options.permission == Permission::kIsolated) return outcome;
  return RunIn(folder, text, interpreter, options, /*isolated=*/false);
}

}  // namespace moecap::sandbox
