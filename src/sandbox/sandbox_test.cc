#include "sandbox/sandbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <thread>
#include <vector>

#include "accuracy/code_answer.h"

namespace moecap::sandbox {
namespace {

using testing::HasSubstr;
using testing::Not;

// Every system has a shell; its scripts do what a program of Python would.
Options Shell(Permission permission = Permission::kIsolated) {
  Options options;
  options.permission = permission;
  options.interpreter = {"/bin/sh"};
  options.limits.wall_s = 600;
  return options;
}

Options Python() {
  Options options = Shell();
  options.interpreter = {std::filesystem::exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3", "-I"};
  return options;
}

// Why this machine cannot fence anything in; empty where it can.
std::string WhyNoFence() {
  const auto outcome = RunUntrusted("exit 0", Shell());
  return outcome.ok() ? "" : outcome.error().message;
}

#define NEEDS_FENCE() \
  if (const std::string why = WhyNoFence(); !why.empty()) GTEST_SKIP() << why

TEST(Sandbox, RunsNothingUnasked) {
  const auto outcome = RunUntrusted("exit 0", Options());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().kind, ErrorKind::kBadInput);
}

TEST(Sandbox, NamesAMissingInterpreter) {
  Options options = Shell();
  options.interpreter = {"no-such-interpreter"};
  const auto outcome = RunUntrusted("exit 0", options);
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.error().message, HasSubstr("no-such-interpreter"));
  options.interpreter = {"/no/such/interpreter"};
  EXPECT_FALSE(RunUntrusted("exit 0", options).ok());
}

TEST(Sandbox, SaysHowTheProgramEnded) {
  NEEDS_FENCE();
  const Outcome good = *RunUntrusted("echo out; echo err >&2; exit 86", Shell());
  EXPECT_EQ(good.exit_code, 86);
  EXPECT_EQ(good.output, "out\nerr\n");
  EXPECT_TRUE(good.isolated);
  EXPECT_FALSE(good.timed_out || good.output_cut);
  EXPECT_EQ(RunUntrusted("kill -9 $$", Shell())->signal, SIGKILL);
  EXPECT_EQ(RunUntrusted("cat; pwd; echo $HOME", Shell())->exit_code, 0) << "the input is empty";
}

TEST(Sandbox, EndsALoop) {
  NEEDS_FENCE();
  Options brief = Shell();
  brief.limits.wall_s = 0.3;
  EXPECT_TRUE(RunUntrusted("while :; do sleep 1; done", brief)->timed_out);
  Options options = Shell();
  options.limits.cpu_s = 1;
  EXPECT_TRUE(RunUntrusted("while :; do :; done", options)->timed_out) << "by its processor time";
}

TEST(Sandbox, EndsAForkBombAndWhatLeftItsParent) {
  NEEDS_FENCE();
  Options brief = Shell();
  brief.limits.wall_s = 1;
  EXPECT_TRUE(RunUntrusted("b() { b | b & }; b; while :; do :; done", brief)->timed_out);
  Options options = Shell();
  // A child in a session of its own would keep the outputs open, and this test with them, if it lived on.
  EXPECT_EQ(RunUntrusted("setsid sleep 100000 & exit 0", options)->exit_code, 0);
  options.limits.processes = 4;
  EXPECT_NE(RunUntrusted("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; exit 0", options)->exit_code, 0)
      << "too many processes";
}

TEST(Sandbox, KeepsTheBeginningOfALongOutput) {
  NEEDS_FENCE();
  Options options = Shell();
  options.limits.output_bytes = 1000;
  const Outcome outcome = *RunUntrusted("head -c 1000000000 /dev/zero", options);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.output.size(), 1000u);
  EXPECT_TRUE(outcome.output_cut);
}

TEST(Sandbox, WritesOnlyInItsFolderAndLittle) {
  NEEDS_FENCE();
  const std::filesystem::path outside = std::filesystem::temp_directory_path() / ("sandbox_test." + std::to_string(::getpid()));
  const Outcome outcome = *RunUntrusted("echo x > here && cat here; echo x > " + outside.string() + "; echo done", Shell());
  EXPECT_THAT(outcome.output, HasSubstr("x\n"));
  EXPECT_THAT(outcome.output, HasSubstr("done"));
  EXPECT_FALSE(std::filesystem::exists(outside));
  Options options = Shell();
  options.limits.files_bytes = 1 << 20;
  options.limits.files = 10;
  EXPECT_NE(RunUntrusted("head -c 2000000 /dev/zero > big", options)->exit_code, 0);
  EXPECT_THAT(RunUntrusted("for i in 1 2 3; do head -c 900000 /dev/zero > $i || echo full; done", options)->output,
              HasSubstr("full"))
      << "all files together";
  EXPECT_NE(RunUntrusted("set -e; for i in 1 2 3 4 5 6 7 8 9 10 11; do : > $i; done", options)->exit_code, 0) << "many files";
}

