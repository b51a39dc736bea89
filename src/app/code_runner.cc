#include "app/code_runner.h"

#include <fmt/format.h>

#include <string>

#include "accuracy/code_answer.h"
#include "sandbox/sandbox.h"

namespace moecap::app {
namespace {

Result<bool> Passes(const std::string& interpreter, const std::string& program) {
  sandbox::Options options;
  options.permission = sandbox::Permission::kIsolated;
  options.interpreter.front() = interpreter;
  ASSIGN_OR_RETURN(const sandbox::Outcome outcome, sandbox::RunUntrusted(program, options));
  return outcome.signal == 0 && !outcome.timed_out && outcome.exit_code == accuracy::kHumanEvalPassed;
}

}  // namespace

Result<accuracy::ProgramRunner> MakeCodeRunner() {
  const std::string trial = fmt::format("__import__('os')._exit({})\n", accuracy::kHumanEvalPassed);
  std::string why;
  // The one in PATH may lie in a folder of this user alone, where nobody, as whom it runs, cannot reach it.
  for (const char* interpreter : {"python3", "/usr/bin/python3"}) {
    const auto works = Passes(interpreter, trial);
    if (works.ok() && *works)
      return accuracy::ProgramRunner([interpreter](const std::string& program) { return Passes(interpreter, program); });
    why += fmt::format("{}{}: {}", why.empty() ? "" : "; ", interpreter,
                       works.ok() ? "it does not run what it is given" : works.error().message);
  }
  return BadInput("the programs in the answers cannot be run here: " + why);
}

}  // namespace moecap::app
