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
    EXPECT_EQ(ScoringName(config.problems->scoring), "lm-eval/mmlu_pro/custom-extract");
    EXPECT_EQ(config.max_output_tokens, 2048) << "the prompt's";
  }
  const auto short_one = ParseConfig(std::string(kSystem) + "dataset: gsm8k\nmax_output_tokens: 99\n", "c.yaml", {});
  ASSERT_TRUE(short_one.ok()) << short_one.error().message;
  EXPECT_EQ(ScoringName(short_one->problems->scoring), "gsm8k-strict-match");
  EXPECT_EQ(short_one->problems->seed, 1u);
  EXPECT_EQ(short_one->max_output_tokens, 99);
}

TEST(ProblemSetConfig, AFileOfPromptsIsAWorkloadAsBefore) {
  const auto config = ParseConfig(std::string(kSystem) + "workload: {dataset: prompts.jsonl}\n", "c.yaml", "/d");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_FALSE(config->problems);
  EXPECT_EQ(config->workload.dataset->path, "/d/prompts.jsonl");
}

TEST(ProblemSetConfig, ChatsAndTheirSystemPrompt) {
  const auto read = [](const std::string& keys) {
    return ParseConfig(std::string(kSystem) + "dataset: {name: gsm8k" + keys + "}\n", "c.yaml", {}).value().problems.value();
  };
  EXPECT_FALSE(read("").chat);
  EXPECT_EQ(read("").system_prompt, "");
  EXPECT_TRUE(read(", chat: true").chat);
  EXPECT_EQ(read(", system_prompt: default").system_prompt, workload::kDefaultSystemPrompt);
  EXPECT_EQ(read(", system_prompt: Be kind.").system_prompt, "Be kind.");
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

TEST(ScoringNames, AreAContractATaskAndAFilter) {
  const auto named = [](std::string_view name, std::string_view task) {
    const auto scoring = FindScoring(name, task);
    return scoring.ok() ? ScoringName(*scoring) : scoring.error().message;
  };
  EXPECT_EQ(named("gsm8k-flexible-extract", ""), "gsm8k-flexible-extract");
  EXPECT_EQ(named("lm-eval/gsm8k/strict-match", ""), "gsm8k-strict-match");
  EXPECT_EQ(named("mlperf", "aime"), "mlperf/aime/integer");
  EXPECT_EQ(named("official/level-2", "mmlu_pro"), "official/mmlu_pro/level-2");
  EXPECT_EQ(named("simple-evals", "mmlu"), "official/mmlu/simple-evals");
  EXPECT_EQ(named("mlperf/math500/boxed-prm800k", "gsm8k"), "mlperf/math500/boxed-prm800k");
  EXPECT_THAT(named("lm-eval/gsm8k/strict", ""), HasSubstr("it has strict-match, flexible-extract"));
  EXPECT_THAT(named("mine/gsm8k/strict-match", ""), HasSubstr("\"mine\" is no contract"));
  EXPECT_THAT(named("best", "gsm8k"), HasSubstr("moecap score --list"));
  EXPECT_THAT(named("", "gsm8k"), HasSubstr("CONTRACT/TASK/FILTER"));
  EXPECT_EQ(UsualScoring("longbench_v2")->task->contract, "official");
  EXPECT_EQ(named("official/loose", "ifeval").find("it has prompt-strict") == std::string::npos, false);
  EXPECT_EQ(UsualScoring("arena_hard"), std::nullopt);
}

TEST_F(ExperimentTest, ANamedDatasetIsScoredByItsContract) {
  const Config config =
      Parse(std::string(kSystem) + "workload: {dataset: aime24, prompt: aime, path: " + (kData / "aime24").string() + "}\n");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const auto summary = SummaryOf(results.dir());
  EXPECT_EQ(summary.scoring_contract, "lm-eval/aime/exact_match");
  EXPECT_GT(summary.systems[0].cells[0].figures[FigureId::kScored].value_or(0), 0);
}

TEST(PrepareProblems, ARightAnswerThatCannotBeScoredIsNamedWithItsPlace) {
  ProblemSet set;
  set.dataset = "aime24";
  set.task = "aime";
  set.is_named = true;
  set.split = "test";
  set.path = kData / "aime24";
  set.prompt = "aime";
  set.seed = 1;
  set.scoring = *FindScoring("lm-eval/mmlu_pro/custom-extract", "");
  EXPECT_THAT(PrepareProblems(set, {}).error().message, AllOf(HasSubstr(".jsonl"), HasSubstr("none of the letters")));
}

TEST_F(ExperimentTest, WithoutAScorerAccuracyIsNullAndANoteSaysWhy) {
  const Config config =
      Parse(std::string(kSystem) + "dataset: {name: arena-hard-v2, path: " + (kData / "arena-hard-v2").string() + "}\n");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  EXPECT_THAT(results.manifest().notes, Contains(HasSubstr("moecap judge")));
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const auto summary = SummaryOf(results.dir());
  EXPECT_EQ(summary.systems[0].cells[0].figures[FigureId::kAccuracy], std::nullopt);
  EXPECT_EQ(summary.scoring_contract, "not scored");
}

// The rows' own facts reach the scorer: instructions, accepted answers, the parts of a benchmark.
TEST_F(ExperimentTest, ScoresBenchmarksOfManyRules) {
  std::ofstream(dir_ / "short.yaml") << "{name: short, form: completion, question: 'Q', max_output_tokens: 9}";
  const auto measure = [&](const std::string& name, const std::string& more) {
    return Measure(std::string(kSystem) + "dataset: {name: " + name + ", path: " + (kData / name).string() + more + "}\n");
  };
  const cap::ExperimentSummary ifeval = measure("ifeval", "");
  EXPECT_EQ(ifeval.scoring_contract, "lm-eval/ifeval/prompt_level_strict_acc");
  EXPECT_EQ(ifeval.systems[0].cells[0].figures[FigureId::kAccuracy], 1) << "no comma in '#### 7', and fewer than 4 words";
  const cap::ExperimentSummary each = measure("ifeval", ", scoring: official/ifeval/instruction-loose");
  EXPECT_EQ(each.systems[0].cells[0].items[0].score_parts, 2);
  const cap::ExperimentSummary ruler = measure("ruler", ", prompt: short.yaml, scoring: official");
  EXPECT_EQ(ruler.scoring_contract, "official/ruler/string-match");
  EXPECT_EQ(ruler.systems[0].cells[0].figures[FigureId::kScored], 2);
  EXPECT_EQ(ruler.systems[0].cells[0].items[0].part.empty(), false);
  EXPECT_THAT(ruler.systems[0].cells[0].notes,
              Contains("accuracy is the mean over parts: niah_single_1 0.00 % of 1, vt 0.00 % of 1"));
  const cap::ExperimentSummary longbench = measure("longbench", ", prompt: short.yaml, scoring: official");
  EXPECT_EQ(longbench.scoring_contract, "official/longbench/metric-of-task");
  EXPECT_EQ(longbench.systems[0].cells[0].figures[FigureId::kAccuracy], 0);
}

TEST_F(ExperimentTest, ProgramsAreRunOnlyWhereThatIsAllowed) {
  const std::string dataset = "dataset: {name: humaneval, path: " + (kData / "humaneval").string();
  Config config = Parse(kSystem + dataset + "}\n");
  Experiment unscored = Prepare(config);
  EXPECT_THAT(Create(config, unscored).manifest().notes, Contains(HasSubstr("run_code: true")));
  EXPECT_THAT(Complaint(dataset + ", scoring: official/humaneval/completion}\n"), HasSubstr("allow it with run_code: true"));
  EXPECT_THAT(Complaint("dataset: {name: ifeval, run_code: true}\n"), HasSubstr("this scoring runs nothing"));
  EXPECT_THAT(Complaint(dataset + ", run_code: true, pass_at: 2}\n"), HasSubstr("needs as many repetitions"));
  config = Parse(kSystem + dataset + ", run_code: true, pass_at: 2}\nrepeats: 4\n");
  EXPECT_EQ(ScoringName(config.problems->scoring), "lm-eval/humaneval/create_test");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  int runs = 0;
  hooks.run_code = [&](const std::string& program) -> Result<bool> {
    EXPECT_THAT(program, AllOf(HasSubstr("def one():"), HasSubstr("check(one)")));
    return ++runs == 1;
  };
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  EXPECT_EQ(runs, 4);
  const auto summary = SummaryOf(results.dir());
  EXPECT_EQ(summary.scoring_contract, "lm-eval/humaneval/create_test, pass@2");
  EXPECT_DOUBLE_EQ(summary.systems[0].cells[0].figures[FigureId::kAccuracy].value(), 0.5) << "1 - C(3,2) / C(4,2)";
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

TEST_F(ExperimentTest, PromptAndScoringMustBothBeOfLikelihoods) {
  const std::string text = std::string(kSystem) + "dataset: {name: mmlu, path: " + (kData / "mmlu").string() + ", prompt: ";
  const auto refused = [&](const std::string& rest) {
    const auto experiment = Experiment::Prepare(Parse(text + rest + "}\n"), Factory(), clock);
    return experiment.ok() ? "" : experiment.error().message;
  };
  EXPECT_EQ(refused("mmlu-continuation, scoring: lm-eval/multiple_choice/acc"), "");
  EXPECT_THAT(refused("mmlu-generative, scoring: lm-eval/multiple_choice/acc"), HasSubstr("the model writes its answer"));
  EXPECT_THAT(refused("mmlu-likelihood, scoring: lm-eval/mmlu/get_response"), HasSubstr("asks for log-likelihoods"));
  EXPECT_THAT(refused("mmlu-likelihood, scoring: lm-eval/multiple_choice/acc_norm"), HasSubstr("take acc"));
}

}  // namespace
}  // namespace moecap::experiment
