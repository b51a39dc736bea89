#include "accuracy/arena_hard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "accuracy/bradley_terry.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"

namespace moecap::accuracy {
namespace {

std::vector<ArenaQuestion> Questions(const Json& games) {
  std::vector<ArenaQuestion> questions;
  for (const Json& pair : games) {
    ArenaQuestion& question = questions.emplace_back();
    for (size_t round = 0; round < 2; ++round) {
      if (pair[round].is_string()) question.verdicts[round] = pair[round].get<std::string>();
    }
  }
  return questions;
}

TEST(ArenaVerdict, TakesTheLastOfTheStrongestForm) {
  EXPECT_EQ(ArenaVerdict("first [[A>B]], then [[b>>a]]"), "B>>A");
  EXPECT_EQ(ArenaVerdict("[[A>B]] but [B>A]"), "A>B");
  EXPECT_EQ(ArenaVerdict("only [A=B]"), "A=B");
  EXPECT_EQ(ArenaVerdict("[[[A>B]]]"), "A>B");
  EXPECT_EQ(ArenaVerdict("[[A> B]]"), std::nullopt);
  EXPECT_EQ(ArenaVerdict("[[A>B]] finally [[AB]]"), std::nullopt) << "no verdict of the table";
  EXPECT_EQ(ArenaVerdict(""), std::nullopt);
  EXPECT_EQ(MoeCapVerdict("first [[A>B]], then [[B>>A]]"), "A>B");
  EXPECT_EQ(MoeCapVerdict("[[AB]] [[a>b]] [[B==A]]"), "B==A");
}

TEST(ArenaGames, PairUpAndResume) {
  const std::vector<ArenaGame> games{
      {"q1", 0, "A>B"}, {"q2", 0, std::nullopt}, {"q1", 1, "B>A"}, {"q2", 1, "A=B"}, {"q2", 0, "A>>B"}};
  const std::vector<ArenaQuestion> questions = PairGames(games);
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[1].verdicts[0], "A>>B") << "the last of a game counts";
  const std::vector<std::string> uids{"q3", "q1", "q2"};
  const std::vector<ArenaGame> pending = PendingGames(uids, std::span(games).first(4));
  ASSERT_EQ(pending.size(), 3u);
  EXPECT_EQ(pending[0].uid + std::to_string(pending[0].round), "q30");
  EXPECT_EQ(pending[1].uid + std::to_string(pending[1].round), "q31");
  EXPECT_EQ(pending[2].uid + std::to_string(pending[2].round), "q20") << "a game without a verdict is judged again";
}

TEST(ArenaBattles, ADecisiveVerdictCountsThreeTimes) {
  const ArenaBattles battles = BattlesOf(Questions(Json::parse(R"([["B>A","B>>A"],["A>B",null],["A=B","A<<B"]])")));
  EXPECT_EQ(battles.outcomes, (std::vector<double>{0, 0, 0, 1, 0, 0, 0, 0.5}));
  EXPECT_EQ(battles.question, (std::vector<size_t>{0, 0, 0, 0, 2, 2, 2, 2}));
  EXPECT_EQ(battles.dropped, 1);
}

TEST(ArenaBootstrap, SurroundsTheMean) {
  std::vector<double> outcomes(400, 0.0);
  std::fill_n(outcomes.begin(), 300, 1.0);
  const ArenaScore score = BootstrapMean(outcomes, {.rounds = 1000, .seed = 3}).value();
  EXPECT_NEAR(score.win_rate, 0.75, 0.005);
  // 1.645 standard errors of sqrt(0.75 * 0.25 / 400) = 0.0217.
  EXPECT_NEAR(score.low, 0.75 - 0.0356, 0.006);
  EXPECT_NEAR(score.high, 0.75 + 0.0356, 0.006);
  const ArenaScore again = BootstrapMean(outcomes, {.rounds = 1000, .seed = 3}).value();
  EXPECT_EQ(again.low, score.low) << "fixed by its seed";
  EXPECT_FALSE(BootstrapMean({}, {}).has_value());
}

TEST(BradleyTerry, OfOnePlayerIsTheMean) {
  const Battles battles{{0, 0, 0, 0}, {1, 1, 0.5, 0}, {}, 0};
  EXPECT_NEAR(WinRate(FitBradleyTerry(battles, 1).strength[0]), 0.625, 1e-8);
  const std::vector<double> weights{1, 0, 0, 3};
  EXPECT_NEAR(WinRate(FitBradleyTerry(battles, 1, weights).strength[0]), 0.25, 1e-8);
}

TEST(BradleyTerry, PlayersAndFeaturesAreToldApart) {
  // By the law itself, with the expected share as outcome: the fit must give the strengths and influences back.
  Battles battles;
  battles.feature_count = 2;
  Rng rng(5);
  const std::vector<double> strength{0.7, -1.2}, influence{0.5, -0.3};
  for (size_t i = 0; i < 200; ++i) {
    const std::vector<double> features{rng.Uniform() - 0.5, 4 * rng.Uniform()};
    battles.player.push_back(i % 2);
    battles.outcome.push_back(WinRate(strength[i % 2] + influence[0] * features[0] + influence[1] * features[1]));
    battles.features.insert(battles.features.end(), features.begin(), features.end());
  }
  const BradleyTerryFit fit = FitBradleyTerry(battles, 2);
  EXPECT_NEAR(fit.strength[0], 0.7, 1e-5);
  EXPECT_NEAR(fit.strength[1], -1.2, 1e-5);
  EXPECT_NEAR(fit.influence[0], 0.5, 1e-5);
  EXPECT_NEAR(fit.influence[1], -0.3, 1e-5);
}

TEST(BradleyTerry, WhoAlwaysWinsStaysFinite) {
  const Battles battles{{0, 0}, {1, 1}, {}, 0};
  const double strength = FitBradleyTerry(battles, 1).strength[0];
  EXPECT_LE(strength, kMostStrength);
  EXPECT_GT(WinRate(strength), 0.999);
}

TEST(MarkdownStyle, CountsOutsideFences) {
  const AnswerStyle style =
      MarkdownStyle("# One\n\n####### seven\n## Two\n\n- a\n  * b\n12. c\n1.5\n**x** __y__ **\n```\n# code\n- d\n```\n");
  EXPECT_EQ(style.headers, 2);
  EXPECT_EQ(style.lists, 3);
  EXPECT_EQ(style.bolds, 2);
}

TEST(StyleControl, TakesLengthOutOfTheScore) {
  // Longer answers win always, others never, and length is all there is: at equal length it is a draw.
  std::vector<ArenaQuestion> questions(40);
  std::vector<AnswerStyle> model, baseline;
  for (size_t i = 0; i < questions.size(); ++i) {
    const bool longer = i % 4 != 0;
    const bool wins = i % 8 == 4 ? true : i % 8 == 1 ? false : longer;
    questions[i].verdicts = wins ? std::array<std::optional<std::string>, 2>{"B>A", "A>B"}
                                 : std::array<std::optional<std::string>, 2>{"A>B", "B>A"};
    model.push_back({longer ? 300 : 100});
    baseline.push_back({longer ? 100 : 300});
  }
  const ArenaBattles battles = BattlesOf(questions);
  const ArenaScore plain = BootstrapMean(battles.outcomes, {}).value();
  const StyleControlledScore controlled = StyleControlled(battles, model, baseline, {}).value();
  EXPECT_GT(plain.win_rate, 0.6);
  EXPECT_GT(controlled.influence[0], 0.2);
  EXPECT_EQ(controlled.influence[1], 0) << "no answer has headers";
  EXPECT_LE(controlled.score.low, controlled.score.win_rate);
  EXPECT_LE(controlled.score.win_rate, controlled.score.high);
}

TEST(Arena, LongJudgmentsTakeBoundedWork) {
  std::string open, fences;
  while (open.size() < 1'000'000) open += "[[A>", fences += "```- a\n``` ";
  EXPECT_EQ(ArenaVerdict(open), std::nullopt);
  EXPECT_EQ(MoeCapVerdict(open), std::nullopt);
  EXPECT_EQ(MarkdownStyle(fences).lists, 0);
  EXPECT_EQ(MarkdownStyle(std::string(1'000'000, '\n')).lists, 0);
}

void CheckVerdict(const Json& row) {
  const auto judgment = row["judgment"].get<std::string>();
  const std::optional<std::string> verdict = ArenaVerdict(judgment), moe_cap = MoeCapVerdict(judgment);
  EXPECT_EQ(verdict ? Json(*verdict) : Json(), row["label"]) << row;
  EXPECT_EQ(moe_cap ? Json(*moe_cap) : Json(), row["moe_cap_label"]) << row;
  // Round 1 is the one in which the model is A; a tie in round 0 adds 0.5.
  const ArenaQuestion question{"q", {"A=B", verdict}};
  const ArenaBattles battles = BattlesOf(std::span(&question, 1));
  EXPECT_EQ(battles.dropped == 0, row["counted"].get<bool>()) << row;
  if (battles.dropped == 0) {
    auto expected = row["scores_if_model_is_A"].get<std::vector<double>>();
    expected.push_back(0.5);
    EXPECT_EQ(battles.outcomes, expected) << row;
  }
  const ArenaQuestion compared{"q", {"A=B", moe_cap}};
  EXPECT_DOUBLE_EQ(MoeCapWinRate(std::span(&compared, 1)).value(), (row["moe_cap_score_if_model_is_A"].get<double>() + 0.5) / 2)
      << row;
}

void CheckBattles(const Json& row) {
  const std::vector<ArenaQuestion> questions = Questions(row["games"]);
  const ArenaBattles battles = BattlesOf(questions);
  EXPECT_EQ(battles.outcomes, row["scores"].get<std::vector<double>>()) << row;
  EXPECT_EQ(battles.dropped, row["dropped"].get<int64_t>()) << row;
  const double sum = std::accumulate(battles.outcomes.begin(), battles.outcomes.end(), 0.0);
  EXPECT_DOUBLE_EQ(sum / static_cast<double>(battles.outcomes.size()), row["mean"].get<double>()) << row;
  EXPECT_DOUBLE_EQ(MoeCapWinRate(questions).value(), row["moe_cap_win_rate"].get<double>()) << row;
}

TEST(Arena, AgreesWithTheReferenceOnEveryOracleCase) {
  const std::filesystem::path file = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/oracles/arena_hard_cases.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no oracle file";
  int cases = 0;
  for (const std::string& line : *ReadLines(file)) {
    const Json row = *ParseJson(line);
    row["kind"] == "verdict" ? CheckVerdict(row) : CheckBattles(row);
    ++cases;
  }
  EXPECT_GE(cases, 18);
}

}  // namespace
}  // namespace moecap::accuracy
