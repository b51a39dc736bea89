// `moecap judge` against a judge on the loopback interface.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
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
using net::ScriptedConnection;
using net::ScriptedServer;
using net::WholeResponse;
using ::testing::AllOf;
using ::testing::HasSubstr;

// What a judge says of a request's body.
using Verdict = std::function<std::string(const std::string& body)>;

// The better answer is the one with GOOD in it, slightly as A and significantly as B.
std::string Fair(const std::string& body) {
  const size_t good = body.find("GOOD"), second = body.find("Start of Assistant B's Answer");
  return good == std::string::npos ? "Alike: [[A=B]]" : good < second ? "My verdict: [[A>B]]" : "My verdict: [[B>>A]]";
}

class JudgeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string questions, answers, baseline;
    for (int i = 0; i < 4; ++i) {
      questions += fmt::format(R"({{"uid":"q{0}","category":"{1}","subcategory":"s","prompt":"question {0}?"}})", i,
                               i < 3 ? "hard_prompt" : "creative_writing") +
                   "\n";
      answers += fmt::format(R"({{"id":"q{}","text":"{}"}})", i, i == 0 ? "GOOD" : i == 1 ? "same" : "poor") + "\n";
      baseline +=
          fmt::format(
              R"({{"uid":"q{}","messages":[{{"role":"assistant","content":{{"answer":"{}"}}}}],"metadata":{{"token_len":3}}}})",
              i, i < 2 ? "same" : "GOOD") +
          "\n";
    }
    Write("question.jsonl", questions);
    Write("answers.jsonl", answers);
    Write("base.jsonl", baseline);
  }

  void Write(const char* name, const std::string& text) { std::ofstream(dir_.path() / name) << text; }

  ScriptedServer::Script Judge(Verdict verdict) {
    return [this, verdict = std::move(verdict)](ScriptedConnection& connection, int) {
      for (std::string request; !(request = connection.ReadRequest()).empty();) {
        if (request.starts_with("GET /v1/models ")) {
          connection.Send(WholeResponse(200, R"({"data":[{"id":"wise","owned_by":"vllm"}]})"));
        } else if (request.starts_with("GET /version ")) {
          connection.Send(WholeResponse(200, R"({"version":"0.31.0"})"));
        } else if (request.starts_with("POST /v1/chat/completions ")) {
          ++asked_;
          const std::string said = verdict(request);
          const Json choice{{"index", 0}, {"message", {{"role", "assistant"}, {"content", said}}}, {"finish_reason", "stop"}};
          const Json answer{{"id", "r"}, {"choices", {choice}}, {"usage", {{"prompt_tokens", 100}, {"completion_tokens", 20}}}};
          connection.Send(said.empty() ? WholeResponse(500, "busy") : WholeResponse(200, DumpJson(answer)));
        } else {
          connection.Send(WholeResponse(404, "{}"));
        }
      }
    };
  }

  Outcome Run(const std::string& more) {
    return ShellProgram(dir_.path(), "judge --dataset arena-hard-v2 --path question.jsonl --json " + more + " answers.jsonl");
  }
  std::vector<std::string> Lines() { return *ReadLines(dir_.path() / "answers.judgements.jsonl"); }

  TempDir dir_;
  std::atomic<int> asked_{0};
};

TEST_F(JudgeTest, AsksBothRoundsAndScoresByCategory) {
  const ScriptedServer server(Judge(Fair));
  const Outcome outcome =
      Run("--baseline base.jsonl --usd-per-million-input 1000 --usd-per-million-output 5000 --url " + server.Url());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = *ParseJson(outcome.out);
  EXPECT_EQ(asked_, 8);
  EXPECT_EQ(json["judge"], "wise");
  EXPECT_EQ(json["asked"], 8);
  EXPECT_EQ(json["pending"], 0);
  EXPECT_EQ(json["input_tokens"], 800);
  EXPECT_EQ(json["output_tokens"], 160);
  EXPECT_DOUBLE_EQ(json["usd"].get<double>(), 0.8 + 0.8);
  ASSERT_EQ(json["categories"].size(), 2u);
  const Json& hard = json["categories"][0];
  // Won: 3 as B and 1 as A; tied: 2; lost: 1 and 3. Mean 0.5 of 10 battles.
  EXPECT_EQ(hard["battles"], 10);
  EXPECT_NEAR(hard["score"]["win_rate"].get<double>(), 0.5, 0.1);
  EXPECT_EQ(hard["moe_cap"], 0.5);
  EXPECT_EQ(hard["style_controlled"]["tokens_are_estimated"], true);
  EXPECT_EQ(json["categories"][1]["score"]["win_rate"], 0.0);
  EXPECT_EQ(Lines().size(), 8u);
}

