#include "cap/standing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "cap/pair_judge.h"

namespace moecap::cap {
namespace {

// P, C, A: the order in which the paper names its classes.
char LetterOf(Dimension dimension) {
  return dimension == Dimension::kPerformance ? 'P' : dimension == Dimension::kCost ? 'C' : 'A';
}

bool Differs(const std::optional<double>& a, const std::optional<double>& b) {
  return a && b && std::abs(*a - *b) > 1e-9 * std::max(std::abs(*a), std::abs(*b));
}

// The system whose figure is the best of those in the kernel; null when none is known.
std::optional<size_t> BestOf(std::span<const Evidence> evidence, const std::vector<bool>& kernel, Dimension dimension,
                             const JudgeOptions& options) {
  std::optional<size_t> best;
  for (size_t i = 0; i < evidence.size(); ++i) {
    const auto figure = FigureOf(evidence[i], dimension);
    if (!kernel[i] || !figure) continue;
    const auto leader = best ? FigureOf(evidence[*best], dimension) : std::nullopt;
    if (!leader || (HigherIsBetter(dimension, options) ? *figure > *leader : *figure < *leader)) best = i;
  }
  return best;
}

// The best keeps its letter where it was judged at all.
bool JudgedInKernel(const Verdicts& verdicts, const std::vector<bool>& kernel, size_t self, Dimension dimension) {
  for (size_t other = 0; other < kernel.size(); ++other) {
    if (other != self && kernel[other] && Between(verdicts, self, other, dimension).outcome != Outcome::kNotJudged) return true;
  }
  return false;
}

std::string LettersOf(std::span<const Evidence> evidence, const Verdicts& verdicts, const std::vector<bool>& kernel,
                      size_t self, const JudgeOptions& options) {
  std::string letters;
  for (const Dimension dimension : verdicts.dimensions) {
    const auto best = BestOf(evidence, kernel, dimension, options);
    bool kept = false;
    bool lost = false;
    if (best == self) {
      kept = JudgedInKernel(verdicts, kernel, self, dimension);
    } else if (best) {
      const DimensionVerdict verdict = Between(verdicts, self, *best, dimension);
      kept = verdict.first_not_inferior;
      lost = verdict.outcome == Outcome::kWorse;
    }
    if (lost) continue;
    letters += LetterOf(dimension);
    if (!kept) letters += '?';
  }
  return letters.empty() ? "-" : letters;
}

// A token's cost follows speed where both compare alike; at different levels one may rise as the other falls.
std::string OneMachineInWords(const Verdicts& verdicts, const std::vector<bool>& kernel) {
  bool follows = std::ranges::count(verdicts.dimensions, Dimension::kCost) > 0;
  bool contradicts = false;
  for (const PairVerdict& pair : verdicts.pairs) {
    if (!kernel[pair.first] || !kernel[pair.second]) continue;
    const DimensionVerdict speed = Between(verdicts, pair.first, pair.second, Dimension::kPerformance);
    const DimensionVerdict cost = Between(verdicts, pair.first, pair.second, Dimension::kCost);
    follows &= speed.outcome == cost.outcome;
    contradicts |= (speed.outcome == Outcome::kBetter && cost.outcome == Outcome::kWorse) ||
                   (speed.outcome == Outcome::kWorse && cost.outcome == Outcome::kBetter);
  }
  if (contradicts) return "The machines of all systems cost the same, so no letters are given.";
  return fmt::format(
      "The machines of all systems cost the same: {}the trade is accuracy against speed, and no letters are given.",
      follows ? "cost follows speed, " : "");
}

void AssignLetters(std::span<const Evidence> evidence, const JudgeOptions& options, Verdicts& verdicts) {
  const std::vector<bool> kernel = Kernel(evidence, options, verdicts);
  const auto members = std::ranges::count(kernel, true);
  bool known = false;
  for (size_t i = 0; i < evidence.size(); ++i) {
    for (size_t j = i + 1; j < evidence.size(); ++j) {
      if (!kernel[i] || !kernel[j]) continue;
      const Evidence& a = evidence[i];
      const Evidence& b = evidence[j];
      known |= (a.usd_per_h && b.usd_per_h) || (a.purchase_usd && b.purchase_usd);
      verdicts.letters_apply |= Differs(a.usd_per_h, b.usd_per_h) || Differs(a.purchase_usd, b.purchase_usd);
    }
  }
  if (members < 2) {
    verdicts.letters_apply = false;
    const bool all = std::ranges::all_of(evidence, [&](const Evidence& system) { return TakesPart(system, options); });
    verdicts.letters_reason = evidence.size() < 2 ? "One system alone has no class."
                              : all               ? "One system dominates all others: nothing is traded."
                                                  : "Fewer than two valid systems are left to trade anything.";
  } else if (!known) {
    verdicts.letters_reason =
        "What the machines cost is not known: the trade is accuracy against speed, and no letters are given.";
  } else if (!verdicts.letters_apply) {
    verdicts.letters_reason = OneMachineInWords(verdicts, kernel);
  } else {
    verdicts.letters_reason = fmt::format(
        "Letters: performance, cost and accuracy that a system keeps within {:g} % ({:g} points) of the best in view; ? is not "
        "decided.",
        100 * options.ratio_margin, 100 * options.accuracy_margin);
  }
  if (!verdicts.letters_apply) return;
  for (size_t i = 0; i < evidence.size(); ++i) {
    if (kernel[i]) verdicts.systems[i].letters = LettersOf(evidence, verdicts, kernel, i, options);
  }
}

std::string_view ComparativeOf(Dimension dimension) {
  return dimension == Dimension::kPerformance ? "faster" : dimension == Dimension::kCost ? "cheaper" : "more accurate";
}

// Where the winner is better, in words: "faster and cheaper".
std::string BetterWhere(const Verdicts& verdicts, size_t winner, size_t loser) {
  std::vector<std::string_view> words;
  for (const Dimension dimension : verdicts.dimensions) {
    if (Between(verdicts, winner, loser, dimension).outcome == Outcome::kBetter) words.push_back(ComparativeOf(dimension));
  }
  return fmt::format("{}", fmt::join(words, " and "));
}

// What keeps `winner` from dominating `loser`: the dimensions in which a loss beyond the margin is not excluded.
std::string NotExcluded(const Verdicts& verdicts, size_t winner, size_t loser, const JudgeOptions& options) {
  std::vector<std::string> parts;
  for (const Dimension dimension : verdicts.dimensions) {
    const DimensionVerdict verdict = Between(verdicts, winner, loser, dimension);
    if (verdict.first_not_inferior || !verdict.interval) continue;
    std::string part;
    if (dimension == Dimension::kAccuracy) {
      part = fmt::format("{} problems cannot exclude a loss of up to {:.1f} points", verdict.n, -100 * verdict.interval->low);
    } else {
      const double worst = HigherIsBetter(dimension, options) ? 1 / verdict.interval->low : verdict.interval->high;
      part = fmt::format("{} repetitions cannot exclude a loss of up to {:.0f} % in {}", verdict.n, 100 * (worst - 1),
                         DimensionName(dimension));
    }
    if (verdict.n_would_decide) {
      part += fmt::format(" (about {} would decide)", *verdict.n_would_decide);
    }
    parts.push_back(part);
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

void JudgeDomination(const JudgeOptions& options, size_t self, Verdicts& verdicts) {
  SystemVerdict& system = verdicts.systems[self];
  std::optional<size_t>& suspect = system.may_be_dominated_by;
  int64_t decided = 0;
  bool undecided = false;
  for (size_t other = 0; other < verdicts.systems.size(); ++other) {
    if (other == self) continue;
    const Dominance dominance = DominatesIn(verdicts, other, self, verdicts.dimensions);
    if (dominance == Dominance::kYes) system.dominated_by.push_back(other);
    undecided |= dominance == Dominance::kUndecided;
    decided += dominance != Dominance::kNotJudged ? 1 : 0;
    if (dominance == Dominance::kUndecided && !suspect && !BetterWhere(verdicts, other, self).empty()) suspect = other;
  }
  if (!system.dominated_by.empty()) {
    const size_t winner = system.dominated_by.front();
    system.domination = Domination::kDominated;
    suspect.reset();
    system.reason = fmt::format("{} is dominated by {}, which is {} and not inferior in anything within the margins.",
                                system.label, verdicts.systems[winner].label, BetterWhere(verdicts, winner, self));
  } else if (decided == 0) {
    system.domination = Domination::kNotJudged;
    if (verdicts.systems.size() > 1) system.reason = fmt::format("{} is not judged.", system.label);
  } else if (undecided) {
    system.domination = Domination::kUndecided;
    system.reason =
        suspect
            ? fmt::format("Undecided whether {} dominates {}: it is {}, but {}.", verdicts.systems[*suspect].label,
                          system.label, BetterWhere(verdicts, *suspect, self), NotExcluded(verdicts, *suspect, self, options))
            : fmt::format("Undecided whether {} is dominated: no system is shown better in anything.", system.label);
  } else {
    system.domination = Domination::kNotDominated;
  }
}

}  // namespace

Dominance DominatesIn(const Verdicts& verdicts, size_t winner, size_t loser, std::span<const Dimension> dimensions) {
  bool all_not_inferior = true;
  bool loser_not_inferior = true;
  bool better = false;
  bool judged = !dimensions.empty();
  for (const Dimension dimension : dimensions) {
    const DimensionVerdict verdict = Between(verdicts, winner, loser, dimension);
    if (verdict.outcome == Outcome::kWorse) return Dominance::kNo;
    all_not_inferior &= verdict.first_not_inferior;
    loser_not_inferior &= verdict.second_not_inferior;
    better |= verdict.outcome == Outcome::kBetter;
    judged &= verdict.outcome != Outcome::kNotJudged;
  }
  if (!judged) return Dominance::kNotJudged;
  if (all_not_inferior && better) return Dominance::kYes;
  return loser_not_inferior ? Dominance::kNo : Dominance::kUndecided;
}

std::vector<bool> Kernel(std::span<const Evidence> evidence, const JudgeOptions& options, const Verdicts& verdicts) {
  enum class State { kOpen, kIn, kOut };
  std::vector<State> states(evidence.size(), State::kOpen);
  for (size_t i = 0; i < evidence.size(); ++i) {
    if (!TakesPart(evidence[i], options)) states[i] = State::kOut;
  }
  // A system is in when all its dominators are out, and out when one of them is in. Margins allow circles in principle: what
  // is still open when nothing moves any more stays in.
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t i = 0; i < evidence.size(); ++i) {
      if (states[i] != State::kOpen) continue;
      const std::vector<size_t>& dominators = verdicts.systems[i].dominated_by;
      const bool all_out = std::ranges::all_of(dominators, [&](size_t other) { return states[other] == State::kOut; });
      const bool one_in = std::ranges::any_of(dominators, [&](size_t other) { return states[other] == State::kIn; });
      if (!all_out && !one_in) continue;
      states[i] = one_in ? State::kOut : State::kIn;
      moved = true;
    }
  }
  std::vector<bool> kernel;
  for (const State state : states) kernel.push_back(state != State::kOut);
  return kernel;
}

void JudgeSystems(std::span<const Evidence> evidence, const JudgeOptions& options, Verdicts& verdicts) {
  for (size_t i = 0; i < evidence.size(); ++i) JudgeDomination(options, i, verdicts);
  AssignLetters(evidence, options, verdicts);
}

}  // namespace moecap::cap
