#include "accuracy/arena_judging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"

namespace moecap::accuracy {
namespace {

using ::testing::HasSubstr;

TEST(ArenaAnswers, ReadsTheBenchmarksFormAndOurs) {
  const auto answers = ParseArenaAnswers(
      R"({"uid":"a","messages":[{"role":"user","content":"q"},{"role":"assistant","content":{"answer":"long"}}],"metadata":{"token_len":7}})"
      "\n"
      R"({"uid":"b","messages":[{"role":"assistant","content":"short"}]})"
      "\n"
      R"({"id":"c","text":"<think>hm</think>\nyes"})"
      "\n"
      R"({"id":"d","prediction":null})"
      "\n",
      "x.jsonl");
  ASSERT_TRUE(answers.ok()) << answers.error().message;
  ASSERT_EQ(answers->size(), 4u);
  EXPECT_EQ((*answers)[0].text, "long");
  EXPECT_EQ((*answers)[0].tokens, 7);
  EXPECT_EQ((*answers)[1].text, "short");
  EXPECT_EQ((*answers)[2].text, "yes") << "a judge sees no reasoning";
  EXPECT_EQ((*answers)[3].text, std::nullopt);
  const auto complaint = [](const char* text) { return ParseArenaAnswers(text, "x.jsonl").error().message; };
  EXPECT_THAT(complaint("{\"uid\":\"a\",\"text\":\"\"}\n{\"uid\":\"a\",\"text\":\"\"}"),
              HasSubstr("x.jsonl: row 2: the answer to 'a' stands twice"));
  EXPECT_THAT(complaint("{\"text\":\"\"}"), HasSubstr("row 1: no field 'uid' or 'id'"));
  EXPECT_THAT(complaint("{\"uid\":\"a\"}"), HasSubstr("row 1: no field 'messages', 'prediction' or 'text'"));
  EXPECT_THAT(complaint("\n{"), HasSubstr("row 2"));
  EXPECT_THAT(complaint(""), HasSubstr("no rows"));
}

TEST(Judgements, ALineThatWasNotFinishedIsLeftOut) {
  const Judgement judgement{"a", 1, "A>B", "I say [[A>B]]\nso", "m", "00ff", 11, 5};
  const std::string line = JudgementLine(judgement);
  const auto file = ParseJudgements(line + line.substr(0, 20), "j.jsonl");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->whole_bytes, line.size());
  ASSERT_EQ(file->judgements.size(), 1u);
  const Judgement& read = file->judgements[0];
  EXPECT_EQ(read.uid, "a");
  EXPECT_EQ(read.round, 1);
  EXPECT_EQ(read.verdict, "A>B");
  EXPECT_EQ(read.text, judgement.text);
  EXPECT_EQ(read.shown, "00ff");
  EXPECT_EQ(read.input_tokens, 11);
  EXPECT_EQ(read.output_tokens, 5);
  EXPECT_THAT(ParseJudgements("{\"uid\":\"a\"}\n", "j.jsonl").error().message, HasSubstr("j.jsonl: row 1: no text 'judge'"));
  EXPECT_THAT(ParseJudgements(R"({"uid":"a","judge":"m","shown":"","judgement":"","round":2})"
                              "\n",
                              "j.jsonl")
                  .error()
                  .message,
              HasSubstr("'round' must be 0 or 1"));
}

ArenaPair Pair(const char* uid, const char* category, std::optional<std::string> answer) {
  return {uid, category, {uid, std::move(answer), 10, 1}, {uid, "base", 10, 1}};
}
Judgement Said(const char* uid, int round, const char* text) { return {uid, round, std::nullopt, text, "m", "", 0, 0}; }

TEST(ScoreArena, PoolsBattlesByCategory) {
  const std::vector<ArenaPair> pairs{Pair("a", "hard", "x"), Pair("b", "hard", "y"), Pair("c", "soft", "z"),
                                     Pair("d", "hard", std::nullopt)};
  const std::vector<Judgement> judgements{
      Said("a", 0, "[[B>>A]]"), Said("a", 1, "[[A>B]]"),                              // 1, 1 1 1
      Said("b", 0, "[[A=B]]"),  Said("c", 0, "[[A>B]]"), Said("c", 1, "no verdict"),  // both dropped
      Said("c", 1, "[[A>B]]"),                                                        // asked again: 0, 1
  };
  const auto results = ScoreArena(pairs, judgements, {});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].category, "hard");
  EXPECT_EQ(results[0].questions, 3);
  EXPECT_EQ(results[0].dropped, 1);
  EXPECT_EQ(results[0].lost, 1);
  EXPECT_EQ(results[0].battles, 4 + 6) << "a failed answer loses decisively in both rounds";
  EXPECT_NEAR(results[0].score->win_rate, 0.4, 0.1);
  EXPECT_EQ(results[1].battles, 2);
  EXPECT_DOUBLE_EQ(*results[1].moe_cap, 0.5);
  EXPECT_FALSE(results[0].tokens_are_estimated);
  EXPECT_TRUE(results[0].styled.has_value());
  EXPECT_FALSE(ScoreArena(pairs, {}, {})[1].score.has_value());
}

// The oracle's judgements as the lines of a file, read and scored.
TEST(ScoreArena, AgreesWithTheReferenceOnEveryOracleCase) {
  const std::filesystem::path file = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/oracles/arena_hard_cases.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no oracle file";
  int cases = 0;
  for (const std::string& line : *ReadLines(file)) {
    const Json row = *ParseJson(line);
    if (row["kind"] != "battles") continue;
    std::vector<ArenaPair> pairs;
    std::string lines;
    for (const Json& games : row["games"]) {
      const std::string uid = std::to_string(pairs.size());
      pairs.push_back(Pair(uid.c_str(), "c", "answer"));
      for (int round = 0; round < kArenaRounds; ++round) {
        const Json& label = games[static_cast<size_t>(round)];
        const std::string said = label.is_string() ? "[[" + label.get<std::string>() + "]]" : "nothing";
        lines += JudgementLine({uid, round, std::nullopt, said, "m", "", 0, 0});
      }
    }
    const ArenaResult result = ScoreArena(pairs, ParseJudgements(lines, "j")->judgements, {.rounds = 4000, .seed = 1}).front();
    EXPECT_EQ(result.battles, static_cast<int64_t>(row["scores"].size())) << row;
    EXPECT_EQ(result.dropped, row["dropped"].get<int64_t>()) << row;
    EXPECT_NEAR(result.score->win_rate, row["mean"].get<double>(), 0.02) << row;
    EXPECT_DOUBLE_EQ(*result.moe_cap, row["moe_cap_win_rate"].get<double>()) << row;
    ++cases;
  }
  EXPECT_GE(cases, 3);
}

}  // namespace
}  // namespace moecap::accuracy
