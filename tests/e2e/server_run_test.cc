// `moecap run` against a server over HTTP.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
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
  int64_t peak_bytes = 0;  // of the program's memory
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
    const std::string command = fmt::format("cd '{0}' && XDG_CACHE_HOME='{0}/cache' {1} '{2}' run run.yaml --json >out 2>err",
                                            dir_.string(), environment, MOECAP_BINARY);
    const pid_t child = ::fork();
    if (child == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    int status = 0;
    rusage usage{};
    EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadFile(dir_ / "out").value(), ReadFile(dir_ / "err").value(),
            static_cast<int64_t>(usage.ru_maxrss) * 1024};
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
  EXPECT_EQ(system["cells"][0]["figures"]["accuracy"], 0.5);
  EXPECT_EQ(system["cells"][0]["figures"]["failed"], 0);
  const std::string stored = StoredText();
  const Json& measurement = system["cells"][0]["measurements"][0];
  EXPECT_EQ(measurement["figures"]["output_tokens_mean"], 3);
  EXPECT_EQ(measurement["load"]["token_sources"][0]["source"], "token-ids");
  EXPECT_THAT(stored, HasSubstr("SESAME"));
  EXPECT_THAT(stored + run.out + run.err, Not(HasSubstr("sk-sesame")));
}

TEST_F(ServerRun, ThisHostIsNeitherPriceNorMeterOfAServer) {
  ScriptedServer server([](ScriptedConnection& connection, int) { Answer(connection); });
  const std::string url = "url: " + server.Url() + ", api_key_env: SESAME";
  const Outcome run = Run(url, "SESAME=sk-sesame");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto json = ParseJson(run.out);
  const Json& cell = (*json)["systems"][0]["cells"][0]["figures"];
  for (const char* key : {"usd_per_request", "usd_per_million_output_tokens", "energy_wh", "joules_per_token"})
    EXPECT_TRUE(cell.at(key).is_null()) << key << " " << cell.at(key);
  EXPECT_THAT(run.err, Not(HasSubstr("energy is an estimate")));
  EXPECT_THAT(run.err, Not(HasSubstr("ceilings"))) << "nobody computes with the client's";
}

// As openvino-openai-api and litgpt: chats and nothing else, and a member that it does not know is refused.
TEST_F(ServerRun, AServerWithoutAListOfModelsNeedsOnlyItsKindOrModel) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      if (!request.starts_with("POST /v1/chat/completions ")) {
        connection.Send(WholeResponse(404, R"({"detail":"Not Found"})"));
      } else if (request.find("ignore_eos") != std::string::npos || request.find("cache_salt") != std::string::npos) {
        connection.Send(WholeResponse(422, R"({"detail":"Unexpected keys in the request"})"));
      } else {
        connection.Send(StreamHead() +
                        ChunkOf(R"(data: {"choices":[{"index":0,"delta":{"content":"#### 1"}}]})"
                                "\n\n") +
                        ChunkOf(R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],)"
                                R"("usage":{"prompt_tokens":9,"completion_tokens":3}})"
                                "\n\n") +
                        ChunkOf(""));
      }
    }
  });
  for (const char* known : {"kind: unknown", "model: tiny"}) {
    const Outcome run = Run("url: " + server.Url() + ", " + known);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const Json json = ParseJson(run.out).value();
    EXPECT_EQ(json["systems"][0]["api"], "chat") << "it has no completions";
    EXPECT_EQ(json["systems"][0]["cells"][0]["figures"]["completed"], 6);
  }
  EXPECT_THAT(StoredText(), HasSubstr("\"name\": \"ignore_eos\""));
  EXPECT_EQ(Run("url: " + server.Url()).exit_code, 2) << "nothing tells what it is";
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
  EXPECT_THAT(run.err, HasSubstr("remote: none of 6 requests was answered, the first failed with: "));
  EXPECT_THAT(run.err, HasSubstr("503"));
  const auto json = ParseJson(run.out);
  ASSERT_TRUE(json.ok()) << run.out;
  EXPECT_EQ((*json)["systems"][0]["cells"][0]["figures"]["failed"], 6);
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

// Is a vLLM until it is asked to generate; then `script` has the connection.
ScriptedServer::Script UntilItGenerates(std::function<void(ScriptedConnection&)> script) {
  return [script = std::move(script)](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      if (request.starts_with("GET /v1/models ")) {
        connection.Send(WholeResponse(200, R"({"data":[{"id":"tiny","owned_by":"vllm"}]})"));
      } else if (request.starts_with("GET ")) {
        connection.Send(WholeResponse(404, "no"));
      } else {
        return script(connection);
      }
    }
  };
}

// What the user of the program sees of a server that fails: what is wrong, where, and what to do, in bounded time and memory.
TEST_F(ServerRun, NamesWhatAServerDoesWrong) {
  struct Case {
    const char* what;
    std::function<void(ScriptedConnection&)> script;
    std::vector<std::string> expected;
    int timeout_s = 600;  // short only where nothing else ends the request
  };
  const auto flood = [](std::string begin, std::string block) {
    return [=](ScriptedConnection& connection) {
      connection.Send(begin);
      const std::string blocks = [&] {
        std::string text;
        while (text.size() < 1 << 20) text += block;
        return text;
      }();
      for (int i = 0; i < 1024; ++i) connection.Send(blocks);
    };
  };
  const auto answer = [](const std::string& bytes) {
    return [=](ScriptedConnection& connection) {
      do connection.Send(bytes);
      while (!connection.ReadRequest().empty());
    };
  };
  const Case cases[] = {
      {"unknown model",
       answer(WholeResponse(404, R"({"error":{"message":"The model `tiny` does not exist."}})")),
       {"status 404", "does not exist", "check the URL, the api and the model's name"}},
      {"never answers", [](ScriptedConnection& connection) { connection.Hold(); }, {"did not end within 1 s"}, 1},
      {"closes", [](ScriptedConnection&) {}, {"closed the connection before it answered", "log"}},
      {"1 GB without a newline", flood(StreamHead() + "40000000\r\ndata: ", "x"), {"an event is larger than 67108864 bytes"}},
      {"1 GB of headers", flood("HTTP/1.1 200 OK\r\n", "X-Flood: 1\r\n"), {"headers are larger than 65536 bytes"}},
      {"a web page", answer(WholeResponse(200, "<html>", "Content-Type: text/html\r\n")), {"web page", "check the URL"}},
      {"an error in the stream",
       answer(StreamHead() + ChunkOf("data: {\"error\":{\"message\":\"out of memory\"}}\n\n") + ChunkOf("")),
       {"out of memory"}},
      {"trickles",
       [](ScriptedConnection& connection) {
         connection.Send(StreamHead() + "ffff\r\n");
         connection.SendInPieces(std::string(0xffff, 'x'), 1, 20000);
       },
       {"did not end within 1 s"},
       1},
  };
  for (const Case& c : cases) {
    ScriptedServer server(UntilItGenerates(c.script));
    const Outcome run = Run(fmt::format("url: {}, timeout_s: {}", server.Url(), c.timeout_s));
    EXPECT_EQ(run.exit_code, 1) << c.what << "\n" << run.out << run.err;
    const std::string said = run.out + run.err;
    EXPECT_THAT(said, HasSubstr(server.Url())) << c.what;
    for (const std::string& part : c.expected) EXPECT_THAT(said, HasSubstr(part)) << c.what;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(run.peak_bytes, int64_t{1} << 30) << c.what;
#endif
    fs::remove_all(dir_ / "results");
  }
}

}  // namespace
}  // namespace moecap::e2e
