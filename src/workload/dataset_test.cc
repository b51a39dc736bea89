#include "workload/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/fs.h"
#include "parquet/parquet.h"
#include "workload/dataset_gold.h"
#include "workload/prompter.h"

namespace moecap::workload {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const fs::path kData = fs::path(MOECAP_SOURCE_DIR) / "src/workload/testing/datasets";

Result<LoadedDataset> Load(const std::string& name, const fs::path& path = {}, const std::string& split = "") {
  const DatasetInfo info = *FindDataset(name);
  return LoadDataset(info, split.empty() ? info.split : split, path.empty() ? kData / name : path, 7);
}

std::vector<std::string> Ids(const std::vector<Problem>& problems) {
  std::vector<std::string> ids;
  for (const Problem& problem : problems) ids.push_back(problem.id);
  return ids;
}

std::vector<std::string> Answers(const std::vector<Problem>& problems) {
  std::vector<std::string> answers;
  for (const Problem& problem : problems) answers.push_back(problem.answer);
  return answers;
}

// A small file of one's own in the official schema of each.
TEST(LoadDataset, ReadsEveryDatasetsOwnSchema) {
  for (const DatasetInfo& info : *BuiltinDatasets()) {
    if (info.name == "tinymath") continue;
    const auto loaded = Load(info.name);
    ASSERT_TRUE(loaded.ok()) << info.name << ": " << loaded.error().message;
    for (const Problem& problem : loaded->problems) {
      EXPECT_FALSE(problem.question.empty() || problem.id.empty() || problem.place.empty()) << info.name;
      EXPECT_EQ(problem.answer.empty(), info.gold == GoldRule::kNone) << info.name;
      EXPECT_EQ(problem.group.empty(), info.group.empty()) << info.name;
      EXPECT_EQ(problem.choices.empty(), info.choices.empty()) << info.name;
    }
  }
}

TEST(LoadDataset, TheShippedOneIsFoundAndWhole) {
  const DatasetInfo info = *FindDataset("tinymath");
  const auto loaded = LoadDataset(info, "test", fs::path(MOECAP_SOURCE_DIR) / "datasets", 1);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->rows, loaded->found.entry.rows);
  EXPECT_EQ(*Sha256Of(loaded->found), loaded->found.entry.sha256);
}

TEST(LoadDataset, TakesRightAnswersByTheDatasetsRule) {
  EXPECT_THAT(Answers(Load("math")->problems), ElementsAre("5", "\\frac{1}{2}"));
  EXPECT_THAT(Answers(Load("mmlu")->problems), ElementsAre("B", "D", "A"));
  EXPECT_THAT(Answers(Load("mmlu-pro")->problems), ElementsAre("B", "A"));
  EXPECT_THAT(Answers(Load("aime24")->problems), ElementsAre("001", "100"));
  EXPECT_THAT(Answers(Load("aime25")->problems), ElementsAre("27"));
  EXPECT_THAT(Load("longbench")->problems[0].answers, ElementsAre("rain", "the rain"));
  EXPECT_THAT(Load("ruler")->problems[1].answers, ElementsAre("A", "B"));
  const auto proofs = Load("numinamath-cot");
  EXPECT_THAT(Answers(proofs->problems), ElementsAre("9"));
  EXPECT_EQ(proofs->rows, 2);
  EXPECT_EQ(proofs->skipped, 1);
}

TEST(LoadDataset, ReadsCsvWithQuotesAndLineBreaksAndNamesSubjectsAfterFiles) {
  const auto loaded = Load("mmlu");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_THAT(Ids(loaded->problems),
              ElementsAre("test/high_school_biology_test/1", "test/high_school_biology_test/2", "test/world_religions_test/1"));
  EXPECT_EQ(loaded->problems[0].group, "high school biology");
  EXPECT_EQ(loaded->problems[0].question, "What, of these, is alive?");
  EXPECT_EQ(loaded->problems[0].choices[2], "A \"pen\"");
  EXPECT_EQ(loaded->problems[1].question, "Two lines:\nwhich is a bird?");
}

