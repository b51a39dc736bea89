// `moecap load` against `moecap mock`: the whole way from flags to reports, with the mock's log as the truth.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/json.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// More than the head of an event log.
constexpr uintmax_t kEventsOfSomeRequests = 2000;

class LoadProgram : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / fmt::format("moecap_load_{}", ::getpid());
    fs::remove_all(dir_);
    fs::create_directories(dir_ / "mock");
    fs::create_directories(dir_ / "client");
  }
  void TearDown() override {
    StopMock();
    fs::remove_all(dir_);
  }

  void StartMock(std::vector<std::string> args) {
    args.insert(args.begin(), "mock");
    args.insert(args.end(), {"--ready-file", "ready", "--log", "log.jsonl"});
    mock_ = StartProgram(dir_ / "mock", args);
    while (!fs::exists(dir_ / "mock/ready")) {
      ASSERT_EQ(::waitpid(mock_, nullptr, WNOHANG), 0) << "the mock ended: " << ReadFile(dir_ / "mock/err").value();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    url_ = ReadFile(dir_ / "mock/ready").value();
    url_.pop_back();
  }
  void StopMock() {
    if (mock_ <= 0) return;
    ::kill(mock_, SIGTERM);
    ::waitpid(mock_, nullptr, 0);
    mock_ = 0;
  }
  Outcome Load(std::vector<std::string> args) {
    args.insert(args.begin(), "load");
    return CallProgram(dir_ / "client", args);
  }
  fs::path RunDir() const {
    for (const auto& entry : fs::directory_iterator(dir_ / "client/results")) {
      if (entry.is_directory()) return entry.path();
    }
    ADD_FAILURE() << "no run is stored";
    return dir_;
  }

  fs::path dir_;
  pid_t mock_ = 0;
  std::string url_;
};

const Json& Gate(const Json& cell, const std::string& name) {
  for (const Json& gate : cell.at("gates")) {
    if (gate.at("name") == name) return gate;
  }
  static const Json kNone;
  ADD_FAILURE() << "no gate " << name;
  return kNone;
}

const Json& Cells(const Json& summary) { return summary.at("systems").at(0).at("cells"); }

// The figures of all requests of a cell's first measurement.
const Json& Whole(const Json& cell) { return cell.at("measurements").at(0).at("load").at("whole"); }

// The measurements that ran to their end, by name.
std::map<std::string, Json> WholeMeasurements(const Json& summary) {
  std::map<std::string, Json> whole;
  for (const Json& cell : Cells(summary)) {
    for (const Json& measurement : cell.at("measurements")) {
      if (measurement.at("complete") == true) whole[measurement.at("name")] = measurement;
    }
  }
  return whole;
}

