// `moecap datasets`, and an experiment that names one, as their users run them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;

using testing::AllOf;
using testing::HasSubstr;

const std::string kData = MOECAP_SOURCE_DIR "/src/workload/testing/datasets/";

class DatasetsCli : public testing::Test {
 protected:
  Outcome Call(const std::string& arguments) const {
    return ShellProgram(dir_, "datasets " + arguments, "MOECAP_DATASETS=" + kData);
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
};

TEST_F(DatasetsCli, ListsAndShowsWhatIsHere) {
  const Outcome list = Call("--json");
  ASSERT_EQ(list.exit_code, 0) << list.err;
  const Json datasets = ParseJson(list.out)->at("datasets");
  EXPECT_EQ(datasets.size(), 18u);
  for (const Json& dataset : datasets) {
    if (dataset.at("name") != "gsm8k") continue;
    EXPECT_EQ(dataset.at("splits").at(0).at("rows"), 1319);
    EXPECT_EQ(dataset.at("splits").at(0).at("found_in"), kData + "gsm8k");
  }
  EXPECT_THAT(Call("").out, AllOf(HasSubstr("mmlu-pro"), HasSubstr("12032"), HasSubstr("openai/gsm8k")));
  EXPECT_THAT(Call("show mmlu-pro").out, AllOf(HasSubstr("TIGER-Lab/MMLU-Pro"), HasSubstr("lm-evaluation-harness 0.4.13")));
  EXPECT_THAT(Call("show ifeval").out, HasSubstr("lm-eval/ifeval/inst_level_strict_acc"));
  EXPECT_THAT(Call("show arena-hard-v2").out, HasSubstr("a judge: moecap judge"));
  EXPECT_THAT(Call("show gms8k").err, HasSubstr("did you mean gsm8k?"));
}

TEST_F(DatasetsCli, ChecksRowsAndHash) {
  const Outcome good = Call("check tinymath " MOECAP_SOURCE_DIR "/datasets/tinymath --json");
  ASSERT_EQ(good.exit_code, 0) << good.err;
  const Json json = *ParseJson(good.out);
  EXPECT_EQ(json.at("rows"), 512);
  EXPECT_EQ(json.at("sha256"), json.at("sha256_published"));
  const Outcome own = Call("check gsm8k " + kData + "gsm8k");
  EXPECT_EQ(own.exit_code, 2);
  EXPECT_THAT(own.err, AllOf(HasSubstr("3 rows, where 1319 were published"), HasSubstr("the SHA-256 is not")));
  EXPECT_THAT(Call("check gsm8k " + kData + "gsm8k/train.jsonl").err, HasSubstr("this is the split train"));
}

TEST_F(DatasetsCli, PrintsWhatWouldBeSent) {
  const Outcome outcome = Call("prompts mmlu --prompt simple-evals-choice --samples 2 --seed 3");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 2);
  const Json first = *ParseJson(outcome.out.substr(0, outcome.out.find('\n')));
  EXPECT_EQ(first.at("messages").at(0).at("role"), "system");
  EXPECT_THAT(first.at("messages").at(1).at("content").get<std::string>(), HasSubstr("\n\nA) "));
  EXPECT_EQ(first.at("gold").get<std::string>().size(), 1u);
}

TEST_F(DatasetsCli, AnExperimentAsksIt) {
  fs::create_directories(dir_ / "mock");
  const pid_t mock = StartProgram(dir_ / "mock", {"mock", "--ttft-s", "0.001", "--tpot-s", "0.0005", "--ready-file", "ready"});
  while (!fs::exists(dir_ / "mock/ready")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::string url = *ReadFile(dir_ / "mock/ready");
  url.pop_back();
  std::ofstream(dir_ / "run.yaml") << "server: {url: " << url << ", api: chat}\nload: {clients: [2]}\nmax_output_tokens: 4\n"
                                   << "workload: {dataset: mmlu, prompt: mmlu-cot-llama, path: " << kData
                                   << "mmlu, samples: 2}\n";
  const Outcome run = ShellProgram(dir_, "run run.yaml --json");
  ::kill(mock, SIGTERM);
  ::waitpid(mock, nullptr, 0);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const auto& entry : fs::directory_iterator(dir_ / "results")) {
    if (!entry.is_directory()) continue;
    EXPECT_THAT(*ReadFile(entry.path() / "manifest.json"),
                HasSubstr("2 of its 3 problems were drawn by seed 1, each subject with its share"));
    EXPECT_THAT(*ReadFile(entry.path() / "summary.json"),
                AllOf(HasSubstr("\"dataset\": \"mmlu\""), HasSubstr("lm-eval/mmlu_cot_llama/strict_match")));
  }
}

}  // namespace
}  // namespace moecap::e2e
