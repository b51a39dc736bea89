// Benchmarks whose rules read more of a row than one gold, by the way that programs take: rows, contract, filter, score.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "accuracy/code_answer.h"
#include "accuracy/group_score.h"
#include "accuracy/score.h"
#include "base/fs.h"
#include "base/json.h"

namespace moecap::accuracy {
namespace {

using ::testing::HasSubstr;

const Task& Named(const char* task, const char* contract = "official") { return **FindTask(task, contract); }

std::vector<Item> ItemsOf(const Task& task, const std::vector<Json>& rows, const std::string& file = "p.jsonl") {
  std::string text;
  for (const Json& row : rows) text += DumpJson(row) + "\n";
  auto read = ParsePredictions(text, file, task, nullptr);
  EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().message);
  return read.ok() ? std::move(read->items) : std::vector<Item>();
}

std::vector<FilterScore> Scores(const Task& task, const std::vector<Json>& rows, const std::string& file = "p.jsonl") {
  return *ScoreAll(task, ItemsOf(task, rows, file), {});
}

std::string Complaint(const Task& task, const Json& row) {
  const auto read = ParsePredictions(DumpJson(row), "p.jsonl", task, nullptr);
  return read.ok() ? "" : read.error().message;
}

TEST(LongBenchContract, ScoresEachDataSetByItsMetricAndCountsThemAlike) {
  const std::vector<Json> rows{
      {{"prediction", "a grey cat"}, {"answers", {"dog", "cat"}}, {"dataset", "qasper"}},  // P = 1/2, R = 1
      {{"prediction", "dog"}, {"answers", {"dog", "cat"}}, {"dataset", "qasper"}},         // 1
      {{"prediction", "Title\nperson"}, {"answers", {"person"}}, {"dataset", "trec"}, {"all_classes", {"Title", "person"}}},
      {{"prediction", "x"}, {"answers", {"y"}}, {"dataset", "dureader"}},
      {{"prediction", nullptr}, {"answers", {"1"}}, {"dataset", "passage_count"}},
  };
  const FilterScore score = Scores(Named("longbench"), rows).front();
  ASSERT_EQ(score.parts.size(), 4u);
  EXPECT_DOUBLE_EQ(*score.parts[0].score, (2.0 / 3 + 1) / 2);
  EXPECT_DOUBLE_EQ(*score.parts[0].std_error, 1.0 / 6);
  EXPECT_EQ(score.parts[1].score, 0) << "only the first line counts";
  EXPECT_EQ(score.parts[2].score, std::nullopt) << "jieba's words";
  EXPECT_EQ(score.parts[3].score, 0) << "a failed request is wrong";
  EXPECT_DOUBLE_EQ(*score.score, 5.0 / 6 / 3);
  EXPECT_EQ(score.std_error, std::nullopt) << "of parts with one item nothing is known";
  EXPECT_EQ(score.attempted, 5);
  EXPECT_EQ(score.not_judged, 1);
  EXPECT_EQ(score.failed, 1);
  EXPECT_EQ(score.item_scores[3], std::nullopt);
  EXPECT_THAT(score.verdicts[3].reason, HasSubstr("jieba"));
}

TEST(LongBenchContract, ReadsTheOfficialFilesWhichAreNamedAfterTheDataSet) {
  const std::vector<Json> rows{{{"pred", "3 or 5"}, {"answers", {"5"}}, {"all_classes", nullptr}, {"length", 9}}};
  EXPECT_EQ(Scores(Named("longbench"), rows, "pred/m/passage_count.jsonl").front().score, 0.5);
  EXPECT_THAT(Complaint(Named("longbench"), rows[0]), HasSubstr("p.jsonl: row 1: 'dataset' is \"p\", which is no task"));
  EXPECT_THAT(Complaint(Named("longbench"), {{"prediction", "x"}, {"answers", {"y"}}, {"dataset", "trec"}}),
              HasSubstr("row 1: no field 'all_classes'"));
  EXPECT_THAT(Complaint(Named("longbench"), {{"prediction", "x"}, {"answers", {"19"}}, {"dataset", "passage_retrieval_en"}}),
              HasSubstr("names no paragraph"));
  EXPECT_THAT(Complaint(Named("longbench"), {{"prediction", "x"}, {"answers", Json::array()}, {"dataset", "qasper"}}),
              HasSubstr("there is no gold answer"));
}

TEST(LongBenchContract, V2HasACompensatedScoreAndIsShownApart) {
  const auto row = [](const char* reply, const char* difficulty) {
    return Json{{"prediction", reply}, {"gold", "A"}, {"difficulty", difficulty}, {"length", "short"}};
  };
  const auto scores = Scores(Named("longbench_v2"), {row("The correct answer is (A)", "easy"),
                                                     row("The correct answer is (B)", "hard"), row("I do not know", "hard")});
  EXPECT_DOUBLE_EQ(*scores[0].score, 1.0 / 3);
  EXPECT_DOUBLE_EQ(*scores[1].score, 1.25 / 3);
  EXPECT_EQ(scores[1].no_answer, 1);
  ASSERT_EQ(scores[0].parts.size(), 3u);
  EXPECT_EQ(scores[0].parts[0].value, "easy");
  EXPECT_EQ(scores[0].parts[1].trait, "length");
  EXPECT_EQ(scores[1].parts[2].score, 0.125);
}

TEST(RulerContract, AnyOutputCountsInQuestionsAndTheHarnessTakesTheShare) {
  const auto row = [](const char* task) {
    return Json{{"prediction", "it is Seven"}, {"outputs", {"seven", "eight"}}, {"task", task}};
  };
  EXPECT_EQ(Scores(Named("ruler"), {row("niah_multivalue"), row("qa_1")}).front().score, 0.75);
  const FilterScore harness = Scores(Named("ruler", "lm-eval"), {row("niah_multivalue"), row("qa_1")}).front();
  EXPECT_EQ(harness.score, 0.5);
  EXPECT_EQ(harness.verdicts[0].extracted, "1 of 2");
  EXPECT_THAT(Complaint(Named("ruler"), row("qa_3")), HasSubstr("\"qa_3\", which is no task of RULER; it has niah_single_1"));
}

Json Instructed(const char* reply, std::vector<std::string> ids, Json arguments) {
  return {{"prediction", reply}, {"instruction_id_list", std::move(ids)}, {"kwargs", std::move(arguments)}};
}

TEST(IfevalContract, CountsPromptsAndInstructionsStrictlyAndLoosely) {
  const std::vector<Json> rows{
      Instructed("Sure:\nno marks", {"punctuation:no_comma", "change_case:english_lowercase"},
                 {Json::object(), Json::object()}),
      Instructed("a, b", {"punctuation:no_comma"}, {Json::object()}),
      Instructed("", {"punctuation:no_comma"}, {Json::object()}),
  };
  const auto scores = Scores(Named("ifeval", "lm-eval"), rows);
  ASSERT_EQ(scores.size(), 4u);
  EXPECT_DOUBLE_EQ(*scores[0].score, 0) << "Sure has a capital";
  EXPECT_DOUBLE_EQ(*scores[1].score, 1.0 / 4) << "of four instructions";
  EXPECT_EQ(scores[0].no_answer, 1);
  EXPECT_EQ(scores[1].verdicts[0].extracted, "1 of 2; not change_case:english_lowercase");
  // sqrt(3/2 ((2 (1/2 - 1/4))^2 + 2 (1/4)^2)) / 4
  EXPECT_DOUBLE_EQ(*scores[1].std_error, std::sqrt(1.5 * (0.25 + 0.125)) / 4);
}

TEST(IfevalContract, AFailedRequestHasFollowedNoneOfItsInstructions) {
  Json failed = Instructed("", {"punctuation:no_comma", "punctuation:no_comma", "punctuation:no_comma"},
                           {Json::object(), Json::object(), Json::object()});
  failed["prediction"] = nullptr;
  const auto scores = Scores(Named("ifeval"), {failed, Instructed("good", {"punctuation:no_comma"}, {Json::object()})});
  EXPECT_EQ(scores[0].score, 0.5);
  EXPECT_EQ(scores[1].score, 0.25) << "three of four";
  EXPECT_EQ(scores[1].failed, 1);
}

TEST(IfevalContract, WhatHangsOnAModelIsNeitherRightNorWrong) {
  const auto scores = Scores(
      Named("ifeval", "lm-eval"),
      {Instructed("xq", {"language:response_language", "punctuation:no_comma"}, {{{"language", "en"}}, Json::object()})});
  EXPECT_EQ(scores[0].not_judged, 1);
  EXPECT_EQ(scores[0].score, std::nullopt);
  EXPECT_EQ(scores[1].score, 1) << "the one that is judged is followed";
  EXPECT_EQ(scores[1].verdicts[0].parts, 1);
  EXPECT_FALSE(scores[1].verdicts[0].reason.empty()) << "of the other";
  EXPECT_THAT(Complaint(Named("ifeval"), Instructed("x", {"punctuation:none"}, {Json::object()})),
              HasSubstr("row 1: IFEval has no instruction 'punctuation:none'"));
  EXPECT_THAT(Complaint(Named("ifeval"), Instructed("x", {"punctuation:no_comma"}, Json::array())),
              HasSubstr("the same length"));
  EXPECT_THAT(Complaint(Named("ifeval"), {{"prediction", "x"}}), HasSubstr("no fields instruction_id_list kwargs"));
}

TEST(IfevalContract, ComparesWithTheSamplesOfTheHarness) {
  const Json doc = Instructed("", {"punctuation:no_comma"}, {Json::object()});
  const Json row{{"doc_id", 0},
                 {"doc", doc},
                 {"target", 0},
                 {"resps", {{"a, b"}}},
                 {"filter", "none"},
                 {"prompt_level_strict_acc", false},
                 {"inst_level_strict_acc", {false}},
                 {"prompt_level_loose_acc", true}};
  const auto scores = Scores(Named("ifeval", "lm-eval"), {row});
  EXPECT_EQ(scores[0].recorded_equal, 1);
  EXPECT_EQ(scores[1].recorded_equal, 1);
  EXPECT_EQ(scores[2].recorded, 1);
  EXPECT_EQ(scores[2].recorded_equal, 0);
}

Json Sample(const char* completion) {
  return {{"task_id", "t/0"},
          {"completion", completion},
          {"prompt", "def f():\n"},
          {"test", "def check(f):\n    f()"},
          {"entry_point", "f"}};
}

TEST(HumanEvalContract, SamplesOfAProblemGivePassAtK) {
  const Task& task = Named("humaneval");
  const auto items = ItemsOf(task, {Sample("    good"), Sample("    bad"), Sample("    bad"), Sample(" ")});
  ASSERT_EQ(items.size(), 1u);
  ScoreOptions options;
  options.k = {1, 3};
  int runs = 0;
  options.run = [&](const std::string& program) -> Result<bool> {
    ++runs;
    return program.find("good") != std::string::npos;
  };
  const auto scores = *ScoreAll(task, items, options);
  EXPECT_EQ(scores[0].name, "completion pass@1");
  EXPECT_EQ(scores[0].score, 0.25);
  EXPECT_EQ(scores[1].name, "completion pass@3");
  EXPECT_DOUBLE_EQ(*scores[1].score, PassAtK(4, 1, 3));
  EXPECT_EQ(runs, 3 + 3) << "under two filters; a blank one is not run, and nothing twice";
  options.k = {5};
  EXPECT_THAT(ScoreAll(task, items, options).error().message, HasSubstr("row 1: pass@5 needs 5 samples a problem"));
  options.k = {1};
  options.run = [](const std::string&) -> Result<bool> { return Failed("no sandbox"); };
  EXPECT_EQ(ScoreAll(task, items, options).error().message, "no sandbox");
}

TEST(HumanEvalContract, EachFilterCutsItsOwnWay) {
  const auto text = [](const char* task, const char* contract, size_t filter, const char* reply) {
    const auto items = ItemsOf(Named(task, contract), {Sample(reply)});
    return Score(Named(task, contract).filters[filter], reply, items[0].reference).extracted.value_or("none");
  };
  EXPECT_EQ(text("humaneval", "lm-eval", 0, "    return 1\nprint(2)"), "    return 1");
  EXPECT_EQ(text("humaneval_instruct", "lm-eval", 0, "    return 1\n```\nDone"), "    return 1\n");
  EXPECT_EQ(text("humaneval", "official", 0, "    return 1\nprint(2)"), "    return 1\nprint(2)");
  EXPECT_EQ(text("humaneval", "official", 1, "Here:\n```python\ndef f():\n    return 1\n```"), "    return 1\n");
}

TEST(GroupScores, MeansOfItemsAndOfParts) {
  const std::vector<ItemScore> items{{1, 1, "a"}, {0, 1, "a"}, {0.5, 1, "b"}, {0.5, 1, "b"}};
  EXPECT_DOUBLE_EQ(MeanOfItems(items)->mean, 0.5);
  EXPECT_DOUBLE_EQ(*MeanOfItems(items)->std_error, std::sqrt(0.5 / 3) / 2);
  EXPECT_DOUBLE_EQ(MeanOfParts(items)->mean, 0.5);
  EXPECT_DOUBLE_EQ(*MeanOfParts(items)->std_error, 0.5 / 2) << "a has 0.5, b none";
  EXPECT_FALSE(MeanOfParts({}).has_value());
}

std::filesystem::path Oracle(const char* file) { return std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/oracles" / file; }

// The oracle's file itself, read as predictions.
TEST(BenchmarkOracles, LongBenchThroughTheContract) {
  if (!std::filesystem::exists(Oracle("longbench_cases.jsonl"))) GTEST_SKIP() << "no oracle file";
  std::vector<Json> rows;
  for (const std::string& line : *ReadLines(Oracle("longbench_cases.jsonl"))) rows.push_back(*ParseJson(line));
  const FilterScore score = Scores(Named("longbench"), rows).front();
  ASSERT_EQ(score.item_scores.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_DOUBLE_EQ(score.item_scores[i].value(), rows[i]["score"].get<double>()) << rows[i];
  EXPECT_GT(rows.size(), 200u);
}

TEST(BenchmarkOracles, RulerThroughTheContracts) {
  if (!std::filesystem::exists(Oracle("metrics_cases.jsonl"))) GTEST_SKIP() << "no oracle file";
  int cases = 0;
  for (const std::string& line : *ReadLines(Oracle("metrics_cases.jsonl"))) {
    Json row = *ParseJson(line);
    if (row["kind"] != "ruler") continue;
    for (const auto& [task, key] : {std::pair{"niah_single_1", "string_match_all"}, std::pair{"qa_2", "string_match_part"}}) {
      row["task"] = task;
      EXPECT_NEAR(100 * *Scores(Named("ruler"), {row}).front().score, row[key].get<double>(), 0.005)
          << "rounded there: " << row;
    }
    EXPECT_NEAR(100 * *Scores(Named("ruler", "lm-eval"), {row}).front().score, row["string_match_all"].get<double>(), 0.005);
    ++cases;
  }
  EXPECT_GT(cases, 3);
}

TEST(BenchmarkOracles, LongBenchV2ThroughTheContract) {
  if (!std::filesystem::exists(Oracle("answer_cases.jsonl"))) GTEST_SKIP() << "no oracle file";
  int cases = 0;
  for (const std::string& line : *ReadLines(Oracle("answer_cases.jsonl"))) {
    const Json row = *ParseJson(line);
    if (row["task"] != "longbench_v2" || row["filter"] != "extract_answer") continue;
    EXPECT_EQ(Scores(Named("longbench_v2"), {row}).front().score == 1, row["verdict"].get<bool>()) << row;
    ++cases;
  }
  EXPECT_GE(cases, 5);
}

}  // namespace
}  // namespace moecap::accuracy
