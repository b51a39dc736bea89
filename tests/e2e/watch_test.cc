// `moecap watch` as its users run it, on `moecap mock`.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <utility>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class WatchCli : public testing::Test {
 protected:
  ~WatchCli() override {
    for (const pid_t child : children_) End(child);
  }

  // In a folder of its own.
  pid_t Start(const std::string& name, const std::vector<std::string>& args) {
    fs::create_directories(dir_ / name);
    children_.push_back(StartProgram(dir_ / name, args));
    return children_.back();
  }
  void End(pid_t child) {
    std::erase(children_, child);
    ::kill(child, SIGTERM);
    ::waitpid(child, nullptr, 0);
  }

  // The URL of a mock on `port` (0: any).
  std::string StartMock(const std::vector<std::string>& more, int port = 0) {
    fs::remove(dir_ / "mock" / "ready");
    std::vector<std::string> args = {"mock",  "--model", "Qwen/Qwen3-30B-A3B",   "--device", "h100-sxm", "--ready-file",
                                     "ready", "--port",  fmt::format("{}", port)};
    args.insert(args.end(), more.begin(), more.end());
    mock_ = Start("mock", args);
    WaitFor(dir_ / "mock" / "ready");
    std::string url = ReadFile(dir_ / "mock" / "ready").value();
    url.pop_back();
    return url;
  }
  static void WaitFor(const fs::path& file) {
    while (!fs::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  // Four clients, until the test ends.
  void StartLoad(const std::string& url) {
    Start("load", {"load", url, "--clients", "4", "--requests", "100000", "--input-tokens", "64", "--output-tokens", "64",
                   "--results-dir", "results"});
  }

  // The lines of the watch in folder `name` until one of them fulfils `wanted`, which is asked of each once.
  std::vector<Json> LinesUntil(const std::string& name, const std::function<bool(const Json&)>& wanted) const {
    std::vector<Json> lines;
    for (size_t begin = 0;; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
      const std::string text = ReadFile(dir_ / name / "out").value();
      for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        lines.push_back(ParseJson(text.substr(begin, end - begin)).value());
        if (wanted(lines.back())) return lines;
      }
    }
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
  pid_t mock_ = 0;
  std::vector<pid_t> children_;
};

// What windows of a watch say of the passes in them.
struct Counted {
  double begin_s = 0, end_s = 0, passes = 0, bytes = 0;

  void Add(const Json& line) {
    const double start_s = line["start_s"], duration_s = line["duration_s"];
    if (passes == 0) begin_s = start_s;
    end_s = start_s + duration_s;
    passes += duration_s * line["passes_per_s"].get<double>();
    bytes += duration_s * line["busy_share"].get<double>() * line["bandwidth_bytes_per_s"].get<double>();
  }
};

// Bytes and passes are compared, not rates: a busy machine slows the simulated server, which leaves them as they are.
TEST_F(WatchCli, SamplesTheExpertsAndComesToTheServersOwnBytes) {
  const std::string url = StartMock({"--routed-experts", "--passes", "passes.jsonl"});
  StartLoad(url);
  Start("watch", {"watch", url, "--device", "h100-sxm", "--sample", "1", "--budget", "1", "--interval", "0.2", "--probe-tokens",
                  "8", "--json"});
  WaitFor(dir_ / "watch" / "out");
  Counted counted;
  const Json reading = LinesUntil("watch", [&](const Json& line) {
                         if (line["sampled_answers"] >= 4 && line["s_mbu"].is_object()) counted.Add(line);
                         return counted.passes > 500;
                       }).back();
  EXPECT_EQ(reading["model"], "Qwen/Qwen3-30B-A3B") << "opened by the name that the server tells";
  EXPECT_EQ(reading["pass_origin"], "counted");
  EXPECT_EQ(reading["expert_source"], "sampled");
  EXPECT_GT(reading["probes"]["tokens_share"], 0);
  EXPECT_LE(reading["s_mbu"]["low"], reading["s_mbu"]["value"]);
  EXPECT_NEAR(reading["s_mbu"]["value"], reading["bandwidth_bytes_per_s"].get<double>() / 3.35e12, 1e-9);

  for (const pid_t child : std::exchange(children_, {})) End(child);  // the server writes its last passes
  std::string within;
  std::istringstream passes(ReadFile(dir_ / "mock" / "passes.jsonl").value());
  for (std::string line; std::getline(passes, line);) {
    const double at_s = ParseJson(line).value()["clock_monotonic_s"];
    if (at_s >= counted.begin_s && at_s < counted.end_s) within += line + "\n";
  }
  ASSERT_TRUE(WriteFileAtomically(dir_ / "watch" / "passes.jsonl", within).ok());
  const Outcome metrics = CallProgram(
      dir_ / "watch", {"metrics", "passes.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm", "--json"});
  ASSERT_EQ(metrics.exit_code, 0) << metrics.err;
  const Json truth = ParseJson(metrics.out).value()["all"];
  EXPECT_NEAR(counted.passes / truth["passes"].get<double>(), 1, 0.05);
  EXPECT_NEAR(counted.bytes / counted.passes / (truth["bytes"].get<double>() / truth["passes"].get<double>()), 1, 0.05);
}

TEST_F(WatchCli, AServerThatEndsAndComesBackIsToldOf) {
  const std::string url = StartMock({});
  const int port = std::stoi(url.substr(url.rfind(':') + 1));
  StartLoad(url);
  const pid_t watch = Start("watch", {"watch", url, "--device", "h100-sxm", "--interval", "0.1", "--json"});
  WaitFor(dir_ / "watch" / "out");
  LinesUntil("watch", [](const Json& line) { return line["tokens_per_s"].is_number() && line["tokens_per_s"] > 0; });
  End(mock_);
  const auto says = [](const std::string& words) {
    return [words](const Json& line) { return line["events"].dump().find(words) != std::string::npos; };
  };
  LinesUntil("watch", says("does not answer"));
  StartMock({"--served-name", "another"}, port);
  const Json back = LinesUntil("watch", says("the server answers again")).back();
  EXPECT_THAT(back["events"].dump(), HasSubstr("now serves another instead of Qwen/Qwen3-30B-A3B"));
  const Json after =
      LinesUntil("watch", [](const Json& line) { return line["model"] == "another" && line["duration_s"] > 0; }).back();
  EXPECT_TRUE(after["s_mbu"].is_null());
  EXPECT_THAT(after["missing"]["s_mbu"], HasSubstr("not the one that is served"));
  ::kill(watch, SIGINT);
  int status = 0;
  std::erase(children_, watch);
  ::waitpid(watch, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "Ctrl-C is how a watch ends";
  LinesUntil("watch", [](const Json& line) { return line["kind"] == "summary"; });
}

TEST_F(WatchCli, ServesPrometheusAndPrintsLines) {
  const std::string url = StartMock({"--dialect", "sglang"});
  fs::create_directories(dir_ / "watch");
  const Outcome outcome = CallProgram(dir_ / "watch", {"watch", url, "--interval", "0.1", "--for", "0.5", "--listen", "0"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("metrics: http://127.0.0.1:"));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("0.0 tok/s"), HasSubstr("in all"), HasSubstr("SGLang moecap-mock")));
}

TEST_F(WatchCli, WhatCannotBeWatchedIsRefused) {
  fs::create_directories(dir_ / "watch");
  const auto expect = [&](std::vector<std::string> args, int exit_code, const std::string& part) {
    args.insert(args.begin(), "watch");
    const Outcome outcome = CallProgram(dir_ / "watch", args);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(part));
  };
  expect({"http://127.0.0.1:1"}, 1, "127.0.0.1:1");
  const std::string url = StartMock({});
  expect({url, "--sample", "0.01"}, 2, "--enable-return-routed-experts");
  expect({url, "--model", "no/such"}, 2, "no/such");
  expect({url, "--listen", "nowhere"}, 2, "no address to listen at");
  expect({url, "--pass-metrics", "fpm"}, 2, "ipc://");
  End(mock_);
  const std::string ollama = StartMock({"--dialect", "ollama"});
  expect({ollama, "--interval", "0.1", "--for", "0.3"}, 1, "told nothing");
}

}  // namespace
}  // namespace moecap::e2e
