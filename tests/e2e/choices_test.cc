// Multiple choice by log-likelihood through `moecap run` on the embedded engine.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ChoicesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(dir_ / "mmlu/test");
    std::string rows;
    for (int i = 0; i < 24; ++i) {
      const int a = 13 + 7 * i, b = 5 + i, right = i % 4;
      rows += fmt::format("What is {}+{}?", a, b);
      for (int choice = 0; choice < 4; ++choice) rows += fmt::format(",{}", a + b + 10 * (choice - right));
      rows += fmt::format(",{}\n", "ABCD"[right]);
    }
    ASSERT_TRUE(WriteFileAtomically(dir_ / "mmlu/test/arithmetic_test.csv", rows).ok());
  }
  Outcome Run(const std::string& workload,
              const std::string& system = "model: " MOECAP_SOURCE_DIR "/models/tiny-moe/tiny-moe-f16.gguf") const {
    const std::string config =
        fmt::format("systems: [{{name: s, {}}}]\nworkload: {{dataset: mmlu, path: mmlu, {}}}\nload: {{clients: [1, 3]}}\n",
                    system, workload);
    EXPECT_TRUE(WriteFileAtomically(dir_ / "run.yaml", config).ok());
    return CallProgram(dir_, {"run", "run.yaml", "--json", "--results-dir", "results"});
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
};

TEST_F(ChoicesTest, AreScoredFromTheEnginesLogits) {
  const Outcome outcome = Run("prompt: mmlu-continuation, scoring: lm-eval/multiple_choice/acc");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json run = ParseJson(outcome.out).value();
  const Json& cells = run["systems"][0]["cells"];
  EXPECT_EQ(run["scoring_contract"], "lm-eval/multiple_choice/acc");
  for (const Json& cell : cells) {
    EXPECT_EQ(cell["figures"]["scored"], 24);
    EXPECT_EQ(cell["figures"]["answered"], 24);
    EXPECT_EQ(cell["figures"]["output_tokens_mean"], 1);
  }
  EXPECT_EQ(cells[1]["figures"]["changed_answers_share"], 0);
  // Offline, the same answers have the same score.
  const std::string name = cells[0]["measurements"][0]["name"];
  const fs::path file = dir_ / "results" / run["run_id"].get<std::string>() / "measurements" / name / "answers.jsonl";
  std::string predictions;
  for (const std::string& line : ReadLines(file).value()) {
    const Json answer = ParseJson(line).value();
    const Json told = ParseJson(answer["text"].get<std::string>()).value();
    ASSERT_EQ(told.size(), 4u);
    EXPECT_TRUE(std::ranges::all_of(told, [](const Json& each) { return each.get<double>() < 0; }));
    const int row = std::stoi(answer["id"].get<std::string>());
    predictions += DumpJson({{"id", row},
                             {"prediction", answer["text"]},
                             {"gold", std::string(1, "ABCD"[(row - 1) % 4])},
                             {"choices", {"1", "2", "3", "4"}}}) +
                   "\n";
  }
  ASSERT_TRUE(WriteFileAtomically(dir_ / "p.jsonl", predictions).ok());
  const Outcome offline = CallProgram(dir_, {"score", "--task", "multiple_choice", "p.jsonl", "--json"});
  ASSERT_EQ(offline.exit_code, 0) << offline.err;
  EXPECT_EQ(ParseJson(offline.out).value()["filters"][0]["score"], cells[0]["figures"]["accuracy"]);
}

// The simulated server takes one prompt a request.
TEST_F(ChoicesTest, ServersWithoutThemAreRefusedOrFail) {
  fs::create_directories(dir_ / "mock");
  const pid_t mock = StartProgram(dir_ / "mock", {"mock", "--null", "--ready-file", "ready"});
  while (!fs::exists(dir_ / "mock/ready") && ::waitpid(mock, nullptr, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const std::string ready = ReadFile(dir_ / "mock/ready").value();
  const std::string url = "server: {url: '" + ready.substr(0, ready.find('\n')) + "'";
  const Outcome chat = Run("prompt: mmlu-continuation", url + ", api: chat}");
  EXPECT_EQ(chat.exit_code, 2);
  EXPECT_THAT(chat.err, HasSubstr("api chat tells no log-likelihoods"));
  const Outcome silent = Run("prompt: mmlu-continuation", url + "}");
  EXPECT_EQ(silent.exit_code, 1);
  EXPECT_THAT(silent.err, HasSubstr("need a server that answers echo with logprobs"));
  ::kill(mock, SIGTERM);
  FinishProgram(dir_ / "mock", mock);
}

TEST_F(ChoicesTest, WhatCannotBeAskedIsRefusedBefore) {
  // The shipped model has no template.
  const Outcome untold = Run("prompt: simple-evals-choice, chat: true");
  EXPECT_EQ(untold.exit_code, 2);
  EXPECT_THAT(untold.err, HasSubstr("has no chat template"));
}

}  // namespace
}  // namespace moecap::e2e
