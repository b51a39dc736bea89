// Servers that `moecap load --launch` and `moecap run` start, wait for and end: `moecap mock` as the server.
#include <dirent.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/json.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class LaunchProgram : public testing::Test {
 protected:
  void SetUp() override {
    mark_ = fmt::format("launched-{}-{}", ::getpid(), testing::UnitTest::GetInstance()->current_test_info()->name());
    dir_ = fs::path(testing::TempDir()) / fmt::format("moecap_{}", mark_);
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  // A mock that can be told from any other process.
  std::string Mock(const std::string& flags) const {
    return fmt::format("{} mock --port {{port}} --served-name {} {}", MOECAP_BINARY, mark_, flags);
  }
  // Processes of such mocks.
  int Running() const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline");
      const std::string words((std::istreambuf_iterator<char>(file)), {});
      if (words.starts_with(MOECAP_BINARY) && words.find("--served-name") != std::string::npos &&
          words.find(mark_) != std::string::npos && words.find("--launch") == std::string::npos)
        ++count;
    }
    return count;
  }
  static void Await(const std::function<bool()>& happens) {
    while (!happens()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  Outcome Run(const std::string& config, std::vector<std::string> flags = {"--json"}) {
    EXPECT_TRUE(WriteFileAtomically(dir_ / "run.yaml", config).ok());
    flags.insert(flags.begin(), {"run", "run.yaml"});
    return CallProgram(dir_, flags);
  }
  fs::path RunDir() const {
    for (const auto& entry : fs::directory_iterator(dir_ / "results")) {
      if (fs::exists(entry.path() / "manifest.json")) return entry.path();
    }
    ADD_FAILURE() << "no run is stored";
    return dir_;
  }
  Json Manifest() const { return ParseJson(ReadFile(RunDir() / "manifest.json").value()).value(); }

  std::string mark_;
  fs::path dir_;
};

const std::vector<std::string> kSmall = {"--clients",       "1,2", "--requests", "8", "--input-tokens", "16",
                                         "--output-tokens", "4",   "--warmup",   "2"};

TEST_F(LaunchProgram, AServerLivesAsLongAsItsMeasurementsAndItsStartIsKept) {
  std::vector<std::string> args = {"load", "--launch", "A_VARIABLE=1 " + Mock("--ttft-s 0.01 --tpot-s 0.002"), "--json"};
  args.insert(args.end(), kSmall.begin(), kSmall.end());
  const Outcome load = CallProgram(dir_, args);
  ASSERT_EQ(load.exit_code, 0) << load.err;
  EXPECT_EQ(Running(), 0);
  EXPECT_EQ(ParseJson(load.out)->at("systems").at(0).at("cells").size(), 2u);
  const Json launch = Manifest().at("systems").at(0).at("launch");
  EXPECT_EQ(launch.at("environment"), Json({{"A_VARIABLE", "1"}}));
  ASSERT_EQ(launch.at("starts").size(), 1u);
  const Json& start = launch.at("starts").at(0);
  EXPECT_GT(start.at("ready_s"), 0);
  EXPECT_EQ(start.at("ended"), "exit code 0 when it was to end");
  EXPECT_EQ(start.at("captures"), false);
  EXPECT_EQ(start.at("command").at(1), "mock");
  EXPECT_NE(start.at("command").at(3), "{port}");
  const std::string log = ReadFile(RunDir() / launch.at("log").get<std::string>()).value();
  EXPECT_THAT(log, HasSubstr("http://127.0.0.1:")) << "what the server printed";
  EXPECT_THAT(log, HasSubstr("mock --port")) << "and how it was started";
}

TEST_F(LaunchProgram, OneThatEndsBeforeItIsReadyIsReportedWithTheEndOfItsLog) {
  const Outcome load =
      CallProgram(dir_, {"load", "--launch", "sh -c 'echo loading; echo no such model >&2; exit 3' --port {port}"});
  EXPECT_EQ(load.exit_code, 1);
  EXPECT_THAT(load.err, HasSubstr("exit code 3"));
  EXPECT_THAT(load.err, HasSubstr("no such model"));
  EXPECT_EQ(CallProgram(dir_, {"load", "--launch", "no-such-program --port {port}"}).exit_code, 2);
  const Outcome slow =
      Run("launch: {command: 'sh -c \"exec sleep 1000\" --port {port}', start_timeout_s: 0.2}\nworkload: {requests: 1}\n");
  EXPECT_EQ(slow.exit_code, 1);
  EXPECT_THAT(slow.err, HasSubstr("start_timeout_s"));
}

TEST_F(LaunchProgram, NobodyElsesServerIsMeasuredInItsPlace) {
  const pid_t other = StartProgram(dir_, {"mock", "--null", "--ready-file", "ready"});
  Await([&] { return fs::exists(dir_ / "ready"); });
  std::string url = ReadFile(dir_ / "ready").value();
  url.pop_back();
  fs::create_directories(dir_ / "client");
  const Outcome load = CallProgram(dir_ / "client", {"load", url, "--launch", "sleep 1000"});
  EXPECT_EQ(load.exit_code, 2);
  EXPECT_THAT(load.err, HasSubstr("something listens"));
  ::kill(other, SIGTERM);
  ::waitpid(other, nullptr, 0);
}

TEST_F(LaunchProgram, AnInterruptAndAKillEndTheServerToo) {
  for (const int number : {SIGINT, SIGKILL}) {
    fs::remove_all(dir_ / "results");
    const pid_t program =
        StartProgram(dir_, {"load", "--launch", Mock("--ttft-s 0.01 --tpot-s 0.01"), "--requests", "20000", "--input-tokens",
                            "8", "--output-tokens", "8", "--clients", "1", "--warmup", "2"});
    const auto measures = [&] {
      if (!fs::exists(dir_ / "results")) return false;
      for (const auto& entry : fs::recursive_directory_iterator(dir_ / "results")) {
        if (entry.path().filename() == "events.0.bin" && entry.file_size() > 1000) return true;
      }
      return false;
    };
    Await(measures);
    EXPECT_EQ(Running(), 1);
    ::kill(program, number);
    const Outcome ended = FinishProgram(dir_, program);
    EXPECT_EQ(ended.exit_code, number == SIGKILL ? -SIGKILL : 130) << ended.err;
    Await([&] { return Running() == 0; });
  }
}

// Of two servers on one machine only one runs at a time, unless the configuration says otherwise.
TEST_F(LaunchProgram, ServersTakeTurns) {
  const auto config = [&](const char* more) {
    std::string text = "systems:\n";
    for (const char* name : {"one", "two"})
      text += fmt::format("  - {{name: {}, launch: '{}'}}\n", name, Mock("--ttft-s 0.01 --tpot-s 0.002"));
    return text +
           "workload: {requests: 4, input_tokens: 8, output_tokens: 2}\nload: {clients: [1, 2]}\nrepeats: 2\n"
           "warmup_requests: 2\n" +
           more;
  };
  const Outcome turns = Run(config(""));
  ASSERT_EQ(turns.exit_code, 0) << turns.err;
  std::vector<std::pair<std::string, std::string>> order;
  const Json manifest = Manifest();
  for (const Json& measurement : manifest.at("measurements"))
    order.emplace_back(measurement.at("repeat").dump(), measurement.at("system"));
  ASSERT_EQ(order.size(), 8u);
  for (size_t i = 0; i < order.size(); i += 2) EXPECT_EQ(order[i], order[i + 1]) << "both levels, then the other system";
  for (const Json& system : manifest.at("systems")) {
    EXPECT_GE(system.at("launch").at("starts").size(), 2u);
    for (const Json& start : system.at("launch").at("starts")) EXPECT_EQ(start.at("ended"), "exit code 0 when it was to end");
  }
  EXPECT_THAT(ParseJson(turns.out)->dump(), HasSubstr("in turn"));

  fs::remove_all(dir_ / "results");
  const Outcome together = Run(config("launch_together: true\n"));
  ASSERT_EQ(together.exit_code, 0) << together.err;
  const Json started = Manifest();
  for (const Json& system : started.at("systems")) EXPECT_EQ(system.at("launch").at("starts").size(), 1u);
  EXPECT_EQ(Running(), 0);
}

// What tells experts costs time, so the timed server runs without; the second one must choose the same tokens.
TEST_F(LaunchProgram, ExpertsAreAskedOfAServerStartedForIt) {
  const std::string mock = Mock("--model mistralai/Mixtral-8x7B-v0.1 --device h100-sxm --devices 2");
  const Outcome run = Run(fmt::format(
      "systems: [{{name: m, launch: {{command: '{}', capture_flags: [--routed-experts]}}, model: mistralai/Mixtral-8x7B-v0.1, "
      "machine: 2 x h100-sxm}}]\n"
      "workload: {{requests: 8, input_tokens: 16, output_tokens: 8}}\nload: {{clients: [1, 4]}}\nwarmup_requests: 2\n",
      mock));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json json = ParseJson(run.out).value();
  for (const Json& cell : json.at("systems").at(0).at("cells")) {
    EXPECT_TRUE(cell.at("figures").at("decode_s_mbu").is_number()) << cell.at("notes");
    EXPECT_THAT(cell.at("notes").dump(), HasSubstr("the server told the experts of 100.0 % of them"));
    EXPECT_THAT(cell.at("notes").dump(), HasSubstr("started with --routed-experts, which gave the same tokens in 100.0 %"));
  }
  const Json manifest = Manifest();
  const Json& starts = manifest.at("systems").at(0).at("launch").at("starts");
  ASSERT_EQ(starts.size(), 2u) << "one is timed, one is asked, after all levels";
  EXPECT_EQ(starts.at(0).at("captures"), false);
  EXPECT_THAT(starts.at(0).at("command").dump(), testing::Not(HasSubstr("--routed-experts")));
  EXPECT_EQ(starts.at(1).at("captures"), true);
  EXPECT_EQ(starts.at(1).at("command").back(), "--routed-experts");
  for (const Json& measurement : manifest.at("measurements"))
    EXPECT_EQ(measurement.at("server_passes").at("experts_due"), false);
  EXPECT_EQ(Running(), 0);
}

// Somebody ends the server in the middle and starts another one at its address.
TEST_F(LaunchProgram, AServerThatIsReplacedOnTheWayVoidsTheMeasurement) {
  const auto start = [&](const std::string& folder, const std::string& port, const std::string& name) {
    fs::create_directories(dir_ / folder);
    const pid_t mock = StartProgram(dir_ / folder, {"mock", "--port", port, "--dialect", "sglang", "--served-name", name,
                                                    "--ttft-s", "0.005", "--tpot-s", "0.001", "--ready-file", "ready"});
    Await([&] { return fs::exists(dir_ / folder / "ready"); });
    return mock;
  };
  const auto end = [](pid_t mock) {
    ::kill(mock, SIGTERM);
    ::waitpid(mock, nullptr, 0);
  };
  const pid_t first = start("first", "0", "one");
  std::string url = ReadFile(dir_ / "first/ready").value();
  url.pop_back();
  fs::create_directories(dir_ / "client");
  const pid_t load = StartProgram(dir_ / "client", {"load", url, "--rate", "50", "--requests", "400", "--input-tokens", "8",
                                                    "--output-tokens", "4", "--warmup", "2", "--json"});
  const auto halfway = [&] {
    if (!fs::exists(dir_ / "client/results")) return false;
    for (const auto& entry : fs::recursive_directory_iterator(dir_ / "client/results")) {
      if (entry.path().filename() == "events.0.bin" && entry.file_size() > 10'000) return true;
    }
    return false;
  };
  Await(halfway);
  end(first);
  const pid_t second = start("second", url.substr(url.rfind(':') + 1), "two");
  const Outcome measured = FinishProgram(dir_ / "client", load);
  end(second);
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const Json cell = ParseJson(measured.out)->at("systems").at(0).at("cells").at(0);
  const auto gate =
      std::ranges::find_if(cell.at("gates"), [](const Json& g) { return g.at("name") == "one server throughout"; });
  ASSERT_NE(gate, cell.at("gates").end());
  EXPECT_EQ(gate->at("state"), "tripped");
  EXPECT_THAT(gate->at("explanation").dump(), HasSubstr("two"));
}

TEST_F(LaunchProgram, ThePapersRadarIsReadAndItsLinesAreKnown) {
  const std::string preset = MOECAP_SOURCE_DIR "/examples/paper_radar.yaml";
  const Outcome read = CallProgram(dir_, {"load", preset, "--print-config"});
  ASSERT_EQ(read.exit_code, 0) << read.err;
  for (const char* system : {"sglang", "ktransformers", "moe-infinity"}) {
    EXPECT_THAT(read.out, HasSubstr(fmt::format("system: {}", system)));
    EXPECT_EQ(CallProgram(dir_, {"systems", "show", system, "--model", "m"}).exit_code, 0) << system;
  }
}

}  // namespace
}  // namespace moecap::e2e
