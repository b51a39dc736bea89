// Data sets of the catalogue in an experiment.
#include "experiment/problem_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "experiment/testing/experiment_fixture.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;
using cap::FigureId;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

const fs::path kData = fs::path(MOECAP_SOURCE_DIR) / "src/workload/testing/datasets";
constexpr const char* kSystem = "systems: [{name: A, model: a.gguf}]\nwarmup_requests: 1\nload: {clients: [1]}\n";

std::string Complaint(const std::string& text) {
  const auto config = ParseConfig(std::string(kSystem) + text, "c.yaml", {});
  return config.ok() ? "" : config.error().message;
}

TEST(ProblemSetConfig, TheTwoWaysToNameADatasetAreOne) {
  const auto one =
      ParseConfig(std::string(kSystem) + "workload: {dataset: mmlu-pro, path: data, samples: 3, seed: 5}\n", "c.yaml", "/d");
  const auto two =
      ParseConfig(std::string(kSystem) + "dataset: {name: mmlu-pro, path: data, problems: 3, seed: 5}\n", "c.yaml", "/d");
  ASSERT_TRUE(one.ok() && two.ok());
  for (const auto& config : {*one, *two}) {
    EXPECT_EQ(config.problems->Name(), "mmlu-pro");
    EXPECT_EQ(config.problems->path, "/d/data");
    EXPECT_EQ(config.problems->problems, 3);
    EXPECT_EQ(config.problems->seed, 5u);
    EXPECT_EQ(config.problems->prompt, "mmlu-pro");
    EXPECT_EQ(config.problems->split, "test");
    EXPECT_EQ(config.problems->scoring, std::nullopt);
    EXPECT_EQ(config.max_output_tokens, 2048) << "the prompt's";
  }
  const auto short_one = ParseConfig(std::string(kSystem) + "dataset: gsm8k\nmax_output_tokens: 99\n", "c.yaml", {});
  ASSERT_TRUE(short_one.ok()) << short_one.error().message;
  EXPECT_EQ(short_one->problems->scoring, Scoring::kGsm8kStrictMatch);
  EXPECT_EQ(short_one->problems->seed, 1u);
  EXPECT_EQ(short_one->max_output_tokens, 99);
}

TEST(ProblemSetConfig, AFileOfPromptsIsAWorkloadAsBefore) {
  const auto config = ParseConfig(std::string(kSystem) + "workload: {dataset: prompts.jsonl}\n", "c.yaml", "/d");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_FALSE(config->problems);
  EXPECT_EQ(config->workload.dataset->path, "/d/prompts.jsonl");
}

TEST(ProblemSetConfig, ComplaintsNameTheRemedy) {
  EXPECT_THAT(Complaint("dataset: {name: gms8k}\n"), HasSubstr("did you mean gsm8k?"));
  EXPECT_THAT(Complaint("dataset: {name: gsm8k, split: tests}\n"), HasSubstr("it has test, train"));
  EXPECT_THAT(Complaint("dataset: {name: gsm8k, prompt: gsm9k}\n"), HasSubstr("did you mean gsm8k?"));
  EXPECT_THAT(Complaint("dataset: {name: gsm8k, samples: 3, problems: 3}\n"), HasSubstr("give one of"));
  EXPECT_THAT(Complaint("dataset: {problems: 3}\n"), HasSubstr("\"path\" is missing"));
  EXPECT_THAT(Complaint("dataset: {name: gsm8k, shuffle: true}\n"), HasSubstr("unknown key"));
}

TEST_F(ExperimentTest, ANamedDatasetIsScoredAndTheManifestSaysHowItWasDrawn) {
  std::ofstream(dir_ / "g.jsonl") << R"({"question":"a","answer":"#### 7"})"
                                  << "\n"
                                  << R"({"question":"b","answer":"#### 7"})"
                                  << "\n"
                                  << R"({"question":"c","answer":"#### 8"})"
                                  << "\n";
  const Config config =
      Parse(std::string(kSystem) + "dataset: {name: gsm8k, path: g.jsonl, prompt: gsm8k-zeroshot, samples: 2}\n");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  EXPECT_THAT(results.manifest().workload, HasSubstr("2 problems of the data set gsm8k, seed 1, prompt gsm8k-zeroshot"));
  EXPECT_THAT(results.manifest().notes, Contains(AllOf(HasSubstr("3 rows of g.jsonl"), HasSubstr("1319 were published"))));
  EXPECT_THAT(results.manifest().notes, Contains(HasSubstr("2 of its 3 problems were drawn by seed 1")));
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const auto summary = SummaryOf(results.dir());
  EXPECT_EQ(summary.dataset, "gsm8k");
  EXPECT_EQ(summary.systems[0].cells[0].figures[FigureId::kScored], 2);
}

TEST_F(ExperimentTest, WithoutAScorerAccuracyIsNullAndANoteSaysWhy) {
  const Config config =
      Parse(std::string(kSystem) + "workload: {dataset: aime24, prompt: aime, path: " + (kData / "aime24").string() + "}\n");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  EXPECT_THAT(results.manifest().notes, Contains(HasSubstr("no scorer for the task aime")));
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const auto summary = SummaryOf(results.dir());
  EXPECT_EQ(summary.systems[0].cells[0].figures[FigureId::kAccuracy], std::nullopt);
  EXPECT_EQ(summary.scoring_contract, "not scored");
}

TEST(PrepareProblems, KeepsASubsetAndFindsWorkedExamplesBesideTheProblems) {
  ProblemSet set;
  set.dataset = "mmlu";
  set.is_named = true;
  set.split = "test";
  set.path = kData / "mmlu";
  set.prompt = "mmlu-generative";
  set.seed = 1;
  set.scoring.reset();
  set.subset = {"world religions"};
  const auto prepared = PrepareProblems(set, {});
  ASSERT_TRUE(prepared.ok()) << prepared.error().message;
  ASSERT_EQ(prepared->problems.size(), 1u);
  EXPECT_THAT(prepared->prompter->Render(prepared->problems[0])->text, HasSubstr("about world religions.\n\nWhich is 1?"));
  set.subset = {"cooking"};
  EXPECT_THAT(PrepareProblems(set, {}).error().message, HasSubstr("it has high school biology, world religions"));
  set.dataset = "gsm8k";
  set.path = kData / "gsm8k";
  set.subset.clear();
  set.prompt = "gsm8k-cot";
  EXPECT_THAT(PrepareProblems(set, {}).error().message, HasSubstr("give shots_path"));
  set.shots_path = kData / "gsm8k/train.jsonl";
  EXPECT_THAT(PrepareProblems(set, {}).error().message, HasSubstr("has 8 worked examples, and there are 7"));
  set.prompt = "gsm8k";
  EXPECT_TRUE(PrepareProblems(set, {}).ok());
}

}  // namespace
}  // namespace moecap::experiment
