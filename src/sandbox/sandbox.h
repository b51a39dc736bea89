// Runs a program text of unknown origin, e.g. code that a model wrote, where it can do little harm, and says how it ended.
//
// The program runs in namespaces of its own (Linux: user, network, process, mount, IPC): it sees no network and no other
// process, every file is read-only but those in a small folder in memory that is gone afterwards, and it has the rights of
// nobody. When its first process ends, or a limit is met, the kernel ends all that it has started. It can still read what
// everybody (without root: this user) may read; what it prints comes back and goes nowhere else. Sockets, ptrace and io_uring
// are refused besides (seccomp).
//
// This is a fence for mistakes and careless code, not a proof against an attacker with a fault of the kernel at hand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::sandbox {

struct Limits {
  double wall_s = 10;                 // of the whole run; > 0
  int64_t cpu_s = 10;                 // of each process; >= 1
  int64_t memory_bytes = 1LL << 30;   // address space of each process
  int64_t files_bytes = 64LL << 20;   // of all files together, which lie in memory; unfenced: of each file
  int64_t files = 1000;               // in the folder
  int64_t open_files = 64;            // of each process
  int64_t processes = 32;             // threads included; unfenced it is not limited
  int64_t output_bytes = 64LL << 10;  // kept of both outputs; the rest is read and forgotten
};

enum class Permission : uint8_t {
  kRefused,             // nothing is run
  kIsolated,            // only where all of the above is in force
  kIsolatedIfPossible,  // else as the next
  kUnfenced,            // with the limits and without sockets, but with this user's rights on files: at the user's own risk
};

struct Options {
  Permission permission = Permission::kRefused;
  std::vector<std::string> interpreter = {"python3", "-I"};  // the program, looked for in PATH, and its arguments
  Limits limits;
};

struct Outcome {
  int exit_code = 0;       // of a program that ended by itself
  int signal = 0;          // that ended it; 0 = none
  bool timed_out = false;  // a limit of time ended it
  bool isolated = false;
  std::string output;  // both outputs as they came, at most `output_bytes`
  bool output_cut = false;
};

// Runs `text` with an empty input. Thread-safe. Errors: kBadInput when running is not permitted, when the interpreter is not
// found or cannot be run by nobody (as whom it runs when this process is root), and where isolation is asked for and not to be
// had, with the reason; kFailed when the system refuses a process or a folder.
Result<Outcome> RunUntrusted(std::string_view text, const Options& options);

}  // namespace moecap::sandbox