TEST(LoadDataset, OnlyALineFeedEndsALine) {
  EXPECT_EQ(Load("arena-hard-v2")->problems[0].question, "Write a sum\xe2\x80\xa8over two lines.");
}

TEST(LoadDataset, ReadsOlderAndOtherForms) {
  EXPECT_THAT(Ids(Load("arena-hard-v0.1")->problems), ElementsAre("a1", "b2"));
  EXPECT_EQ(Load("arena-hard-v0.1")->problems[1].question, "Sort a list in C.");
  const auto files = Load("math", kData / "math-files");
  EXPECT_THAT(Answers(files->problems), ElementsAre("2", "4"));
  EXPECT_THAT(Ids(files->problems), ElementsAre("algebra/1/1", "geometry/1/1"));
  EXPECT_EQ(Load("longbench")->problems.size(), 2u) << "LongBench-E is another set";
  EXPECT_EQ(Load("jsonl")->problems[0].fields.at("hint"), "count");
  EXPECT_EQ(Load("ifeval")->problems[0].facts,
            R"({"instruction_id_list":["punctuation:no_comma","length_constraints:number_words"],)"
            R"("kwargs":[{},{"relation":"less than","num_words":4}]})");
}

TEST(LoadDataset, ReadsParquetThroughDuckDb) {
  const auto loaded = Load("mmlu-pro", kData / "options.parquet");
  if (parquet::FindLibrary().empty()) {
    EXPECT_THAT(loaded.error().message, HasSubstr("tools/fetch_duckdb"));
    return;
  }
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_THAT(Ids(loaded->problems), ElementsAre("7", "8", "9"));
  EXPECT_THAT(loaded->problems[1].choices, ElementsAre("A stone", "Fire", " Light "));
  EXPECT_EQ(loaded->problems[2].question, "Na\xc3\xafve?");
}

TEST(LoadDataset, OrdersChoicesByTheSeedWhereTheFileHasTheRightOneFirst) {
  const DatasetInfo info = *FindDataset("gpqa");
  std::set<std::string> letters;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto loaded = LoadDataset(info, "diamond", kData / "gpqa", seed);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    const Problem& problem = loaded->problems[0];
    EXPECT_EQ(problem.choices[static_cast<size_t>(problem.answer[0] - 'A')], "Hydrogen");
    letters.insert(problem.answer);
    EXPECT_EQ(LoadDataset(info, "diamond", kData / "gpqa", seed)->problems[0].choices, problem.choices);
  }
  EXPECT_EQ(letters.size(), 4u);
}

TEST(LoadDataset, FindsHubCachesByTheirMainRevision) {
  const fs::path root = fs::temp_directory_path() / ("moecap-hub-" + std::to_string(::getpid()));
  const fs::path repository = root / "hub" / "datasets--HuggingFaceH4--MATH-500";
  fs::create_directories(repository / "snapshots" / "aaaa");
  fs::create_directories(repository / "snapshots" / "bbbb");
  fs::create_directories(repository / "refs");
  fs::copy_file(kData / "math/test.jsonl", repository / "snapshots/aaaa/test.jsonl");  // of before
  fs::copy_file(kData / "math500/test.jsonl", repository / "snapshots/bbbb/test.jsonl");
  ASSERT_TRUE(WriteFileAtomically(repository / "refs/main", "bbbb").ok());
  const DatasetInfo info = *FindDataset("math500");
  EXPECT_EQ(LoadDataset(info, "test", root / "hub", 1)->problems.size(), 2u);
  const char* own = std::getenv("MOECAP_DATASETS");
  const std::string before = own == nullptr ? "" : own;
  ::setenv("MOECAP_DATASETS", (root / "none").c_str(), 1);
  ::setenv("HF_HOME", root.c_str(), 1);
  const auto found = FindSplit(info, "test", {});
  ::unsetenv("HF_HOME");
  ::unsetenv("MOECAP_DATASETS");
  if (own != nullptr) ::setenv("MOECAP_DATASETS", before.c_str(), 1);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->files[0].path, repository / "snapshots/bbbb/test.jsonl");
  fs::remove_all(root);
}

