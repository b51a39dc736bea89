// The built program as a child process in a folder of its own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/fs.h"

namespace moecap::e2e {

struct Outcome {
  int exit_code = -1;
  std::string out, err;
};

// Starts the program in `dir`, both outputs going to files there; `prepare` runs in the child before it.
inline pid_t StartProgram(const std::filesystem::path& dir, const std::vector<std::string>& args,
                          const std::function<void()>& prepare = {}) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  std::vector<char*> argv{const_cast<char*>(MOECAP_BINARY)};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  if (prepare) prepare();
  if (::chdir(dir.c_str()) != 0 || std::freopen("out", "w", stdout) == nullptr || std::freopen("err", "w", stderr) == nullptr ||
      std::freopen("/dev/null", "r", stdin) == nullptr)
    ::_exit(99);
  ::execv(MOECAP_BINARY, argv.data());
  ::_exit(98);
}

inline Outcome FinishProgram(const std::filesystem::path& dir, pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), ReadFile(dir / "out").value(),
          ReadFile(dir / "err").value()};
}

inline Outcome CallProgram(const std::filesystem::path& dir, const std::vector<std::string>& args,
                           const std::function<void()>& prepare = {}) {
  return FinishProgram(dir, StartProgram(dir, args, prepare));
}

// The program with `arguments` as the shell reads them; `environment`: "NAME=value" pairs before it.
inline Outcome ShellProgram(const std::filesystem::path& dir, const std::string& arguments,
                            const std::string& environment = "") {
  const std::string command =
      "cd '" + dir.string() + "' && " + environment + " '" MOECAP_BINARY "' " + arguments + " >out 2>err </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadFile(dir / "out").value(), ReadFile(dir / "err").value()};
}

}  // namespace moecap::e2e
