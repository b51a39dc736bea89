// Arena-Hard (lmarena/arena-hard-auto at 196f6b8): from what a judge wrote to the score of a model against the baseline.
//
// Each question is judged twice: in round 0 assistant A is the baseline and B the model, in round 1 they have changed places.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::accuracy {

inline constexpr int kArenaRounds = 2;

// The verdict in a judgment, "A>>B", "A>B", "A=B", ...: the last [[...]] of the letters A and B and the signs <, >, =, whatever
// their case; without any the last [...]. Null when there is none, or when what it says is no verdict ("AB"), which the
// original crashes on.
std::optional<std::string> ArenaVerdict(std::string_view judgment);

// The Python project's rule: the first [[...]] of A or B, signs, A or B, as written. Its scores: ArenaMoeCapWinRate.
std::optional<std::string> MoeCapVerdict(std::string_view judgment);

// What a judge said of one question in one round. `round` is 0 or 1.
struct ArenaGame {
  std::string uid;
  int round = 0;
  std::optional<std::string> verdict;  // null: none could be read, or the judge failed
};

// The games of one question. A verdict that was not asked for yet is null as well.
struct ArenaQuestion {
  std::string uid;
  std::array<std::optional<std::string>, kArenaRounds> verdicts;
};
// In order of first appearance; of games of the same question and round the last counts, so that a judge may be asked again.
std::vector<ArenaQuestion> PairGames(std::span<const ArenaGame> games);

// What is still to be judged, in order of `uids`: the games without a verdict.
std::vector<ArenaGame> PendingGames(std::span<const std::string> uids, std::span<const ArenaGame> games);

// The outcomes for the model: 1 won, 0 lost, 0.5 tie. A verdict with >> or << counts three times, as in the original. A
// question with a null verdict is dropped whole.
struct ArenaBattles {
  std::vector<double> outcomes;
  std::vector<size_t> question;  // of each outcome, its place among the questions given
  int64_t dropped = 0;           // questions
};
ArenaBattles BattlesOf(std::span<const ArenaQuestion> questions);

// A win rate in [0, 1] with the 5th and 95th percentile of its bootstrap.
struct ArenaScore {
  double win_rate = 0;
  double low = 0, high = 0;
};
struct Bootstrap {
  int rounds = 100;  // the original's; >= 1
  uint64_t seed = 0;
};

// The mean of `rounds` means, each over as many outcomes drawn with replacement. Null for no outcomes.
std::optional<ArenaScore> BootstrapMean(std::span<const double> outcomes, const Bootstrap& bootstrap);

// What an answer looks like, by which style control holds it against another. Counts are those of Markdown outside fenced code.
struct AnswerStyle {
  int64_t tokens = 0;  // of the original's GPT-4o tokeniser; > 0
  int64_t headers = 0, lists = 0, bolds = 0;
};
// All but `tokens` (utils/add_markdown_info.py).
AnswerStyle MarkdownStyle(std::string_view answer);

struct StyleControlledScore {
  ArenaScore score;                   // medians over the bootstrap
  std::array<double, 4> influence{};  // of length, headers, lists, bolds: medians of their coefficients
};
// The win rate at equal style: a Bradley-Terry fit on length (a - b) / (a + b) and, per count of Markdown, (a - b) / (a + b +
// 1) of counts a token, each scaled to mean 0 and standard deviation 1 over the battles. `model` and `baseline` have the style
// of each question's answers. A style that never differs has influence 0. Null for no battles.
std::optional<StyleControlledScore> StyleControlled(const ArenaBattles& battles, std::span<const AnswerStyle> model,
                                                    std::span<const AnswerStyle> baseline, const Bootstrap& bootstrap);

// The Python project's rule for comparison with its published numbers: per question the mean of two rounds in which A>B and
// A>>B count 1, B>A and B>>A 0 and everything else, a missing verdict too, 0.5; the mean over questions. Null for none.
std::optional<double> MoeCapWinRate(std::span<const ArenaQuestion> questions);

}  // namespace moecap::accuracy
