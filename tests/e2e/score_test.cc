// `moecap score` as its users run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap {
namespace {

using ::testing::HasSubstr;

class ScoreTest : public testing::Test {
 protected:
  void Write(const char* name, const std::string& text) { std::ofstream(dir_.path() / name) << text; }
  e2e::Outcome Score(const std::string& arguments) { return e2e::ShellProgram(dir_.path(), "score " + arguments); }
  Json ScoreJson(const std::string& arguments) {
    const e2e::Outcome outcome = Score(arguments + " --json");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return *ParseJson(outcome.out);
  }
  std::string Refused(const std::string& arguments) {
    const e2e::Outcome outcome = Score(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  }

  TempDir dir_;
};

constexpr const char* kPlain = R"({"id": "a", "prediction": "3 + 4 = 7\n#### 7", "gold": "7"})"
                               "\n"
                               R"({"id": "b", "prediction": "It is 12.", "gold": "3 x 4\n#### 12"})"
                               "\n"
                               R"({"id": "c", "prediction": "I cannot say", "gold": 5})"
                               "\n"
                               R"({"id": "d", "prediction": null, "gold": "9"})"
                               "\n";

TEST_F(ScoreTest, CountsEveryItemOnceUnderEachFilter) {
  Write("p.jsonl", kPlain);
  const Json json = ScoreJson("--task gsm8k --contract lm-eval p.jsonl --items items.jsonl");
  EXPECT_EQ(json["form"], "plain JSONL");
  const Json& strict = json["filters"][0];
  const Json& flexible = json["filters"][1];
  EXPECT_EQ(strict["filter"], "strict-match");
  EXPECT_EQ(strict["score"], 0.25);
  EXPECT_EQ(strict["no_answer"], 2);
  EXPECT_EQ(flexible["score"], 0.5);
  EXPECT_EQ(flexible["answered"], 2);
  for (const Json& filter : json["filters"]) {
    EXPECT_EQ(filter["attempted"], 4);
    EXPECT_EQ(filter["failed"], 1);
  }
  // sqrt(sum (x - mean)^2 / 3) / sqrt(4) of one and of two right ones of four.
  EXPECT_DOUBLE_EQ(strict["std_error"], 0.25);
  EXPECT_DOUBLE_EQ(flexible["std_error"], std::sqrt(1.0 / 3) / 2);
  const auto items = *ReadLines(dir_.path() / "items.jsonl");
  ASSERT_EQ(items.size(), 4u);
  const Json first = *ParseJson(items[0]), last = *ParseJson(items[3]);
  EXPECT_EQ(first["filters"]["strict-match"]["extracted"], "7");
  EXPECT_EQ(last["failed"], true);
  EXPECT_TRUE(last["filters"]["strict-match"]["extracted"].is_null());
}

TEST_F(ScoreTest, ReadsTheHarnessSamplesOnceADocument) {
  const auto row = [](int id, const char* filter, const char* reply, const char* target, int score) {
    return DumpJson({{"doc_id", id},
                     {"doc", {{"question", "?"}}},
                     {"target", target},
                     {"resps", {{reply}}},
                     {"filter", filter},
                     {"exact_match", score}}) +
           "\n";
  };
  Write("samples.jsonl", row(0, "strict-match", "#### 3", "#### 3", 1) + row(1, "strict-match", "4", "#### 4", 0) +
                             row(0, "flexible-extract", "#### 3", "#### 3", 1) + row(1, "flexible-extract", "4", "#### 4", 0));
  const Json json = ScoreJson("--task gsm8k samples.jsonl");
  EXPECT_EQ(json["items"], 2);
  EXPECT_EQ(json["filters"][0]["score"], 0.5);
  EXPECT_EQ(json["filters"][1]["score"], 1.0);
  EXPECT_EQ(json["filters"][0]["recorded"]["equal"], 2);
  EXPECT_EQ(json["filters"][1]["recorded"]["equal"], 1) << "the file gave a score that its own rule does not give";
}

TEST_F(ScoreTest, ReadsUpstreamFilesWithTheGoldOfTheDataSet) {
  Write("output_data.jsonl", R"({"index": 1, "output_tokens": "#### 5", "success": true})"
                             "\n"
                             R"({"index": 0, "output_tokens": "", "success": false, "error": "timeout"})"
                             "\n");
  Write("test.jsonl", R"({"question": "?", "answer": "1+1\n#### 2"})"
                      "\n"
                      R"({"question": "?", "answer": "2+3\n#### 5"})"
                      "\n");
  const Json json = ScoreJson("--task gsm8k --contract moe-cap output_data.jsonl --gold test.jsonl");
  EXPECT_EQ(json["filters"][0]["score"], 0.5);
  EXPECT_EQ(json["filters"][0]["failed"], 1);
  Write("plain.jsonl", "{\"prediction\": \"#### 2\"}\n{\"prediction\": \"#### 5\"}\n");
  EXPECT_EQ(ScoreJson("--task gsm8k plain.jsonl --gold test.jsonl")["filters"][0]["score"], 1.0) << "row by row";
  Write("ids.jsonl", "{\"id\": \"x\", \"answer\": \"5\"}\n{\"id\": \"y\", \"answer\": \"2\"}\n");
  Write("plain.jsonl", "{\"id\": \"y\", \"prediction\": \"#### 2\"}\n");
  EXPECT_EQ(ScoreJson("--task gsm8k plain.jsonl --gold ids.jsonl")["filters"][0]["score"], 1.0) << "by id";
  EXPECT_THAT(Refused("--task gsm8k output_data.jsonl"), HasSubstr("output_data.jsonl: row 1: no field 'gold'"));
}

TEST_F(ScoreTest, ComparesTwoSystemsOnTheSameItems) {
  std::string first, second;
  for (int i = 0; i < 10; ++i) {
    const auto row = [&](bool right) {
      return DumpJson({{"id", i}, {"prediction", right ? "#### 1" : "#### 2"}, {"gold", "1"}}) + "\n";
    };
    first += row(i < 8);
    if (i < 9) second += row(i < 2);
  }
  Write("first.jsonl", first);
  Write("second.jsonl", second);
  const Json json = ScoreJson("--task gsm8k first.jsonl --against second.jsonl");
  const Json& pair = json["against"]["filters"][0];
  EXPECT_EQ(json["against"]["only_first"], 1);
  EXPECT_EQ(pair["items"], 9);
  EXPECT_EQ(pair["first_only"], 6);
  EXPECT_EQ(pair["second_only"], 0);
  EXPECT_DOUBLE_EQ(pair["p_value"], 2.0 / 64) << "McNemar: six of six on one side";
  const e2e::Outcome text = Score("--task gsm8k first.jsonl --against second.jsonl");
  EXPECT_THAT(text.out, HasSubstr("+66.67"));
}

TEST_F(ScoreTest, NamesFileAndRowOfBadInput) {
  Write("p.jsonl", "{\"prediction\": \"#### 1\", \"gold\": \"1\"}\n{\"gold\": \"1\"}\n");
  EXPECT_THAT(Refused("--task gsm8k p.jsonl"), HasSubstr("p.jsonl: row 2: no field 'prediction'"));
  Write("p.jsonl", "{\"prediction\": \"#### 1\", \"gold\": \"\"}\n");
  EXPECT_THAT(Refused("--task gsm8k p.jsonl"), HasSubstr("p.jsonl: row 1: the gold answer is empty"));
  Write("p.jsonl", "{\"prediction\": \"#### 1\", \"gold\": \"many\"}\n");
  EXPECT_THAT(Refused("--task gsm8k p.jsonl"), HasSubstr("row 1: the gold answer 'many' is no number"));
  Write("p.jsonl",
        "{\"id\": 3, \"prediction\": \"A\", \"gold\": \"A\"}\n\n{\"id\": 3, \"prediction\": \"B\", \"gold\": \"A\"}\n");
  EXPECT_THAT(Refused("--task mmlu p.jsonl"), HasSubstr("p.jsonl: row 3: id '3' was in row 1 already"));
  EXPECT_THAT(Refused("--task gpqa p.jsonl"), HasSubstr("row 1: no choices"));
  Write("p.jsonl", "{\"prediction\": \"K\", \"gold\": \"K\"}\n");
  EXPECT_THAT(Refused("--task mmlu_pro p.jsonl"), HasSubstr("none of the letters ABCDEFGHIJ"));
  Write("p.jsonl", "[1]\n");
  EXPECT_THAT(Refused("--task gsm8k p.jsonl"), HasSubstr("row 1: must be a JSON object"));
  Write("p.jsonl", "\n");
  EXPECT_THAT(Refused("--task gsm8k p.jsonl"), HasSubstr("p.jsonl: no rows"));
  EXPECT_THAT(Refused("--task gsm9k p.jsonl"), HasSubstr("did you mean gsm8k?"));
  EXPECT_THAT(Refused("--task gsm8k --contract mlperf p.jsonl"), HasSubstr("contract mlperf has no rule for task 'gsm8k'"));
  EXPECT_THAT(Refused("--task gsm8k --contract lmeval p.jsonl"), HasSubstr("did you mean lm-eval?"));
  EXPECT_THAT(Refused("--task gsm8k"), HasSubstr("--list"));
}

TEST_F(ScoreTest, AnEmptyReplyCountsAndIsNamed) {
  Write("p.jsonl", "{\"prediction\": \"#### 1\", \"gold\": \"1\"}\n{\"prediction\": \" \", \"gold\": \"1\"}\n");
  const e2e::Outcome outcome = Score("--task gsm8k p.jsonl");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("p.jsonl: row 2: the reply is empty"));
  EXPECT_THAT(outcome.out, HasSubstr("50.00"));
}

TEST_F(ScoreTest, LongBenchIsTheMeanOverItsDataSets) {
  Write("p.jsonl", R"({"prediction": "the cat", "answers": ["cat"], "dataset": "qasper"})"
                   "\n"
                   R"({"prediction": "5", "answers": ["5"], "dataset": "passage_count"})"
                   "\n"
                   R"({"prediction": "4", "answers": ["5"], "dataset": "passage_count"})"
                   "\n");
  const Json json = ScoreJson("--task longbench --contract official p.jsonl --items items.jsonl");
  EXPECT_EQ(ScoreJson("--task longbench p.jsonl")["contract"], "lm-eval") << "the first that has the task";
  const Json& score = json["filters"][0];
  EXPECT_EQ(score["score"], 0.75);
  EXPECT_EQ(score["parts"][1]["value"], "passage_count");
  EXPECT_EQ(score["parts"][1]["score"], 0.5);
  EXPECT_EQ((*ParseJson((*ReadLines(dir_.path() / "items.jsonl"))[2]))["filters"]["metric-of-task"]["score"], 0.0);
  const e2e::Outcome shown = Score("--task longbench --contract official p.jsonl");
  EXPECT_THAT(shown.out, HasSubstr("dataset passage_count"));
  EXPECT_THAT(shown.out, HasSubstr("mean over these parts"));
}

TEST_F(ScoreTest, TheDataSetSaysWhatIsRight) {
  const std::string data = std::string(MOECAP_SOURCE_DIR) + "/src/workload/testing/datasets/";
  Write("ifeval.jsonl", "{\"key\": 1, \"response\": \"one two three\"}\n");
  const Json ifeval = ScoreJson("--dataset ifeval --path " + data + "ifeval ifeval.jsonl");
  EXPECT_EQ(ifeval["task"], "ifeval");
  ASSERT_EQ(ifeval["filters"].size(), 4u);
  for (const Json& filter : ifeval["filters"]) EXPECT_EQ(filter["score"], 1.0);
  Write("trec.jsonl", "{\"id\": \"t1\", \"text\": \"Individual\\nCity\"}\n");
  const Json trec = ScoreJson("--dataset longbench --contract official --path " + data + "longbench trec.jsonl");
  EXPECT_EQ(trec["filters"][0]["score"], 1.0) << "its classes come with the data set; a run's answers.jsonl has id and text";
  Write("none.jsonl", "{\"id\": \"t9\", \"text\": \"x\"}\n");
  EXPECT_THAT(Refused("--dataset longbench --path " + data + "longbench none.jsonl"),
              HasSubstr("none.jsonl: row 1: id 't9' is not among"));
  EXPECT_THAT(Refused("--task arena-hard none.jsonl"), HasSubstr("moecap judge"));
}

// Where the system allows no sandbox, the program says so instead of scoring.
TEST_F(ScoreTest, ProgramsAreRunInTheSandboxWhenThatIsAskedFor) {
  const std::string data = std::string(MOECAP_SOURCE_DIR) + "/src/workload/testing/datasets/humaneval";
  Write("s.jsonl", R"({"task_id": "Own/0", "completion": "    return 1\n"})"
                   "\n"
                   R"({"task_id": "Own/0", "completion": "    return 2\n"})"
                   "\n"
                   R"({"task_id": "Own/0", "completion": "    raise SystemExit(0)\n"})"
                   "\n");
  const std::string score = "--dataset humaneval --contract official --path " + data + " s.jsonl";
  EXPECT_THAT(Refused(score), HasSubstr("allow it with --run-code"));
  EXPECT_THAT(Refused("--task gsm8k --run-code s.jsonl"), HasSubstr("runs nothing"));
  const e2e::Outcome outcome = Score(score + " --run-code --k 1,2 --json");
  if (outcome.exit_code != 0) {
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("the programs in the answers cannot be run here"));
    GTEST_SKIP() << outcome.err;
  }
  const Json json = *ParseJson(outcome.out);
  EXPECT_EQ(json["items"], 1);
  EXPECT_EQ(json["filters"][0]["filter"], "completion pass@1");
  EXPECT_DOUBLE_EQ(json["filters"][0]["score"].get<double>(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(json["filters"][1]["score"].get<double>(), 2.0 / 3);
  EXPECT_THAT(Refused(score + " --run-code --k 4"), HasSubstr("s.jsonl: row 1: pass@4 needs 4 samples a problem"));
}

}  // namespace
}  // namespace moecap