TEST_F(JudgeTest, GoesOnWhereItStopped) {
  // Of question 2 the judge fails as long as it is the first server.
  const auto failing = [](const std::string& body) { return body.find("question 2?") != std::string::npos ? "" : Fair(body); };
  std::string before;
  {
    const ScriptedServer server(Judge(failing));
    const Outcome outcome = Run("--baseline base.jsonl --url " + server.Url());
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("2 of 8 games got no judgement"), HasSubstr("the same command goes on")));
    EXPECT_EQ((*ParseJson(outcome.out))["categories"][0]["dropped"], 1) << "what there is, is scored";
    before = *ReadFile(dir_.path() / "answers.judgements.jsonl");
  }
  // As an interrupted write leaves it.
  std::ofstream(dir_.path() / "answers.judgements.jsonl", std::ios::app) << R"({"uid":"q2","round":0,"verd)";
  asked_ = 0;
  const ScriptedServer server(Judge(Fair));
  const Outcome outcome = Run("--baseline base.jsonl --url " + server.Url());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(asked_, 2);
  EXPECT_EQ((*ParseJson(outcome.out))["pending"], 0);
  EXPECT_TRUE(ReadFile(dir_.path() / "answers.judgements.jsonl")->starts_with(before)) << "nothing was judged or written twice";
  EXPECT_EQ(Lines().size(), 8u);
  // And once more without a server: the same score from the file alone.
  const Outcome again = Run("--baseline base.jsonl");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ((*ParseJson(again.out))["categories"], (*ParseJson(outcome.out))["categories"]);
}

TEST_F(JudgeTest, TellsTheJudgeWhatTheCategoryNeedsAndSwapsThePlaces) {
  std::mutex mutex;
  std::vector<std::string> bodies, shown;
  const ScriptedServer server(Judge([&](const std::string& body) {
    const std::lock_guard lock(mutex);
    bodies.push_back(body);
    return std::string("[[A=B]]");
  }));
  const Outcome outcome = Run("--baseline base.jsonl --category creative_writing --max-output-tokens 77 --url " + server.Url());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::lock_guard lock(mutex);
  ASSERT_EQ(bodies.size(), 2u);
  for (const std::string& body : bodies) {
    const Json json = *ParseJson(body.substr(body.find("\r\n\r\n") + 4));
    EXPECT_EQ(json["max_tokens"], 77);
    EXPECT_EQ(json["temperature"], 0);
    const std::string system = json["messages"][0]["content"], user = json["messages"][1]["content"];
    EXPECT_EQ(system.find("generating your own answer"), std::string::npos) << "not of creative writing";
    shown.push_back(user);
    EXPECT_THAT(user, HasSubstr("<|User Prompt|>\nquestion 3?\n\n<|The Start of Assistant A's Answer|>\n"));
  }
  EXPECT_NE(shown[0].find("GOOD") < shown[0].find("poor"), shown[1].find("GOOD") < shown[1].find("poor"));
}

TEST_F(JudgeTest, BadInputIsNamedWithFileAndRow) {
  const auto complaint = [&](const std::string& more) {
    const Outcome outcome = Run(more);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
    return outcome.err;
  };
  EXPECT_THAT(complaint(""), HasSubstr("--baseline FILE"));
  EXPECT_THAT(complaint("--baseline hard_prompt=base.jsonl"),
              HasSubstr("answers.jsonl: row 4: no baseline for creative_writing; give --baseline creative_writing=FILE"));
  Write("few.jsonl", R"({"uid":"q0","text":"x"})");
  EXPECT_THAT(complaint("--baseline few.jsonl"), HasSubstr("answers.jsonl: row 2: few.jsonl: no answer to 'q1'"));
  Write("answers.judgements.jsonl", R"({"uid":"q0","round":0,"judge":"wise","shown":"0","judgement":"[[A=B]]"})"
                                    "\n");
  EXPECT_THAT(complaint("--baseline base.jsonl"), HasSubstr("'q0' was judged with other answers or another prompt"));
  Write("answers.jsonl", "{\"id\":\"q0\",\"text\":\"a\"}\n{\"id\":\"zz\",\"text\":\"a\"}\n");
  EXPECT_THAT(complaint("--baseline base.jsonl"), HasSubstr("answers.jsonl: row 2: 'zz' is no question of arena-hard-v2"));
}

}  // namespace
}  // namespace moecap::e2e