// Of the data sets below $MOECAP_DATASETS, whichever are there: rows and hashes as published, and every row makes every prompt.
TEST(LoadDataset, OfficialFilesAreAsPublished) {
  if (std::getenv("MOECAP_DATASETS") == nullptr) GTEST_SKIP() << "MOECAP_DATASETS names no folder with official files";
  for (const DatasetInfo& info : *BuiltinDatasets()) {
    const auto found = FindSplit(info, info.split, {});
    if (!found.ok()) continue;
    const auto loaded = LoadDataset(info, info.split, {}, 1);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_EQ(loaded->rows, RowsOf(info, info.split).value_or(loaded->rows)) << info.name;
    const std::string hash = *Sha256Of(*found);
    EXPECT_EQ(hash, found->entry.sha256.empty() ? hash : found->entry.sha256) << info.name;
    for (const std::string& name : info.prompts) {
      PromptTemplate prompt = *FindPromptTemplate(name);
      prompt.shots = 0;
      const auto prompter = Prompter::Create(prompt, {}, loaded->rows);
      for (const Problem& problem : loaded->problems) ASSERT_TRUE(prompter->Render(problem).ok()) << info.name << " " << name;
    }
    std::printf("%s: %zu problems\n", info.name.c_str(), loaded->problems.size());
  }
}

