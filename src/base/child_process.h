// A program that runs as a child, with everything that it starts, and that ends when this process ends, however that ends.
//
// Between the two stands a guard: a small process that waits for the program and for the end of a pipe that this process alone
// holds open. When the pipe ends, because Stop was called or because this process is gone (a crash and SIGKILL included), the
// guard ends the program's whole group: SIGTERM, and after a grace SIGKILL. Children of the program that left its group become
// the guard's when their parents end, and are ended too. The program has a session of its own, so that Ctrl-C reaches this
// process alone. If the guard itself is killed, the kernel kills the program, but not what the program has started.
// Not covered: what a service outside starts on the program's request, e.g. a container of `docker run --detach`.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace moecap {

struct ExitStatus {
  int code = 0;    // of a program that ended by itself
  int signal = 0;  // that ended it; 0 = none
};
std::string InWords(const ExitStatus& status);  // "exit code 1", "signal 9 (Killed)"

class ChildProcess {
 public:
  struct Options {
    std::vector<std::string> words;                  // the program, looked for in PATH, and its arguments; not empty
    std::map<std::string, std::string> environment;  // over this process's own
    std::filesystem::path directory;                 // where it runs; empty = where this process does
    std::filesystem::path output;                    // both outputs are appended to this file; the input is empty
    double grace_s = 20;                             // from SIGTERM to SIGKILL
  };

  // Error: kBadInput when the program cannot be run or the file cannot be written, with the reason.
  static Result<ChildProcess> Start(const Options& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();  // Stop

  // How it ended by itself; null while it runs.
  std::optional<ExitStatus> Ended();
  // Ends it and what is left of its children; returns when all are gone, which may take the grace and some seconds. The status
  // is that of the program; null when nobody could tell. Idempotent.
  std::optional<ExitStatus> Stop();

  pid_t pid() const { return pid_; }  // of the program, which leads its group

 private:
  ChildProcess(pid_t guard, pid_t pid, int control, int status)
      : guard_(guard), pid_(pid), control_(control), status_(status) {}
  void ReadStatus();

  pid_t guard_ = -1;  // -1 = collected, or moved away
  pid_t pid_ = -1;
  int control_ = -1;  // the guard acts when it is closed
  int status_ = -1;   // brings an ExitStatus
  std::optional<ExitStatus> ended_;
};

}  // namespace moecap
