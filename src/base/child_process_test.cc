#include "base/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/fs.h"
#include "base/testing/temp_dir.h"

namespace moecap {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ChildProcessTest : public testing::Test {
 protected:
  ChildProcess::Options Shell(const std::string& script) {
    ChildProcess::Options options;
    options.words = {"sh", "-c", script};
    options.output = Log();
    options.directory = temp_.path();
    options.grace_s = 60;
    return options;
  }
  fs::path Log() const { return temp_.path() / "log"; }
  std::string Logged() const { return ReadFile(Log()).value(); }

  // The lines of a file when there are as many; a test that hangs is ended by its runner.
  std::vector<std::string> Lines(const std::string& file, size_t count) {
    for (;;) {
      const auto lines = ReadLines(temp_.path() / file);
      if (lines.ok() && lines->size() >= count) return *lines;
      Sleep();
    }
  }
  static ExitStatus Await(ChildProcess& child) {
    while (!child.Ended()) Sleep();
    return *child.Ended();
  }
  static void AwaitGone(pid_t pid) {
    while (::kill(pid, 0) == 0) Sleep();
  }
  static bool Lives(pid_t pid) { return ::kill(pid, 0) == 0; }
  static void Sleep() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

  TempDir temp_;
};

TEST_F(ChildProcessTest, RunsWithItsEnvironmentAndFolderAndTellsHowItEnded) {
  auto options = Shell("echo out $X $(pwd); echo err >&2; read line || echo no input; exit 3");
  options.environment = {{"X", "y z"}};
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.ok()) << child.error().message;
  const ExitStatus status = Await(*child);
  EXPECT_EQ(InWords(status), "exit code 3");
  EXPECT_EQ(Logged(), "out y z " + fs::canonical(temp_.path()).string() + "\nerr\nno input\n");
  EXPECT_EQ(child->Stop()->code, 3) << "as it ended, not as it would have been ended";

  auto killed = ChildProcess::Start(Shell("kill -9 $$"));
  EXPECT_EQ(Await(*killed).signal, SIGKILL);
  EXPECT_THAT(InWords(*killed->Ended()), HasSubstr("signal 9"));
  EXPECT_THAT(Logged(), HasSubstr("no input")) << "the log of an earlier start stays";
}

TEST_F(ChildProcessTest, StartsFromAProcessWithoutStandardInput) {
  const int input = ::dup(STDIN_FILENO);
  ::close(STDIN_FILENO);
  auto child = ChildProcess::Start(Shell("read line || echo no input"));
  if (input >= 0) ::dup2(input, STDIN_FILENO);
  ASSERT_TRUE(child.ok()) << child.error().message;
  EXPECT_EQ(InWords(Await(*child)), "exit code 0");
  EXPECT_EQ(Logged(), "no input\n");
  ::close(input);
}

TEST_F(ChildProcessTest, WhatCannotBeRunIsNamed) {
  auto options = Shell("");
  options.words = {"no-such-program-anywhere"};
  const auto child = ChildProcess::Start(options);
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(child.error().message, HasSubstr("no-such-program-anywhere cannot be run"));
  EXPECT_THAT(child.error().message, HasSubstr("No such file"));
  options = Shell("true");
  options.output = temp_.path() / "no/folder/log";
  EXPECT_FALSE(ChildProcess::Start(options).ok());
}

TEST_F(ChildProcessTest, StopEndsTheWholeGroupAndWhatLeftIt) {
  // A child in the group, and one in a session of its own whose parent is gone.
  auto child = ChildProcess::Start(Shell(
      "echo $$ >>pids; sh -c 'echo $$ >>pids; exec sleep 100000' & (setsid sh -c 'echo $$ >>pids; exec sleep 100000' &) ; "
      "wait"));
  ASSERT_TRUE(child.ok());
  const auto pids = Lines("pids", 3);
  EXPECT_FALSE(child->Ended().has_value());
  const auto status = child->Stop();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->signal, SIGTERM);
  for (const std::string& pid : pids) EXPECT_FALSE(Lives(std::stoi(pid))) << pid;
  EXPECT_EQ(child->Stop()->signal, SIGTERM) << "once more changes nothing";
}

TEST_F(ChildProcessTest, WhatIgnoresTheRequestIsKilledAfterTheGrace) {
  auto options = Shell("trap '' TERM; echo $$ >pids; while :; do sleep 0.01; done");
  options.grace_s = 0.05;
  auto child = ChildProcess::Start(options);
  const auto pids = Lines("pids", 1);
  EXPECT_EQ(child->Stop()->signal, SIGKILL);
  EXPECT_FALSE(Lives(std::stoi(pids[0])));
}

TEST_F(ChildProcessTest, ChildrenOfAProgramThatEndedAreEndedToo) {
  auto child = ChildProcess::Start(
      Shell("sh -c 'echo $$ >>pids; exec sleep 100000' & while [ ! -s pids ]; do sleep 0.01; done; exit 1"));
  const auto pids = Lines("pids", 1);
  EXPECT_EQ(Await(*child).code, 1);
  AwaitGone(std::stoi(pids[0]));
}

// A second child must not hold the pipe by which the first one's guard learns of the end.
TEST_F(ChildProcessTest, TheEndOfThisProcessEndsItsChildrenHoweverItEnds) {
  const std::string script = "echo $$ >>pids; sh -c 'trap \"\" INT; echo $$ >>pids; exec sleep 100000' & wait";
  const pid_t owner = ::fork();
  if (owner == 0) {
    const auto first = ChildProcess::Start(Shell(script));
    const auto second = ChildProcess::Start(Shell(script));
    Lines("pids", 4);
    ::raise(SIGKILL);
  }
  ::waitpid(owner, nullptr, 0);
  for (const std::string& pid : Lines("pids", 4)) AwaitGone(std::stoi(pid));
}

TEST_F(ChildProcessTest, ASignalToOurGroupIsNotTheChilds) {
  auto child = ChildProcess::Start(Shell("echo $$ >pids; exec sleep 100000"));
  const auto pids = Lines("pids", 1);
  EXPECT_EQ(std::stoi(pids[0]), child->pid());
  EXPECT_EQ(::getpgid(child->pid()), child->pid());
  EXPECT_NE(::getsid(child->pid()), ::getsid(0));
}

TEST_F(ChildProcessTest, MovesAndEndsWhatItReplaces) {
  ChildProcess child = ChildProcess::Start(Shell("exec sleep 100000")).value();
  const pid_t first = child.pid();
  child = ChildProcess::Start(Shell("exec sleep 100000")).value();
  EXPECT_FALSE(Lives(first));
  const ChildProcess other = std::move(child);
  EXPECT_TRUE(Lives(other.pid()));
}

}  // namespace
}  // namespace moecap