TEST(Sandbox, LeavesNoFolder) {
  NEEDS_FENCE();
  const std::string folder = RunUntrusted("pwd", Shell())->output;
  ASSERT_THAT(folder, HasSubstr("moecap-sandbox-"));
  EXPECT_FALSE(std::filesystem::exists(folder.substr(0, folder.find('\n'))));
}

TEST(Sandbox, SeesNoOtherProcessAndNoRights) {
  NEEDS_FENCE();
  const std::string self = std::to_string(::getpid());
  EXPECT_NE(RunUntrusted("kill -0 " + self, Shell())->exit_code, 0);
  EXPECT_THAT(RunUntrusted("ls /proc", Shell())->output, Not(HasSubstr("\n" + self + "\n")));
  EXPECT_EQ(RunUntrusted("id -u", Shell())->output, "65534\n");
  EXPECT_NE(RunUntrusted("mount -t tmpfs x /mnt", Shell())->exit_code, 0);
}

TEST(Sandbox, RunsSeveralAtOnce) {
  NEEDS_FENCE();
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer's own locks do not survive a clone of a process with threads";
#endif
  std::array<std::string, 4> outputs;
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < outputs.size(); ++i) {
      threads.emplace_back([&, i] { outputs[i] = RunUntrusted("echo " + std::to_string(i) + "; cat *", Shell())->output; });
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_EQ(outputs[i], std::to_string(i) + "\necho " + std::to_string(i) + "; cat *") << "its own folder";
  }
}

// Python is not needed by the program; where there is none, or one that nobody may run, nothing can be shown.
#define NEEDS_PYTHON()                                                                    \
  NEEDS_FENCE();                                                                          \
  if (const auto tried = RunUntrusted("pass", Python()); !tried.ok() || tried->exit_code) \
  GTEST_SKIP() << (tried.ok() ? tried->output : tried.error().message)

TEST(SandboxedPython, HasNoNetwork) {
  NEEDS_PYTHON();
  const Outcome outcome = *RunUntrusted(
      "import socket\n"
      "for family, address in ((socket.AF_INET, ('127.0.0.1', 22)), (socket.AF_UNIX, '/run/docker.sock')):\n"
      "  try:\n    socket.socket(family).connect(address)\n    print('connected')\n"
      "  except OSError as error: print(error.errno)\n",
      Python());
  EXPECT_EQ(outcome.output, "1\n1\n") << "EPERM";
}

TEST(SandboxedPython, HasLittleMemory) {
  NEEDS_PYTHON();
  EXPECT_THAT(RunUntrusted("x = bytearray(4 << 30)", Python())->output, HasSubstr("MemoryError"));
}

TEST(SandboxedPython, FailsWithItsTests) {
  NEEDS_PYTHON();
  EXPECT_EQ(RunUntrusted("def f(): return 1\nassert f() == 1\n", Python())->exit_code, 0);
  const Outcome wrong = *RunUntrusted("assert 1 == 2\n", Python());
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.output, HasSubstr("AssertionError"));
  EXPECT_TRUE(RunUntrusted("import ctypes\nctypes.string_at(0)\n", Python())->signal != 0) << "a crash";
}

TEST(SandboxedPython, JudgesHumanEval) {
  NEEDS_PYTHON();
  const auto passes = [](const char* completion) {
    const std::string program = accuracy::HumanEvalProgram("def twice(x):\n", completion,
                                                           "def check(candidate):\n    assert candidate(2) == 4\n", "twice");
    return RunUntrusted(program, Python())->exit_code == accuracy::kHumanEvalPassed;
  };
  EXPECT_TRUE(passes("    return 2 * x\n"));
  EXPECT_FALSE(passes("    return x\n"));
  EXPECT_FALSE(passes("    return\n}"));
  EXPECT_FALSE(passes("    return x\nimport sys\nsys.exit(0)\n")) << "leaving before the tests is no success";
}

// As where the system has no namespaces: the limits hold still.
TEST(Sandbox, UnfencedKeepsItsLimits) {
  Options options = Shell(Permission::kUnfenced);
  const Outcome outcome = *RunUntrusted("echo x > here; cat here; pwd; exit 3", options);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_FALSE(outcome.isolated);
  EXPECT_EQ(outcome.output.substr(0, 2), "x\n");
  EXPECT_FALSE(std::filesystem::exists(outcome.output.substr(2, outcome.output.size() - 3)));
  options.limits.files_bytes = 1000;
  EXPECT_NE(RunUntrusted("head -c 2000 /dev/zero > big", options)->exit_code, 0);
  options.limits.wall_s = 0.3;
  // The child in a session of its own would keep the outputs open.
  EXPECT_TRUE(RunUntrusted("setsid sleep 100000 & while :; do sleep 1; done", options)->timed_out);
}

}  // namespace
}  // namespace moecap::sandbox
