// `moecap run` against a server over HTTP.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "net/testing/scripted_server.h"
#include "record/jsonl.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using net::ChunkOf;
using net::ScriptedConnection;
using net::ScriptedServer;
using net::StreamHead;
using net::WholeResponse;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int exit_code = -1;
  std::string out, err;
};

class ServerRun : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / fmt::format("moecap_server_run_{}", ::getpid());
    fs::create_directories(dir_);
    std::string problems;
    for (int i = 0; i < 6; ++i)
      problems += fmt::format("{{\"question\":\"what is {} + 1?\",\"answer\":\"#### {}\"}}\n", i, i + 1);
    ASSERT_TRUE(WriteFileAtomically(dir_ / "data.jsonl", problems).ok());
  }
  void TearDown() override { fs::remove_all(dir_); }

  Outcome Run(const std::string& server, const std::string& environment = "") {
    const std::string config = fmt::format(
        "name: served\nsystems:\n  - name: remote\n    server: {{{}}}\ndataset: {{path: data.jsonl}}\nconcurrency: "
        "[3]\nwarmup_requests: 0\n"
        "results_dir: results\n",
        server);
    EXPECT_TRUE(WriteFileAtomically(dir_ / "run.yaml", config).ok());
    const std::string command =
        fmt::format("cd '{}' && {} '{}' run run.yaml --json >out 2>err", dir_.string(), environment, MOECAP_BINARY);
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadFile(dir_ / "out").value(), ReadFile(dir_ / "err").value()};
  }
  // Every file of the run, one after the other.
  std::string StoredText() const {
    std::string text;
    for (const auto& entry : fs::recursive_directory_iterator(dir_ / "results")) {
      if (entry.is_regular_file()) text += ReadFile(entry.path()).value();
    }
    return text;
  }

  fs::path dir_;
};

// A vLLM that knows the answer to half of the questions and wants a key.
void Answer(ScriptedConnection& connection) {
  for (std::string request; !(request = connection.ReadRequest()).empty();) {
    if (request.find("Authorization: Bearer sk-sesame\r\n") == std::string::npos) {
      connection.Send(WholeResponse(401, R"({"error":"Unauthorized"})"));
    } else if (request.starts_with("GET /v1/models ")) {
      connection.Send(WholeResponse(200, R"({"data":[{"id":"tiny","owned_by":"vllm"}]})"));
    } else if (request.starts_with("GET /version ")) {
      connection.Send(WholeResponse(200, R"({"version":"0.31.0"})"));
    } else if (request.starts_with("POST /v1/completions ")) {
      const size_t at = request.find("what is ");
      const int number = at == std::string::npos ? 0 : std::atoi(request.c_str() + at + 8);
      const int said = number % 2 == 0 ? number + 1 : 0;
      connection.Send(
          StreamHead() +
          ChunkOf(R"(data: {"choices":[{"index":0,"text":"#### ","token_ids":[4,5],"finish_reason":null}]})"
                  "\n\n") +
          ChunkOf(fmt::format(R"(data: {{"choices":[{{"index":0,"text":"{}","token_ids":[{}],"finish_reason":"stop"}}]}})",
                              said, said) +
                  "\n\n") +
          ChunkOf(R"(data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}})"
                  "\n\ndata: [DONE]\n\n") +
          ChunkOf(""));
    } else {
      connection.Send(WholeResponse(404, "no"));
    }
  }
}

TEST_F(ServerRun, MeasuresScoresAndKeepsTheKeyOut) {
  ScriptedServer server([](ScriptedConnection& connection, int) { Answer(connection); });
  const Outcome run = Run("url: " + server.Url() + ", api_key_env: SESAME", "SESAME=sk-sesame");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto json = ParseJson(run.out);
  ASSERT_TRUE(json.ok()) << run.out;
  const Json& system = (*json)["systems"][0];
  EXPECT_THAT(system["description"].get<std::string>(), HasSubstr("vLLM 0.31.0, tiny at http://localhost:"));
  EXPECT_EQ(system["cells"][0]["accuracy"], 0.5);
  EXPECT_EQ(system["cells"][0]["failed"], 0);
  const std::string stored = StoredText();
  EXPECT_THAT(stored, HasSubstr("\"tokens_source\":\"token-ids\""));
  EXPECT_THAT(stored, HasSubstr("\"chunk_tokens\":[2,1]"));
  EXPECT_THAT(stored, HasSubstr("SESAME"));
  EXPECT_THAT(stored + run.out + run.err, Not(HasSubstr("sk-sesame")));
}

TEST_F(ServerRun, ThisHostIsNeitherPriceNorMeterOfAServer) {
  ScriptedServer server([](ScriptedConnection& connection, int) { Answer(connection); });
  const std::string url = "url: " + server.Url() + ", api_key_env: SESAME";
  const Outcome run = Run(url, "SESAME=sk-sesame");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto json = ParseJson(run.out);
  const Json& cell = (*json)["systems"][0]["cells"][0];
  for (const char* key : {"usd_per_request", "usd_per_million_output_tokens", "energy_wh", "joules_per_token"})
    EXPECT_TRUE(cell.at(key).is_null()) << key << " " << cell.at(key);
  EXPECT_THAT(run.err, Not(HasSubstr("energy is an estimate")));
}

// Answers the questions about itself, and no other.
TEST_F(ServerRun, ASystemThatAnswersNothingFailsTheRunAfterItIsStored) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      connection.Send(request.starts_with("GET /v1/models ")
                          ? WholeResponse(200, R"({"data":[{"id":"tiny","owned_by":"vllm"}]})")
                      : request.starts_with("POST ") ? WholeResponse(503, "overloaded")
                                                     : WholeResponse(404, "no"));
    }
  });
  const Outcome run = Run("url: " + server.Url());
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("system remote: all 6 requests failed, the first one with: "));
  EXPECT_THAT(run.err, HasSubstr("503"));
  const auto json = ParseJson(run.out);
  ASSERT_TRUE(json.ok()) << run.out;
  EXPECT_EQ((*json)["systems"][0]["cells"][0]["failed"], 6);
  EXPECT_THAT(StoredText(), HasSubstr("\"complete\": true"));
}

TEST_F(ServerRun, SaysWhatIsWrongBeforeAnythingIsWritten) {
  ScriptedServer server([](ScriptedConnection& connection, int) { Answer(connection); });
  const auto refused = [&](const std::string& text, const std::string& environment, const char* expected) {
    const Outcome run = Run(text, environment);
    EXPECT_NE(run.exit_code, 0);
    EXPECT_THAT(run.err, HasSubstr(expected));
    EXPECT_THAT(run.err, Not(HasSubstr("sk-sesame")));
    EXPECT_FALSE(fs::exists(dir_ / "results"));
    return run.exit_code;
  };
  EXPECT_EQ(refused("url: " + server.Url(), "", "/v1/models answers 401"), 2);
  EXPECT_EQ(refused("url: " + server.Url() + ", api_key_env: NOT_SET_HERE", "", "NOT_SET_HERE"), 2);
  EXPECT_EQ(refused(fmt::format("url: http://127.0.0.1:{}", net::ClosedPort()), "", "is the server running"), 1);
  EXPECT_EQ(refused("url: localhost:8000", "", "the scheme is missing"), 2);
  EXPECT_EQ(refused("url: http://a, api: openai", "", "unknown api"), 2);
}

}  // namespace
}  // namespace moecap::e2e
