// Benchmarks with rules of their own: an experiment against a server, and its stored answers scored offline, give the same.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "net/testing/scripted_server.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using net::ChunkOf;
using net::ScriptedConnection;
using net::ScriptedServer;
using net::StreamHead;
using net::WholeResponse;
using ::testing::HasSubstr;

const std::string kData = MOECAP_SOURCE_DIR "/src/workload/testing/datasets/";

std::string AnswerTo(const std::string& request) {
  if (request.find("def one") != std::string::npos) return "    return 1\\n";
  if (request.find("Write three words") != std::string::npos) return "one two three";
  return "some rain, Individual";
}

void Serve(ScriptedConnection& connection) {
  for (std::string request; !(request = connection.ReadRequest()).empty();) {
    if (request.starts_with("GET /v1/models ")) {
      connection.Send(WholeResponse(200, R"({"data":[{"id":"tiny","owned_by":"vllm"}]})"));
    } else if (request.starts_with("GET /version ")) {
      connection.Send(WholeResponse(200, R"({"version":"0.31.0"})"));
    } else if (request.starts_with("POST /v1/completions ")) {
      connection.Send(
          StreamHead() +
          ChunkOf(fmt::format("data: {{\"choices\":[{{\"index\":0,\"text\":\"{}\",\"finish_reason\":\"stop\"}}]}}\n\n",
                              AnswerTo(request)) +
                  "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n") +
          ChunkOf(""));
    } else {
      connection.Send(WholeResponse(404, "no"));
    }
  }
}

class BenchmarkRun : public testing::Test {
 protected:
  // The run's accuracy; null in the report is -1.
  double Accuracy(const std::string& dataset, const std::string& more) {
    std::ofstream(dir_.path() / "run.yaml") << fmt::format(
        "systems: [{{name: remote, server: {{url: {}}}}}]\ndataset: {{name: {}, path: {}{}}}\nwarmup_requests: 0\nresults_dir: "
        "{}\n",
        server_.Url(), dataset, kData + dataset, more, "results-" + dataset);
    run_ = ShellProgram(dir_.path(), "run run.yaml --json", "XDG_CACHE_HOME=cache");
    if (run_.exit_code != 0) return -2;
    const Json accuracy = (*ParseJson(run_.out))["systems"][0]["cells"][0]["figures"]["accuracy"];
    return accuracy.is_null() ? -1 : accuracy.get<double>();
  }
  // The same answers, scored offline.
  double Offline(const std::string& dataset, const std::string& more) {
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path() / ("results-" + dataset))) {
      if (entry.path().filename() != "answers.jsonl") continue;
      const Outcome outcome = ShellProgram(dir_.path(), fmt::format("score '{}' --dataset {} --path {} --json {}",
                                                                    entry.path().string(), dataset, kData + dataset, more));
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      return (*ParseJson(outcome.out))["filters"][0]["score"].get<double>();
    }
    return -1;
  }

  TempDir dir_;
  ScriptedServer server_{[](ScriptedConnection& connection, int) { Serve(connection); }};
  Outcome run_;
};

TEST_F(BenchmarkRun, LongBenchAndIfevalScoreTheSameOnlineAndOffline) {
  // qasper: "rain" in three words; trec: "Individual" in the first line.
  EXPECT_DOUBLE_EQ(Accuracy("longbench", ""), (0.5 + 1) / 2) << run_.err;
  EXPECT_DOUBLE_EQ(Offline("longbench", "--contract official"), 0.75);
  EXPECT_DOUBLE_EQ(Accuracy("ifeval", ""), 1) << run_.err;
  EXPECT_DOUBLE_EQ(Offline("ifeval", ""), 1);
}

TEST_F(BenchmarkRun, ProgramsAreRunWhereThatIsAllowed) {
  EXPECT_EQ(Accuracy("humaneval", ""), -1) << run_.err;
  EXPECT_THAT(run_.err, HasSubstr("run_code: true"));
  fs::remove_all(dir_.path() / "results-humaneval");
  const double accuracy = Accuracy("humaneval", ", run_code: true");
  if (run_.exit_code == 2 && run_.err.find("cannot be run here") != std::string::npos) GTEST_SKIP() << run_.err;
  EXPECT_EQ(accuracy, 1) << run_.err;
  EXPECT_EQ(Offline("humaneval", "--run-code"), 1);
}

}  // namespace
}  // namespace moecap::e2e
