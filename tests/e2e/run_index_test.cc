// What `moecap run` writes into the index, and that an index that cannot be written never costs a run.
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class RunIndex : public testing::Test {
 protected:
  void WriteConfig(int repeats) const {
    const fs::path source(MOECAP_SOURCE_DIR);
    std::ofstream(dir_ / "c.yaml") << "name: t\nmodel: " << (source / "models/tiny-moe/tiny-moe-f16.gguf").string()
                                   << "\nthreads: 1\nsystems: [{name: F16}]\ndataset: {path: "
                                   << (source / "datasets/tinymath/test.jsonl").string()
                                   << ", problems: 2}\nconcurrency: [1]\nwarmup_requests: 0\nmax_output_tokens: 8\nrepeats: "
                                   << repeats << "\n";
  }
  Outcome Call(const std::vector<std::string>& args, const std::function<void()>& prepare = {}) const {
    return CallProgram(dir_, args, prepare);
  }
  Json OnlyRun() const {
    const Outcome outcome = Call({"runs", "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const Json runs = ParseJson(outcome.out).value()["runs"];
    EXPECT_EQ(runs.size(), 1u);
    return runs.empty() ? Json::object() : runs[0];
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
};

TEST_F(RunIndex, ARunIsIndexedWithItsFigures) {
  WriteConfig(2);
  const Outcome run = Call({"run", "c.yaml", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err.find("warning: this run is not in the index"), std::string::npos);
  const Json summary = ParseJson(run.out).value();
  EXPECT_EQ(OnlyRun()["status"], "complete");
  const Json shown = ParseJson(Call({"runs", "show", "latest", "--json"}).out).value();
  EXPECT_EQ(shown["run_id"], summary["run_id"]);
  const Json& cell = summary["systems"][0]["cells"][0];
  for (const char* key : {"tpot_mean_s", "decode_s_mbu", "accuracy"})
    EXPECT_EQ(shown["cells"][0]["figures"][key], cell["figures"][key]) << key;
  EXPECT_EQ(Call({"runs", "verify"}).exit_code, 0);
  EXPECT_EQ(Call({"report", "latest", "--json"}).out, run.out);
}

// A run that is killed says "running" in its row; that it is not is found out, and it can be resumed.
TEST_F(RunIndex, AKilledRunIsSettledAndResumed) {
  WriteConfig(400);
  const pid_t child = StartProgram(dir_, {"run", "c.yaml"});
  const auto measured = [&]() -> int64_t {
    if (!fs::exists(dir_ / "results")) return 0;
    for (const auto& entry : fs::directory_iterator(dir_ / "results")) {
      if (!fs::exists(entry.path() / "manifest.json")) continue;
      const Json manifest = ParseJson(ReadFile(entry.path() / "manifest.json").value()).value();
      return std::ranges::count_if(manifest["measurements"], [](const Json& one) { return one["complete"].get<bool>(); });
    }
    return 0;
  };
  while (measured() == 0) {
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it ended: " << ReadFile(dir_ / "err").value();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const Json during = ParseJson(CallProgram(dir_ / "results", {"runs", "--json", "--results-dir", "."}).out).value();
  for (const char* file : {"out", "err"}) fs::remove(dir_ / "results" / file);
  ASSERT_EQ(during["runs"].size(), 1u);
  EXPECT_EQ(during["runs"][0]["status"], "running");
  EXPECT_EQ(CallProgram(dir_ / "results", {"runs", "delete", "latest", "--files", "--yes", "--results-dir", "."}).exit_code, 2);
  EXPECT_THAT(CallProgram(dir_ / "results", {"run", "--resume", "latest", "--results-dir", "."}).err,
              HasSubstr("another process is at work"));
  for (const char* file : {"out", "err"}) fs::remove(dir_ / "results" / file);
  ::kill(child, SIGKILL);
  EXPECT_EQ(FinishProgram(dir_, child).exit_code, -SIGKILL);
  EXPECT_EQ(OnlyRun()["status"], "interrupted");
  EXPECT_GE(measured(), 1);

  const fs::path manifest = dir_ / "results" / OnlyRun()["path"].get<std::string>() / "manifest.json";
  std::string text = ReadFile(manifest).value();
  text.replace(text.find("repeats: 400"), 12, "repeats: " + std::to_string(measured() + 1));
  std::ofstream(manifest) << text;
  const Outcome resumed = Call({"run", "--resume", "latest"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(OnlyRun()["status"], "complete");
}

TEST_F(RunIndex, ADamagedIndexCostsAWarningAndNoRun) {
  WriteConfig(1);
  fs::create_directory(dir_ / "results");
  const std::string damaged = "SQLite format 3, or so it says " + std::string(500, 'x');
  std::ofstream(dir_ / "results/moecap.db") << damaged;
  const Outcome run = Call({"run", "c.yaml", "--json"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("warning: this run is not in the index"), HasSubstr("moecap.db"),
                             HasSubstr("moecap runs import results/")));
  EXPECT_EQ(run.err.find("warning", run.err.find("warning: this run") + 1), std::string::npos)
      << "once, not after every measurement";
  EXPECT_EQ(ReadFile(dir_ / "results/moecap.db").value(), damaged);
  EXPECT_EQ(Call({"report", "latest", "--json"}).out, run.out);
  ASSERT_EQ(Call({"runs", "rebuild"}).exit_code, 0);
  EXPECT_EQ(OnlyRun()["status"], "complete");
}

// The index on a full volume of its own, seen by the child alone; the run's folder is not on it.
TEST_F(RunIndex, AFullVolumeCostsAWarningAndNoRun) {
  WriteConfig(1);
  fs::create_directories(dir_ / "results");
  fs::create_directories(dir_ / "full");
  fs::create_symlink(dir_ / "full/moecap.db", dir_ / "results/moecap.db");
  const Outcome run = Call({"run", "c.yaml", "--json"}, [&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", (dir_ / "full").c_str(), "tmpfs", 0, "size=64k") != 0) {
      std::ofstream(dir_ / "out"), std::ofstream(dir_ / "err");
      ::_exit(77);
    }
  });
  if (run.exit_code == 77) GTEST_SKIP() << "this process may not mount";
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("warning: this run is not in the index"), HasSubstr("no space left")));
  fs::remove(dir_ / "results/moecap.db");
  EXPECT_EQ(Call({"report", "latest", "--json"}).out, run.out);
  ASSERT_EQ(Call({"runs", "rebuild"}).exit_code, 0);
  EXPECT_EQ(OnlyRun()["status"], "complete");
}

}  // namespace
}  // namespace moecap::e2e