class BadDataset : public testing::Test {
 protected:
  std::string Complaint(const std::string& name, const std::string& content, const std::string& file = "data.jsonl") {
    fs::create_directories(folder_);
    EXPECT_TRUE(WriteFileAtomically(folder_ / file, content).ok());
    const auto loaded = Load(name, folder_ / file);
    return loaded.ok() ? "" : loaded.error().message;
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::temp_directory_path() / ("moecap-bad-" + std::to_string(::getpid()));
};

TEST_F(BadDataset, NamesFileAndRow) {
  const std::string good = R"({"question":"q","answer":"#### 1"})"
                           "\n";
  EXPECT_THAT(Complaint("gsm8k", good + R"({"question":"q"})"),
              AllOf(HasSubstr("data.jsonl:2: the column \"answer\" is missing"), HasSubstr("the row has question")));
  EXPECT_THAT(Complaint("gsm8k", good + R"({"question":"q","answer":"7"})"),
              HasSubstr("data.jsonl:2: no number stands behind"));
  EXPECT_THAT(Complaint("gsm8k", good + R"({"question":["q"],"answer":"#### 7"})"), HasSubstr("\"question\" must be a text"));
  EXPECT_THAT(Complaint("gsm8k", good + "[1]\n"), HasSubstr("data.jsonl:2: the row is not a JSON object"));
  EXPECT_THAT(Complaint("math", R"({"problem":"p","level":"1","type":"t","solution":"\\boxed{5"})"),
              HasSubstr(":1: the solution has no"));
  EXPECT_THAT(Complaint("math500", R"({"problem":"p","solution":"s","answer":" ","subject":"a","level":1})"),
              HasSubstr(":1: the right answer is empty"));
  EXPECT_THAT(Complaint("aime24", R"({"problem":"p","answer":"x7"})"), HasSubstr("no whole number"));
  EXPECT_THAT(Complaint("longbench", R"({"input":"i","context":"c","dataset":"d","answers":[]})"),
              HasSubstr("answers is empty"));
}

TEST_F(BadDataset, NamesWhatIsWrongWithChoicesAndIds) {
  const std::string row = R"({"question_id":1,"question":"q","options":["a","b"],"category":"c","cot_content":"","answer":)";
  EXPECT_THAT(Complaint("mmlu-pro", row + "\"C\"}"),
              HasSubstr(":1: the right answer is \"C\", which is no letter of the 2 choices"));
  EXPECT_THAT(Complaint("mmlu-pro", row + "2}"), HasSubstr("the right answer is 2"));
  EXPECT_THAT(Complaint("mmlu-pro", row + "\"A\"}\n" + row + "\"B\"}\n"),
              AllOf(HasSubstr("data.jsonl:2: the id \"1\" was used before"), HasSubstr("data.jsonl:1")));
  EXPECT_THAT(Complaint("mmlu", "q,a,b,c,d,A\nq,a,b,c\n", "x_test.csv"),
              HasSubstr("x_test.csv:2: 4 fields, where 6 are expected"));
  EXPECT_THAT(Complaint("mmlu", "q,\"a,b\n", "x_test.csv"), HasSubstr("x_test.csv"));
}

TEST_F(BadDataset, TellsAWrongSplitAndAWrongPlace) {
  EXPECT_THAT(Load("gsm8k", kData / "gsm8k/train.jsonl").error().message, HasSubstr("this is the split train of gsm8k"));
  std::string rows;
  for (int i = 0; i < 285; ++i) rows += "q,a,b,c,d,A\n";
  EXPECT_THAT(Complaint("mmlu", rows, "all.csv"), HasSubstr("285 rows are those of the split dev of mmlu; test has 14042"));
  EXPECT_THAT(Load("gsm8k", kData / "math").error().message, HasSubstr("test.jsonl:1: the column \"question\" is missing"));
  EXPECT_THAT(Load("gsm8k", kData / "humaneval").error().message,
              AllOf(HasSubstr("looked for in"), HasSubstr("hub: openai/gsm8k")));
  EXPECT_THAT(Load("gsm8k", kData / "nowhere").error().message, HasSubstr("no such file or folder"));
  EXPECT_THAT(Load("gsm8k", {}, "tests").error().message, HasSubstr("it has test, train"));
  EXPECT_THAT(Complaint("humaneval", "x", "HumanEval.jsonl.gz"), HasSubstr("unpack it"));
  EXPECT_THAT(Complaint("longbench-v2", "{\"data\": [1]}", "data.json"), HasSubstr("data.json: row 1"));
}

TEST(SampleProblems, GivesEveryGroupItsShareAndFollowsTheSeed) {
  std::vector<Problem> problems;
  for (int i = 0; i < 100; ++i) {
    Problem problem;
    problem.id = std::to_string(i);
    problem.group = i < 60 ? "a" : i < 90 ? "b" : "c";  // grouped, as MMLU-Pro's file is
    problems.push_back(problem);
  }
  const auto counts = [](const std::vector<Problem>& sample) {
    std::map<std::string, int> count;
    for (const Problem& problem : sample) ++count[problem.group];
    return count;
  };
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto sample = SampleProblems(problems, 20, seed);
    EXPECT_EQ(counts(*sample), (std::map<std::string, int>{{"a", 12}, {"b", 6}, {"c", 2}}));
    EXPECT_EQ(Ids(*sample), Ids(*SampleProblems(problems, 20, seed)));
    // 3 of 100: 1.8, 0.9 and 0.3.
    EXPECT_EQ(counts(*SampleProblems(problems, 3, seed)), (std::map<std::string, int>{{"a", 2}, {"b", 1}}));
  }
  EXPECT_NE(Ids(*SampleProblems(problems, 20, 1)), Ids(*SampleProblems(problems, 20, 2)));
  EXPECT_THAT(SampleProblems(problems, 101, 1).error().message, HasSubstr("has 100"));
  auto all = Ids(*SampleProblems(problems, 100, 3));
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 100u);
}

TEST(LastBoxed, BalancesBraces) {
  EXPECT_EQ(LastBoxed("\\boxed{1} and \\boxed{\\frac{1}{2}}"), "\\frac{1}{2}");
  EXPECT_EQ(LastBoxed("$\\boxed 7$"), "7");
  EXPECT_EQ(LastBoxed("\\fbox{x}"), "x");
  EXPECT_EQ(LastBoxed("\\boxed{5"), "");
  EXPECT_EQ(LastBoxed("\\boxed"), "");
}

}  // namespace
}  // namespace moecap::workload
