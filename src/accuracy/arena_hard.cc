#include "accuracy/arena_hard.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"

namespace moecap::accuracy {
namespace {

struct VerdictScore {
  std::string_view verdict;
  double score_of_a;
  int weight;
};
constexpr int kDecisive = 3;
constexpr std::array kVerdicts{
    VerdictScore{"A>B", 1, 1},          VerdictScore{"A>>B", 1, kDecisive}, VerdictScore{"A=B", 0.5, 1},
    VerdictScore{"A<<B", 0, kDecisive}, VerdictScore{"A<B", 0, 1},          VerdictScore{"B>A", 0, 1},
    VerdictScore{"B>>A", 0, kDecisive}, VerdictScore{"B=A", 0.5, 1},        VerdictScore{"B<<A", 1, kDecisive},
    VerdictScore{"B<A", 1, 1},
};

const VerdictScore* FindVerdict(std::string_view verdict) {
  const auto* const found = std::ranges::find(kVerdicts, verdict, &VerdictScore::verdict);
  return found == kVerdicts.end() ? nullptr : &*found;
}

bool IsAssistant(char c) { return c == 'A' || c == 'B'; }
bool IsVerdictSign(char c) { return c == '<' || c == '>' || c == '='; }

// The length of the run of letters and signs at `from`.
size_t RunAt(std::string_view text, size_t from) {
  size_t end = from;
  while (end < text.size() && (IsAssistant(text[end]) || IsVerdictSign(text[end]))) ++end;
  return end - from;
}

// What stands in the last `open` ... `close`; null when nothing does.
std::optional<std::string_view> LastBetween(std::string_view text, std::string_view open, std::string_view close) {
  std::optional<std::string_view> last;
  for (size_t at = 0; (at = text.find(open, at)) != std::string_view::npos;) {
    const size_t from = at + open.size(), size = RunAt(text, from);
    if (size > 0 && text.substr(from + size).starts_with(close)) {
      last = text.substr(from, size);
      at = from + size + close.size();
    } else {
      ++at;
    }
  }
  return last;
}

}  // namespace

std::optional<std::string> ArenaVerdict(std::string_view judgment) {
  std::string text(judgment);
  std::ranges::replace(text, 'a', 'A');
  std::ranges::replace(text, 'b', 'B');
  std::optional<std::string_view> found = LastBetween(text, "[[", "]]");
  if (!found) found = LastBetween(text, "[", "]");
  if (!found || FindVerdict(*found) == nullptr) return std::nullopt;
  return std::string(*found);
}

std::optional<std::string> MoeCapVerdict(std::string_view judgment) {
  for (size_t at = 0; (at = judgment.find("[[", at)) != std::string_view::npos; ++at) {
    const size_t from = at + 2, size = RunAt(judgment, from);
    const std::string_view verdict = judgment.substr(from, size);
    if (size < 3 || !judgment.substr(from + size).starts_with("]]")) continue;
    const std::string_view signs = verdict.substr(1, size - 2);
    if (IsAssistant(verdict.front()) && IsAssistant(verdict.back()) && std::ranges::all_of(signs, IsVerdictSign))
      return std::string(verdict);
  }
  return std::nullopt;
}

std::vector<ArenaQuestion> PairGames(std::span<const ArenaGame> games) {
  std::vector<ArenaQuestion> questions;
  std::unordered_map<std::string_view, size_t> places;
  for (const ArenaGame& game : games) {
    CHECK(game.round >= 0 && game.round < kArenaRounds);
    const auto [place, is_new] = places.try_emplace(game.uid, questions.size());
    if (is_new) questions.push_back({game.uid, {}});
    questions[place->second].verdicts[static_cast<size_t>(game.round)] = game.verdict;
  }
  return questions;
}

std::vector<ArenaGame> PendingGames(std::span<const std::string> uids, std::span<const ArenaGame> games) {
  const std::vector<ArenaQuestion> questions = PairGames(games);
  std::unordered_map<std::string_view, const ArenaQuestion*> known;
  for (const ArenaQuestion& question : questions) known[question.uid] = &question;
  std::vector<ArenaGame> pending;
  for (const std::string& uid : uids) {
    const auto found = known.find(uid);
    for (int round = 0; round < kArenaRounds; ++round) {
      const bool judged = found != known.end() && found->second->verdicts[static_cast<size_t>(round)].has_value();
      if (!judged) pending.push_back({uid, round, std::nullopt});
    }
  }
  return pending;
}

ArenaBattles BattlesOf(std::span<const ArenaQuestion> questions) {
  ArenaBattles battles;
  for (size_t i = 0; i < questions.size(); ++i) {
    std::array<const VerdictScore*, kArenaRounds> labels{};
    for (size_t round = 0; round < labels.size(); ++round) {
      const std::optional<std::string>& verdict = questions[i].verdicts[round];
      if (verdict) labels[round] = FindVerdict(*verdict);
    }
    if (labels[0] == nullptr || labels[1] == nullptr) {
      ++battles.dropped;
      continue;
    }
    // Round 1 first, where A is the model, as the original lists them.
    battles.outcomes.insert(battles.outcomes.end(), static_cast<size_t>(labels[1]->weight), labels[1]->score_of_a);
    battles.outcomes.insert(battles.outcomes.end(), static_cast<size_t>(labels[0]->weight), 1 - labels[0]->score_of_a);
    battles.question.resize(battles.outcomes.size(), i);
  }
  return battles;
}

std::optional<double> MoeCapWinRate(std::span<const ArenaQuestion> questions) {
  if (questions.empty()) return std::nullopt;
  const auto score_of_a = [](const std::optional<std::string>& verdict) {
    if (verdict == "A>B" || verdict == "A>>B") return 1.0;
    if (verdict == "B>A" || verdict == "B>>A") return 0.0;
    return 0.5;
  };
  double sum = 0;
  for (const ArenaQuestion& question : questions) {
    sum += (1 - score_of_a(question.verdicts[0]) + score_of_a(question.verdicts[1])) / kArenaRounds;
  }
  return sum / static_cast<double>(questions.size());
}

}  // namespace moecap::accuracy
