// A run against `moecap mock` that says what a file holds, and `moecap score` of the same file.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// What was extracted, and whether it is right.
using Verdict = std::pair<Json, double>;

class KnownAnswersTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(dir_ / "mock"); }
  void TearDown() override {
    if (mock_ > 0) ::kill(mock_, SIGTERM);
    if (mock_ > 0) ::waitpid(mock_, nullptr, 0);
  }
  void Write(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomically(dir_ / name, text).ok());
  }
  // The server's address.
  std::string StartMock(const std::vector<std::string>& more) {
    std::vector<std::string> args = {"mock", "--answers", "../known.jsonl", "--ready-file", "ready"};
    args.insert(args.end(), more.begin(), more.end());
    mock_ = StartProgram(dir_ / "mock", args);
    while (!fs::exists(dir_ / "mock/ready") && ::waitpid(mock_, nullptr, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const auto url = ReadFile(dir_ / "mock/ready");
    EXPECT_TRUE(url.ok()) << ReadFile(dir_ / "mock/err").value();
    return url.ok() ? url->substr(0, url->find('\n')) : "";
  }
  Json Run(const std::string& config) const {
    Write("run.yaml", config);
    const Outcome outcome = CallProgram(dir_, {"run", "run.yaml", "--json", "--results-dir", "results"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.exit_code == 0 ? ParseJson(outcome.out).value() : Json();
  }
  // Of the run's only measurement.
  std::map<std::string, Verdict> VerdictsOf(const Json& run) const {
    std::map<std::string, Verdict> verdicts;
    const std::string name = run["systems"][0]["cells"][0]["measurements"][0]["name"];
    const fs::path file = dir_ / "results" / run["run_id"].get<std::string>() / "measurements" / name / "answers.jsonl";
    for (const std::string& line : ReadLines(file).value()) {
      const Json answer = ParseJson(line).value();
      verdicts[answer["id"]] = {answer.value("extracted", Json()), answer["score"]};
    }
    return verdicts;
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
  pid_t mock_ = -1;
};

// Right and wrong in the ways in which the contracts differ.
Json PredictionOf(int i) {
  switch (i % 10) {
    case 0:
      return fmt::format("{} + 1 = {}\n#### {}", i, i + 1, i + 1);
    case 1:
      return fmt::format("It is {}.", i + 1);
    case 2:
      return fmt::format("#### {}", i);
    case 3:
      return "I cannot say";
    case 4:
      return "";
    case 5:
      return nullptr;  // the request failed
    case 6:
      return fmt::format("The answer is {}\nCheck: 7 * 18 = 126", i + 1);
    case 7:
      return fmt::format("**{}** – «é»\t\"世界\"", i + 1);
    case 8:
      return fmt::format("#### {}.5", i + 1);
    default:
      return fmt::format("\\boxed{{{}}}", i + 1);
  }
}

TEST_F(KnownAnswersTest, ARunScoresThemAsTheFileIsScored) {
  std::string problems, known;
  for (int i = 0; i < 20; ++i) {
    const std::string id = fmt::format("p-{}", i), question = fmt::format("What is {} + 1?", i);
    problems += DumpJson({{"id", id}, {"question", question}, {"answer", fmt::format("#### {}", i + 1)}}) + "\n";
    Json row = {{"id", id}, {"prediction", PredictionOf(i)}, {"gold", fmt::format("#### {}", i + 1)}};
    if (i < 15) row["prompt"] = "Question: " + question + "\nAnswer:";
    if (i % 4 == 1) row["reasoning"] = "perhaps #### 99, or \\boxed{98}";
    known += DumpJson(row) + "\n";
  }
  Write("data.jsonl", problems);
  Write("known.jsonl", known);
  const std::string url = StartMock({"--ttft-s", "0.002", "--tpot-s", "0.0005"});
  int runs = 0;
  for (const auto& [contract, filter] : {std::pair("lm-eval", "strict-match"), std::pair("lm-eval", "flexible-extract"),
                                         std::pair("moe-cap", "exact-match"), std::pair("official", "exact-match")}) {
    const Outcome offline = CallProgram(
        dir_, {"score", "--task", "gsm8k", "--contract", contract, "known.jsonl", "--items", "items.jsonl", "--json"});
    ASSERT_EQ(offline.exit_code, 0) << offline.err;
    const Json scored = ParseJson(offline.out).value();
    double score = -1;
    for (const Json& each : scored["filters"]) {
      if (each["filter"] == filter) score = each["score"];
    }
    std::map<std::string, Verdict> expected;
    for (const std::string& line : ReadLines(dir_ / "items.jsonl").value()) {
      const Json item = ParseJson(line).value();
      expected[item["id"]] = {item["filters"][filter]["extracted"], item["filters"][filter]["score"]};
    }
    for (const char* load : {"clients: [4]", "rates_per_s: [200]"}) {
      const char* api = runs++ % 3 == 0 ? "chat" : "completions";
      const Json run = Run(fmt::format(
          "systems: [{{name: s, server: {{url: '{}', api: {}}}}}]\ndataset: {{path: data.jsonl, scoring: {}/gsm8k/{}}}\n"
          "load: {{{}}}\nwarmup_requests: 0\n",
          url, api, contract, filter, load));
      ASSERT_FALSE(run.is_null());
      const Json& cell = run["systems"][0]["cells"][0];
      EXPECT_EQ(cell["figures"]["accuracy"], score) << contract << " " << filter << " " << load << " " << api;
      EXPECT_EQ(VerdictsOf(run), expected) << contract << " " << filter << " " << load << " " << api;
      EXPECT_EQ(cell["figures"]["failed"], 2) << "those whose requests fail are wrong";
    }
  }
}

// The mock answers in other words while more than two requests are in flight.
TEST_F(KnownAnswersTest, QualityThatCollapsesUnderLoadIsSeen) {
  std::string problems, known;
  for (int i = 0; i < 40; ++i) {
    const std::string question = fmt::format("What is {} + 1?", i), answer = fmt::format("#### {}", i + 1);
    problems += DumpJson({{"question", question}, {"answer", answer}}) + "\n";
    known += DumpJson({{"prompt", "Question: " + question + "\nAnswer:"}, {"prediction", "It is so. " + answer}}) + "\n";
  }
  Write("data.jsonl", problems);
  Write("known.jsonl", known);
  const std::string url = StartMock({"--ttft-s", "0.02", "--tpot-s", "0.001", "--fault", "degrade=2"});
  const Json run = Run("systems: [{name: s, server: {url: '" + url +
                       "'}}]\ndataset: {path: data.jsonl}\nload: {clients: [1, 2, 8]}\nwarmup_requests: 0\n");
  ASSERT_FALSE(run.is_null());
  const Json& cells = run["systems"][0]["cells"];
  const auto state = [&](size_t cell) -> std::string {
    for (const Json& gate : cells[cell]["gates"]) {
      if (gate["name"] == "accuracy under load") return gate["state"];
    }
    return "";
  };
  EXPECT_EQ(state(0), "not measured");
  EXPECT_EQ(state(1), "passed");
  EXPECT_EQ(cells[1]["figures"]["changed_answers_share"], 0);
  EXPECT_EQ(state(2), "tripped");
  EXPECT_GE(cells[2]["figures"]["accuracy_drop"], 0.5);
  EXPECT_GE(cells[2]["figures"]["changed_answers_share"], 0.5);
  const std::string folder = (dir_ / "results" / run["run_id"].get<std::string>()).string();
  const Outcome report = CallProgram(dir_, {"report", folder});
  EXPECT_THAT(report.out, HasSubstr("the accuracy falls under load"));
}

TEST_F(KnownAnswersTest, AQuestionThatTheFileDoesNotHoldIsNamed) {
  Write("data.jsonl", "{\"question\":\"Who?\",\"answer\":\"#### 1\"}\n{\"question\":\"Where?\",\"answer\":\"#### 2\"}\n");
  Write("known.jsonl", R"({"prompt":"Question: Who?\nAnswer:","prediction":"#### 1"})");
  const std::string url = StartMock({"--null"});
  Write("run.yaml", "systems: [{name: s, server: {url: '" + url + "'}}]\ndataset: {path: data.jsonl}\nload: {clients: [1]}\n");
  const Outcome outcome = CallProgram(dir_, {"run", "run.yaml", "--json", "--results-dir", "results"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("../known.jsonl holds no answer for the prompt"));
}

TEST_F(KnownAnswersTest, AFileThatCannotBeReadIsRefused) {
  Write("known.jsonl", "{\"prompt\":\"a\"}\n");
  const Outcome outcome = CallProgram(dir_, {"mock", "--null", "--answers", "known.jsonl"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("known.jsonl:1: no field \"prediction\""));
}

}  // namespace
}  // namespace moecap::e2e