TEST_F(LoadProgram, MeasuresEveryLevelAndReportsItAgain) {
  StartMock({"--ttft-s", "0.02", "--tpot-s", "0.005"});
  const Outcome measured = Load({url_, "--clients", "1,4", "--requests", "24", "--input-tokens", "32", "--output-tokens", "8",
                                 "--warmup", "2", "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const Json summary = ParseJson(measured.out).value();
  ASSERT_EQ(Cells(summary).size(), 2u);
  for (const Json& cell : Cells(summary)) {
    EXPECT_EQ(Whole(cell).at("completed"), 24);
    EXPECT_EQ(Whole(cell).at("output_tokens"), 24 * 8);
    EXPECT_EQ(Whole(cell).at("input_tokens"), 24 * 32);
    for (const char* name : {"input tokens as planned", "output tokens as planned", "cached more than planned"})
      EXPECT_EQ(Gate(cell, name).at("state"), "passed") << name;
    EXPECT_NE(Gate(cell, "head-room").at("state"), "not_measured");
  }
  for (const char* file : {"manifest.json", "summary.json", "report.html", "report.md", "report.csv"})
    EXPECT_TRUE(fs::exists(RunDir() / file)) << file;
  for (const char* file : {"plan.jsonl", "events.0.bin"}) {
    EXPECT_TRUE(fs::exists(RunDir() / "measurements" / Cells(summary).at(0).at("measurements").at(0).at("name") / file))
        << file;
  }

  // Every figure comes from the events.
  fs::remove(RunDir() / "summary.json");
  const Outcome again = CallProgram(dir_ / "client", {"report", "latest", "--json"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, measured.out);
  const Outcome text = CallProgram(dir_ / "client", {"report", RunDir().filename().string()});
  EXPECT_THAT(text.out, HasSubstr("4 clients"));

  EXPECT_THAT(CallProgram(dir_ / "client", {"runs"}).out, HasSubstr(RunDir().filename().string()));
  const Json listed = ParseJson(CallProgram(dir_ / "client", {"runs", "--json"}).out).value();
  EXPECT_EQ(listed.at("runs").at(0).at("status"), "complete");
  EXPECT_EQ(CallProgram(dir_ / "client", {"compare", "latest@1", "latest@4"}).exit_code, 0) << "cells are compared";

  // Other tools' view of the same requests.
  const Outcome compat = CallProgram(dir_ / "client", {"report", "latest", "--compat", "vllm", "--json"});
  ASSERT_EQ(compat.exit_code, 0) << compat.err;
  const Outcome vllm = CallProgram(dir_ / "client", {"report", "latest", "--format", "vllm"});
  const Json first = ParseJson(vllm.out.substr(0, vllm.out.find('\n'))).value();
  EXPECT_EQ(first.at("completed"), 24);
  EXPECT_EQ(first.at("max_concurrency"), 1);
  EXPECT_EQ(first.at("request_rate"), "inf");

  // The mock saw what we say we sent: warm-up and all.
  StopMock();
  int requests = 0;
  for (const std::string& line : *ReadLines(dir_ / "mock/log.jsonl"))
    requests += line.find("\"record\":\"request\"") != std::string::npos;
  EXPECT_EQ(requests, 2 * (24 + 2 + 3)) << "three control questions amid each warm-up";
}

TEST_F(LoadProgram, ShowsWhatAServerOffers) {
  StartMock({"--ttft-s", "0.001", "--tpot-s", "0.0005"});
  const Outcome json = CallProgram(dir_ / "client", {"systems", url_, "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const Json shown = ParseJson(json.out).value();
  EXPECT_EQ(shown.at("kind"), "vLLM");
  EXPECT_GT(shown.at("vocabulary").at("size"), 1000);
  std::map<std::string, std::string> support;
  for (const Json& capability : shown.at("capabilities")) support[capability.at("name")] = capability.at("support");
  EXPECT_EQ(support["token ids in"], "yes");
  EXPECT_EQ(support["token ids out"], "yes");
  EXPECT_EQ(support["tokenize"], "yes");
  EXPECT_EQ(support["metrics"], "yes");
  const Outcome text = CallProgram(dir_ / "client", {"systems", url_});
  EXPECT_THAT(text.out, HasSubstr("routed experts"));
  EXPECT_THAT(text.out, HasSubstr("--enable-return-routed-experts"));
}

TEST_F(LoadProgram, ShowsHowASystemIsStarted) {
  const auto show = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"systems", "show"});
    return CallProgram(dir_ / "client", args);
  };
  EXPECT_THAT(show({"vllm", "--model", "/m/a b", "--gpus", "8", "--batch", "128"}).out,
              testing::AllOf(HasSubstr("vllm serve '/m/a b'"), HasSubstr("--tensor-parallel-size 8 --enable-expert-parallel"),
                             HasSubstr("--max-num-seqs 128")));
  EXPECT_THAT(
      show({"sglang", "--gpus", "0", "--experts"}).out,
      testing::AllOf(HasSubstr("SGLANG_USE_CPU_ENGINE=1"), HasSubstr("--device cpu"), HasSubstr("recorder-mode per_pass")));
  EXPECT_THAT(show({"trtllm", "--gpus", "2"}).out, testing::AllOf(HasSubstr("enable_iter_perf_stats"), HasSubstr("unproven")));
  EXPECT_EQ(show({"ollama", "--experts"}).exit_code, 2);
  EXPECT_THAT(show({"nothing"}).err, HasSubstr("known: vllm, sglang"));
  EXPECT_THAT(CallProgram(dir_ / "client", {"systems"}).out, HasSubstr("moe-infinity"));
}

TEST_F(LoadProgram, TakesAVocabularyAsAFlag) {
  const auto config = [&](const std::string& text) {
    return Load({"http://127.0.0.1:1", "--vocabulary", text, "--print-config"});
  };
  EXPECT_THAT(config("1024").out, HasSubstr("vocabulary: [128, 1024]"));
  EXPECT_THAT(config("128000").out, HasSubstr("vocabulary: [1000, 128000]"));
  EXPECT_THAT(config("5-5000").out, HasSubstr("vocabulary: [5, 5000]"));
  EXPECT_EQ(config("many").exit_code, 2);
  EXPECT_THAT(Load({"http://127.0.0.1:1", "--vocabulary", "9-5"}).err, HasSubstr("vocabulary"));
}

TEST_F(LoadProgram, OffersAScheduleAndCountsGoodput) {
  StartMock({"--ttft-s", "0.02", "--tpot-s", "0.002"});
  const Outcome measured = Load(
      {url_, "--rate", "40", "--duration", "2", "--input-tokens", "16", "--output-tokens", "4", "--ttft", "0.001", "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const Json summary = ParseJson(measured.out).value();
  const Json& cell = Cells(summary).at(0);
  EXPECT_GT(Whole(cell).at("offered"), 50);
  EXPECT_LT(Whole(cell).at("offered"), 115);
  EXPECT_EQ(Whole(cell).at("met"), 0) << "nobody gets a first token within 1 ms of a server that takes 20";
  EXPECT_EQ(cell.at("figures").at("good_share"), 0);
  EXPECT_EQ(cell.at("measurements").at(0).at("ended_by"), "duration");
}

TEST_F(LoadProgram, TalksLikeUsers) {
  StartMock({"--ttft-s", "0.01", "--tpot-s", "0.001"});
  ASSERT_TRUE(WriteFileAtomically(dir_ / "client/users.yaml",
                                  fmt::format("server: {{url: \"{}\", api: chat}}\n"
                                              "workload:\n  text: true\n  input_tokens: 8\n  output_tokens: 4\n  requests: 12\n"
                                              "  conversations: {{turns: 3, think_s: 0.01}}\n"
                                              "load: {{users: 2}}\nwarmup_requests: 0\n",
                                              url_))
                  .ok());
  const Outcome measured = Load({"users.yaml", "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const Json summary = ParseJson(measured.out).value();
  const Json& whole = Whole(Cells(summary).at(0));
  EXPECT_EQ(whole.at("completed"), 12);
  EXPECT_GT(whole.at("input_tokens"), 2 * 12 * 8) << "later turns carry the earlier ones";
}

TEST_F(LoadProgram, SaysWhatIsWrong) {
  EXPECT_THAT(Load({}).err, HasSubstr("URL of a server"));
  EXPECT_THAT(Load({"http://127.0.0.1:1", "--requests", "1"}).err, HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(Load({"nothing.yaml"}).err, HasSubstr("nothing.yaml"));
  EXPECT_EQ(Load({"http://127.0.0.1:1", "--clients", "0"}).exit_code, 2);
  ASSERT_TRUE(WriteFileAtomically(dir_ / "client/load.yaml", "server: {url: \"http://127.0.0.1:1\"}\n").ok());
  EXPECT_THAT(Load({"load.yaml", "--rate", "3"}).err, HasSubstr("--rate goes with a URL"));
  EXPECT_THAT(Load({"--resume", "gone"}).err, HasSubstr("gone is not a stored run"));
  EXPECT_FALSE(fs::exists(dir_ / "client/results")) << "nothing was measured, nothing is left";
}

TEST_F(LoadProgram, AServerThatFailsIsNoSuccess) {
  StartMock({"--null", "--fault", "status=503"});
  const Outcome measured = Load({url_, "--requests", "30", "--warmup", "0"});
  EXPECT_EQ(measured.exit_code, 1);
  EXPECT_THAT(measured.err, HasSubstr("none of"));
  EXPECT_THAT(measured.err, HasSubstr("503"));
}

TEST_F(LoadProgram, AKillLosesNoMeasurementThatHadEnded) {
  StartMock({"--ttft-s", "0.01", "--tpot-s", "0.01"});
  const pid_t child = StartProgram(dir_ / "client", {"load", url_, "--clients", "8,1", "--requests", "60", "--repeats", "2",
                                                     "--input-tokens", "8", "--output-tokens", "8", "--warmup", "0"});
  // One measurement has ended, and another has written the events of some requests.
  const auto begun = [&] {
    if (!fs::exists(dir_ / "client/results")) return false;
    for (const auto& run : fs::directory_iterator(dir_ / "client/results")) {
      if (!fs::exists(run.path() / "measurements")) continue;
      int written = 0;
      for (const auto& measurement : fs::directory_iterator(run.path() / "measurements")) {
        std::error_code missing;
        const auto bytes = fs::file_size(measurement.path() / "events.0.bin", missing);
        written += !missing && bytes > kEventsOfSomeRequests;
      }
      return written >= 2;
    }
    return false;
  };
  while (!begun()) {
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << ReadFile(dir_ / "client/err").value();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const Outcome partial = CallProgram(dir_ / "client", {"report", "latest", "--json"});
  ASSERT_EQ(partial.exit_code, 0) << partial.err;
  const Json before = ParseJson(partial.out).value();
  EXPECT_EQ(before.at("complete"), false);
  const std::map<std::string, Json> kept = WholeMeasurements(before);
  EXPECT_GE(kept.size(), 1u) << "what had ended is there";

  const Outcome resumed = Load({"--resume", RunDir().filename().string(), "--json"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  const Json after = ParseJson(resumed.out).value();
  EXPECT_EQ(after.at("complete"), true);
  const std::map<std::string, Json> all = WholeMeasurements(after);
  EXPECT_EQ(all.size(), 4u);
  for (const auto& [name, measurement] : all) EXPECT_EQ(measurement.at("load").at("whole").at("completed"), 60) << name;
  for (const auto& [name, measurement] : kept) {
    for (const char* key : {"started_at", "load", "figures"}) EXPECT_EQ(all.at(name).at(key), measurement.at(key)) << name;
  }
}

}  // namespace
}  // namespace moecap::e2e
