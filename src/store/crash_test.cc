// Several processes at once, processes that are killed, and disks that are full: nothing is lost, nothing is half there.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "base/fs.h"
#include "base/rng.h"
#include "store/store_test_files.h"

namespace moecap::store {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

// Every run is there once and with all its parts; the file is sound.
void ExpectWhole(const RunStore& store, const std::set<std::string>& expected) {
  EXPECT_THAT(store.CheckIntegrity().value(), IsEmpty());
  std::set<std::string> ids;
  const auto runs = store.List({}).value();
  for (const RunListing& run : runs) {
    EXPECT_TRUE(ids.insert(run.info.run_id).second) << run.info.run_id << " is there twice";
    const StoredRun whole = store.Find(run.info.run_id).value();
    EXPECT_EQ(whole, SampleRun(run.info.run_id, static_cast<int>(run.info.run_id.size()), 20'000)) << run.info.run_id;
  }
  for (const std::string& id : expected) EXPECT_TRUE(ids.contains(id)) << id << " was stored and is gone";
}

StoredRun RunOf(const std::string& run_id) { return SampleRun(run_id, static_cast<int>(run_id.size()), 20'000); }

TEST(Crash, ProcessesThatWriteAtOnceLoseNothing) {
  constexpr int kWriters = 6, kRuns = 25;
  const TempDir dir;
  std::vector<pid_t> children;
  for (int writer = 0; writer < kWriters; ++writer) {  // no database yet: they race to make it, too
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = RunStore::Open(dir.path(), Access::kCreate);
      if (!store.ok()) ::_exit(1);
      for (int run = 0; run < kRuns; ++run) {
        const std::string id = fmt::format("writer{}-run{}", writer, run);
        if (!store->Put(RunOf(id)).ok() || !store->Put(RunOf("of-all")).ok()) ::_exit(2);
        if (!store->List({}).ok()) ::_exit(3);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  std::set<std::string> expected = {"of-all"};
  for (int writer = 0; writer < kWriters; ++writer) {
    int status = 0;
    ::waitpid(children[writer], &status, 0);
    EXPECT_EQ(status, 0) << "writer " << writer << " ended with " << WEXITSTATUS(status);
    for (int run = 0; run < kRuns; ++run) expected.insert(fmt::format("writer{}-run{}", writer, run));
  }
  const RunStore store = OpenStore(dir.path());
  ExpectWhole(store, expected);
  EXPECT_EQ(store.List({})->size(), expected.size());
}

// Lets `processes` children open the store in `dir` at the same moment; returns what those said that could not.
std::vector<std::string> OpenAtOnce(const fs::path& dir, Access access, int processes) {
  int gate[2], errors[2];
  CHECK(::pipe(gate) == 0 && ::pipe(errors) == 0);
  std::vector<pid_t> children;
  for (int process = 0; process < processes; ++process) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(gate[1]);
      char nothing;
      if (::read(gate[0], &nothing, 1) != 0) ::_exit(2);  // the end of the pipe reaches all at once
      const auto store = RunStore::Open(dir, access);
      if (store.ok()) ::_exit(0);
      const std::string line = store.error().message + "\n";
      ::_exit(::write(errors[1], line.data(), line.size()) < 0 ? 2 : 1);
    }
    children.push_back(child);
  }
  for (const int fd : {gate[0], gate[1], errors[1]}) ::close(fd);
  std::string messages;
  char buffer[4096];
  for (ssize_t got; (got = ::read(errors[0], buffer, sizeof buffer)) > 0;) messages.append(buffer, static_cast<size_t>(got));
  ::close(errors[0]);
  std::vector<std::string> failures;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status != 0) failures.push_back(messages);
  }
  return failures;
}

TEST(Crash, ProcessesThatMakeTheStoreAtOnceAllOpenIt) {
  for (int round = 0; round < 100; ++round) {
    const TempDir dir;
    ASSERT_THAT(OpenAtOnce(dir.path(), Access::kCreate, 6), IsEmpty());
  }
}

TEST(Crash, ProcessesThatMigrateTheStoreAtOnceAllOpenIt) {
  const TempDir dir;
  for (int round = 0; round < 50; ++round) {
    const fs::path folder = dir / std::to_string(round);
    fs::create_directory(folder);
    fs::copy_file(fs::path(MOECAP_SOURCE_DIR) / "src/store/testdata/moecap-v1.db", folder / "moecap.db");
    ASSERT_THAT(OpenAtOnce(folder, Access::kRead, 6), IsEmpty());
    const RunStore store = OpenStore(folder, Access::kRead);
    EXPECT_EQ(store.Find("first")->cost_inputs.size(), 2u) << "brought over once";
    EXPECT_THAT(store.CheckIntegrity().value(), IsEmpty());
  }
}

// A child stores runs and reports each through a pipe after its commit, until it is killed.
TEST(Crash, AKilledProcessLosesNothingItHadStored) {
  const TempDir dir;
  Rng rng(7);
  std::set<std::string> reported;
  for (int round = 0; round < 25; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = RunStore::Open(dir.path(), Access::kCreate);
      for (int run = 0; store.ok(); ++run) {
        const std::string id = fmt::format("round{}-run{}", round, run);
        if (!store->Put(RunOf(id)).ok()) break;
        if (::write(pipe_ends[1], (id + "\n").data(), id.size() + 1) < 0) break;
      }
      ::_exit(1);
    }
    ::close(pipe_ends[1]);
    std::string ids(round % 3 == 0 ? 0 : 1, '\0');  // every third child may die before its first commit, or while it opens
    ASSERT_EQ(::read(pipe_ends[0], ids.data(), ids.size()), static_cast<ssize_t>(ids.size()));
    std::this_thread::sleep_for(std::chrono::microseconds(500 + rng.Below(20'000)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
    char buffer[4096];
    for (ssize_t got; (got = ::read(pipe_ends[0], buffer, sizeof buffer)) > 0;) ids.append(buffer, static_cast<size_t>(got));
    ::close(pipe_ends[0]);
    for (size_t begin = 0; begin < ids.size(); begin = ids.find('\n', begin) + 1) {
      reported.insert(ids.substr(begin, ids.find('\n', begin) - begin));
    }
  }
  EXPECT_GE(reported.size(), 16u);
  ExpectWhole(OpenStore(dir.path()), reported);
}

// Puts runs until one fails; returns the ids that were stored.
std::set<std::string> FillUp(RunStore& store, Error& error) {
  std::set<std::string> stored;
  for (int run = 0; run < 10'000; ++run) {
    const std::string id = fmt::format("run{}", run);
    if (const Status put = store.Put(RunOf(id)); !put.ok()) {
      error = put.error();
      return stored;
    }
    stored.insert(id);
  }
  ADD_FAILURE() << "never full";
  return stored;
}

TEST(FullDisk, ALimitOfPagesIsNamedAndEarlierRunsStay) {
  const TempDir dir;
  std::set<std::string> stored;
  {
    RunStore store = OpenStore(dir.path());
    ASSERT_TRUE(store.database().Execute("PRAGMA max_page_count = 300").ok());
    Error error;
    stored = FillUp(store, error);
    EXPECT_EQ(error.kind, ErrorKind::kFailed);
    EXPECT_THAT(error.message, HasSubstr("moecap.db: no space left"));
    EXPECT_FALSE(store.Find(fmt::format("run{}", stored.size())).ok());
    ExpectWhole(store, stored);
    ASSERT_TRUE(store.database().Execute("PRAGMA max_page_count = 3000").ok());
    EXPECT_TRUE(store.Put(RunOf("later")).ok()) << "once there is space";
  }
  stored.insert("later");
  EXPECT_GT(stored.size(), 5u);
  ExpectWhole(OpenStore(dir.path()), stored);
}

// In children of their own, as limits and mounts last as long as the process. `in_child` returns 0 when all is well.
template <typename Function>
int InChild(const Function& in_child) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(in_child());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(FullDisk, AFileThatMayNotGrowLosesNothing) {
  const TempDir dir;
  EXPECT_EQ(InChild([&] {
              ::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{1'000'000, 1'000'000};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              auto store = RunStore::Open(dir.path(), Access::kCreate);
              if (!store.ok()) return 1;
              Error error;
              const auto stored = FillUp(*store, error);
              std::ofstream(dir / "stored") << stored.size();
              return error.message.find("writing failed") == std::string::npos ? 2 : 0;
            }),
            0);
  const int count = std::stoi(ReadFile(dir / "stored").value());
  EXPECT_GT(count, 5);
  std::set<std::string> stored;
  for (int run = 0; run < count; ++run) stored.insert(fmt::format("run{}", run));
  RunStore store = OpenStore(dir.path());
  ExpectWhole(store, stored);
  EXPECT_TRUE(store.Put(RunOf("later")).ok());
}

// A real full volume: a file system in memory of 1 MB, seen by the child alone.
constexpr int kNoMount = 77;

TEST(FullDisk, AFullVolumeLosesNothing) {
  const TempDir dir;
  const int result = InChild([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=1m") != 0)
      return kNoMount;
    std::set<std::string> stored;
    {
      auto store = RunStore::Open(dir.path(), Access::kCreate);
      if (!store.ok()) return 1;
      std::ofstream(dir / "ballast") << std::string(200'000, 'x');
      Error error;
      stored = FillUp(*store, error);
      if (stored.size() < 5) return 2;
      if (error.message.find("no space left") == std::string::npos) return 3;
      if (!store->CheckIntegrity().value().empty() || store->List({})->size() != stored.size()) return 4;
    }
    auto again = RunStore::Open(dir.path(), Access::kRead);
    if (!again.ok() || again->List({})->size() != stored.size()) return 5;
    fs::remove(dir / "ballast");
    if (!again->Put(RunOf("later")).ok()) return 6;
    stored.insert("later");
    ExpectWhole(*again, stored);
    return testing::Test::HasFailure() ? 7 : 0;
  });
  if (result == kNoMount) GTEST_SKIP() << "this process may not mount";
  EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace moecap::store
