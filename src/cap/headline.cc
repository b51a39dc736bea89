#include "cap/headline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "cap/pair_judge.h"

namespace moecap::cap {
namespace {

constexpr size_t kMostSentences = 12;

std::string Percent(double confidence) { return fmt::format("{:g} % interval", 100 * confidence); }

std::string Count(int64_t n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

// Three digits that count, never an exponent; one more beside 1, so that rounding does not hide on which side it lies.
std::string Ratio(double ratio) {
  if (std::abs(ratio - 1) < 0.02) return fmt::format("{:.3f}", ratio);
  return ratio < 9.995 ? fmt::format("{:.2f}", ratio) : fmt::format("{:.3g}", ratio);
}

std::string Points(double difference) {
  const std::string text = fmt::format("{:.1f}", 100 * difference);
  return text == "-0.0" ? "0.0" : text;
}

// Ratios are said of the system that leads: as how many times as fast, or what the other one costs.
struct LeadRatio {
  double ratio = 1;
  stats::Interval interval{1, 1};
};

LeadRatio RatioOf(const DimensionVerdict& verdict, const JudgeOptions& options) {
  const bool higher = HigherIsBetter(verdict.dimension, options);
  LeadRatio result;
  result.ratio = higher ? *verdict.estimate : 1 / *verdict.estimate;
  if (verdict.interval) {
    result.interval = higher ? *verdict.interval : stats::Interval{1 / verdict.interval->high, 1 / verdict.interval->low};
  }
  return result;
}

// Of costs also which: prices of memory and costs of a token differ by other ratios.
std::string RatioEvidence(const DimensionVerdict& verdict, const LeadRatio& lead, const JudgeOptions& options) {
  const bool names_cost = verdict.dimension == Dimension::kCost && options.cost.name != "cost";
  const std::string which = names_cost ? options.cost.name + "; " : "";
  if (verdict.n == 0) return fmt::format("({}exact figures)", which);
  return fmt::format("({}{} {} to {}, {})", which, Percent(options.confidence), Ratio(lead.interval.low),
                     Ratio(lead.interval.high), Count(verdict.n, "repetition"));
}

std::string PointsEvidence(const DimensionVerdict& verdict, const JudgeOptions& options) {
  return fmt::format("({} {} to {}, {})", Percent(options.confidence), Points(verdict.interval->low),
                     Points(verdict.interval->high), Count(verdict.n, "problem"));
}

std::string WouldDecide(const DimensionVerdict& verdict) {
  if (!verdict.n_would_decide) return "; no reasonable number would decide at this difference";
  return fmt::format("; about {} would decide",
                     Count(*verdict.n_would_decide, verdict.dimension == Dimension::kAccuracy ? "problem" : "repetition"));
}

std::string BetterInWords(const DimensionVerdict& verdict, const std::string& first, const std::string& second,
                          const JudgeOptions& options) {
  if (verdict.dimension == Dimension::kAccuracy) {
    return fmt::format("{} is {} points more accurate than {} {}", first, Points(*verdict.estimate), second,
                       PointsEvidence(verdict, options));
  }
  const LeadRatio lead = RatioOf(verdict, options);
  const std::string evidence = RatioEvidence(verdict, lead, options);
  return verdict.dimension == Dimension::kPerformance
             ? fmt::format("{} is {}x faster than {} {}", first, Ratio(lead.ratio), second, evidence)
             : fmt::format("{} costs {}x as much as {} {}", second, Ratio(lead.ratio), first, evidence);
}

std::string AsGoodInWords(const DimensionVerdict& verdict, const std::string& first, const std::string& second,
                          const JudgeOptions& options) {
  if (verdict.dimension == Dimension::kAccuracy) {
    return fmt::format("{} and {} are equally accurate within {:g} point{} {}", first, second, 100 * options.accuracy_margin,
                       options.accuracy_margin == 0.01 ? "" : "s", PointsEvidence(verdict, options));
  }
  const std::string evidence = RatioEvidence(verdict, RatioOf(verdict, options), options);
  return fmt::format("{} and {} {} within {:g} % {}", first, second,
                     verdict.dimension == Dimension::kPerformance ? "are equally fast" : "cost the same",
                     100 * options.ratio_margin, evidence);
}

// Requires a lead of the first that is not negative.
std::string UndecidedInWords(const DimensionVerdict& verdict, const std::string& first, const std::string& second,
                             const JudgeOptions& options) {
  std::string words;
  if (verdict.dimension == Dimension::kAccuracy) {
    words = fmt::format("accuracy: undecided, {} leads {} by {} points {}", first, second, Points(*verdict.estimate),
                        PointsEvidence(verdict, options));
  } else {
    const LeadRatio lead = RatioOf(verdict, options);
    words = fmt::format("{}: undecided, {} leads {} by {}x {}", DimensionName(verdict.dimension), first, second,
                        Ratio(lead.ratio), RatioEvidence(verdict, lead, options));
  }
  return words;
}

std::string NotJudgedInWords(const DimensionVerdict& verdict, const std::string& first, const std::string& second) {
  std::string words = fmt::format("{}: not judged, {}", DimensionName(verdict.dimension), verdict.reason);
  if (!verdict.range || verdict.n == 0) return words;
  return words + fmt::format(" ({} / {}: {} to {} by repetition)", first, second, Ratio(verdict.range->low),
                             Ratio(verdict.range->high));
}

// First line: what must be known before anything else is believed.
void AddInvalid(std::span<const Evidence> evidence, const JudgeOptions& options, std::vector<std::string>& sentences) {
  std::vector<std::string> parts;
  for (const Evidence& system : evidence) {
    if (!system.tripped.empty()) parts.push_back(fmt::format("{} ({})", system.label, fmt::join(system.tripped, ", ")));
  }
  if (parts.empty()) return;
  const bool one = parts.size() == 1;
  const std::string consequence =
      options.include_invalid ? fmt::format("the verdicts include {} all the same and may be wrong", one ? "it" : "them")
                              : std::string(one ? "it takes no part in verdicts" : "they take no part in verdicts");
  sentences.push_back(fmt::format("Invalid: {}; {}", fmt::join(parts, "; "), consequence));
}

bool CostFollowsSpeed(const Verdicts& verdicts, const JudgeOptions& options, size_t a, size_t b) {
  const DimensionVerdict speed = Between(verdicts, a, b, Dimension::kPerformance);
  const DimensionVerdict cost = Between(verdicts, a, b, Dimension::kCost);
  return speed.interval && cost.interval && speed.outcome == cost.outcome && speed.n == cost.n &&
         std::abs(LeadOf(speed, options) - LeadOf(cost, options)) < 1e-6;
}

// Said from the side of the one that leads.
std::string PairInWords(const Verdicts& verdicts, const JudgeOptions& options, size_t a, size_t b, Dimension dimension) {
  const DimensionVerdict verdict = Between(verdicts, a, b, dimension);
  return InWords(verdict, verdicts.systems[a].label, verdicts.systems[b].label, options);
}

bool IsExactlyEqual(const DimensionVerdict& verdict) {
  return verdict.outcome == Outcome::kAsGood && verdict.n == 0 && std::abs(*verdict.estimate - 1) < 1e-9;
}

// The cost of a pair as the end of the sentence on its speed; null where it needs one of its own.
std::optional<std::string> CostBesideSpeed(const Verdicts& verdicts, const JudgeOptions& options) {
  const Outcome speed = Between(verdicts, 0, 1, Dimension::kPerformance).outcome;
  if (CostFollowsSpeed(verdicts, options, 0, 1)) return ", and the cost follows";
  const DimensionVerdict cost = Between(verdicts, 0, 1, Dimension::kCost);
  if (cost.outcome != Outcome::kAsGood || speed == Outcome::kUndecided || speed == Outcome::kNotJudged) return std::nullopt;
  return IsExactlyEqual(cost) ? ", at the same cost"
                              : fmt::format(", at the same cost within {:g} %", 100 * options.ratio_margin);
}

// What would decide is said with the system that may be dominated, where there is one.
bool SaysWhatWouldDecide(const Verdicts& verdicts) {
  return std::ranges::any_of(verdicts.systems,
                             [](const SystemVerdict& system) { return system.may_be_dominated_by.has_value(); });
}

void AddPair(const Verdicts& verdicts, const JudgeOptions& options, std::vector<std::string>& sentences) {
  const std::optional<std::string> cost = CostBesideSpeed(verdicts, options);
  for (const Dimension dimension : verdicts.dimensions) {
    if (dimension == Dimension::kCost && cost) continue;
    std::string words = PairInWords(verdicts, options, 0, 1, dimension);
    if (dimension == Dimension::kPerformance) words += cost.value_or("");
    const DimensionVerdict verdict = Between(verdicts, 0, 1, dimension);
    if (verdict.outcome == Outcome::kUndecided && !SaysWhatWouldDecide(verdicts)) words += WouldDecide(verdict);
    sentences.push_back(std::move(words));
  }
}

std::string_view SuperlativeOf(Dimension dimension) {
  return dimension == Dimension::kPerformance ? "fastest" : dimension == Dimension::kCost ? "cheapest" : "most accurate";
}

// Those with a figure, the best first.
std::vector<size_t> Ranking(std::span<const Evidence> evidence, Dimension dimension, const JudgeOptions& options) {
  std::vector<size_t> order;
  for (size_t i = 0; i < evidence.size(); ++i) {
    if (TakesPart(evidence[i], options) && FigureOf(evidence[i], dimension)) order.push_back(i);
  }
  const double sign = HigherIsBetter(dimension, options) ? -1 : 1;
  std::ranges::stable_sort(order, {}, [&](size_t i) { return sign * *FigureOf(evidence[i], dimension); });
  return order;
}

// Nobody is worse than the best beyond the margin. Prices that are the same need no word: the letters' sentence has it.
void AddAllAsGood(const Verdicts& verdicts, const JudgeOptions& options, std::span<const size_t> order, Dimension dimension,
                  std::vector<std::string>& sentences) {
  const bool all_equal = std::ranges::all_of(
      order.subspan(1), [&](size_t other) { return IsExactlyEqual(Between(verdicts, order[0], other, dimension)); });
  if (all_equal) return;
  const std::string margin = dimension == Dimension::kAccuracy ? fmt::format("{:g} point{}", 100 * options.accuracy_margin,
                                                                             options.accuracy_margin == 0.01 ? "" : "s")
                                                               : fmt::format("{:g} %", 100 * options.ratio_margin);
  sentences.push_back(fmt::format("{}: as good within {} in all", DimensionName(dimension), margin));
}

void AddRanking(std::span<const Evidence> evidence, const JudgeOptions& options, const Verdicts& verdicts, Dimension dimension,
                std::vector<std::string>& sentences) {
  const std::vector<size_t> order = Ranking(evidence, dimension, options);
  if (order.size() < 2) return;
  const size_t best = order.front();
  std::optional<size_t> beaten, open;
  std::vector<std::string> as_good, undecided;
  bool judged = false;
  for (const size_t other : std::span(order).subspan(1)) {
    const DimensionVerdict verdict = Between(verdicts, best, other, dimension);
    judged |= verdict.outcome != Outcome::kNotJudged;
    if (verdict.outcome == Outcome::kBetter && !beaten) beaten = other;
    if (verdict.outcome == Outcome::kAsGood) as_good.push_back(evidence[other].label);
    if (verdict.outcome == Outcome::kUndecided) undecided.push_back(evidence[other].label);
    if (verdict.outcome == Outcome::kUndecided && !open) open = other;
  }
  if (!judged) {
    sentences.push_back(PairInWords(verdicts, options, best, order[1], dimension));
    return;
  }
  if (!beaten && undecided.empty()) {
    AddAllAsGood(verdicts, options, order, dimension, sentences);
    return;
  }
  std::string words = fmt::format("{}: ", SuperlativeOf(dimension));
  if (beaten) words += PairInWords(verdicts, options, best, *beaten, dimension);
  if (!beaten) words += evidence[best].label + " leads";
  if (!as_good.empty()) words += fmt::format("; as good within the margin: {}", fmt::join(as_good, ", "));
  if (!undecided.empty()) words += fmt::format("; undecided against {}", fmt::join(undecided, ", "));
  if (open && !SaysWhatWouldDecide(verdicts)) words += WouldDecide(Between(verdicts, best, *open, dimension));
  sentences.push_back(words);
}

void AddStanding(const Verdicts& verdicts, std::vector<std::string>& sentences) {
  constexpr size_t kMostOfAKind = 2;
  size_t dominated = 0;
  size_t open = 0;
  for (const SystemVerdict& system : verdicts.systems) {
    if (system.domination == Domination::kDominated && dominated++ < kMostOfAKind) sentences.push_back(system.reason);
  }
  for (const SystemVerdict& system : verdicts.systems) {
    if (system.may_be_dominated_by && open++ < kMostOfAKind) sentences.push_back(system.reason);
  }
}

bool AnythingDecided(const Verdicts& verdicts) {
  return std::ranges::any_of(verdicts.pairs, [](const PairVerdict& pair) {
    return std::ranges::any_of(pair.dimensions, [](const DimensionVerdict& verdict) {
      return verdict.outcome != Outcome::kUndecided && verdict.outcome != Outcome::kNotJudged;
    });
  });
}

void AddLetters(const Verdicts& verdicts, std::vector<std::string>& sentences) {
  if (!verdicts.letters_apply) {
    sentences.push_back(verdicts.letters_reason);
    return;
  }
  if (!AnythingDecided(verdicts)) return;
  std::vector<std::string> parts;
  for (const SystemVerdict& system : verdicts.systems) {
    if (!system.letters.empty()) parts.push_back(fmt::format("{} {}", system.label, system.letters));
  }
  sentences.push_back(fmt::format("Kept of performance, cost, accuracy: {}", fmt::join(parts, ", ")));
}

// The system whose lead cost `self` the letter; null when none was shown to be better.
std::optional<size_t> TookLetter(const Verdicts& verdicts, size_t self, Dimension dimension) {
  for (size_t other = 0; other < verdicts.systems.size(); ++other) {
    if (other == self || Between(verdicts, self, other, dimension).outcome != Outcome::kWorse) continue;
    if (!verdicts.systems[other].letters.empty()) return other;
  }
  return std::nullopt;
}

std::string_view NounOf(char letter) { return letter == 'P' ? "performance" : letter == 'C' ? "cost" : "accuracy"; }

Dimension DimensionOf(char letter) {
  return letter == 'P' ? Dimension::kPerformance : letter == 'C' ? Dimension::kCost : Dimension::kAccuracy;
}

// How a system keeps other letters than the class that it was meant to stand for; "" when it keeps these.
std::string OtherThanMeant(const Verdicts& verdicts, const Evidence& evidence, size_t self) {
  const SystemVerdict& system = verdicts.systems[self];
  if (evidence.meant_as.empty() || !verdicts.letters_apply || system.letters == evidence.meant_as) return "";
  if (system.letters.empty())
    return fmt::format("{} was meant as {}{}", system.label, evidence.meant_as,
                       system.dominated_by.empty()
                           ? " and has no letters"
                           : fmt::format(", and is dominated by {}", verdicts.systems[system.dominated_by.front()].label));
  std::vector<std::string> why;
  for (const char letter : std::string_view("PCA")) {
    const size_t at = system.letters.find(letter);
    const bool meant = evidence.meant_as.find(letter) != std::string::npos;
    const bool open = at != std::string::npos && at + 1 < system.letters.size() && system.letters[at + 1] == '?';
    if (open) {
      why.push_back(fmt::format("{} is not decided", NounOf(letter)));
    } else if (meant && at == std::string::npos) {
      const auto other = TookLetter(verdicts, self, DimensionOf(letter));
      why.push_back(fmt::format("{} is lost{}", NounOf(letter), other ? " to " + verdicts.systems[*other].label : ""));
    } else if (!meant && at != std::string::npos) {
      why.push_back(fmt::format("{} is kept", NounOf(letter)));
    }
  }
  return fmt::format("{} was meant as {} and is {}: {}", system.label, evidence.meant_as, system.letters, fmt::join(why, ", "));
}

void AddMeant(std::span<const Evidence> evidence, const Verdicts& verdicts, std::vector<std::string>& sentences) {
  std::vector<std::string> as_meant;
  for (size_t i = 0; i < evidence.size(); ++i) {
    if (evidence[i].meant_as.empty()) continue;
    if (std::string other = OtherThanMeant(verdicts, evidence[i], i); !other.empty()) {
      sentences.push_back(std::move(other));
    } else if (verdicts.letters_apply) {
      as_meant.push_back(fmt::format("{} ({})", evidence[i].label, evidence[i].meant_as));
    }
  }
  if (!as_meant.empty()) sentences.push_back(fmt::format("As meant: {}", fmt::join(as_meant, ", ")));
}

void AddMultiplicity(const Verdicts& verdicts, const JudgeOptions& options, std::vector<std::string>& sentences) {
  int64_t alone = 0;
  for (const PairVerdict& pair : verdicts.pairs) {
    for (const DimensionVerdict& verdict : pair.dimensions) {
      const bool differs = verdict.outcome == Outcome::kBetter || verdict.outcome == Outcome::kWorse;
      alone += differs && !verdict.holds_over_all ? 1 : 0;
    }
  }
  if (alone == 0) return;
  sentences.push_back(fmt::format("{} of the differences hold{} at {:g} % for the pair alone, not over all {} pairs at once",
                                  alone, alone == 1 ? "s" : "", 100 * options.confidence, verdicts.pairs.size()));
}

}  // namespace

std::string InWords(const DimensionVerdict& verdict, const std::string& first, const std::string& second,
                    const JudgeOptions& options) {
  if (verdict.outcome == Outcome::kNotJudged) return NotJudgedInWords(verdict, first, second);
  if (verdict.outcome == Outcome::kWorse || (verdict.outcome == Outcome::kUndecided && LeadOf(verdict, options) < 0))
    return InWords(Reversed(verdict), second, first, options);
  switch (verdict.outcome) {
    case Outcome::kBetter:
      return BetterInWords(verdict, first, second, options);
    case Outcome::kAsGood:
      return AsGoodInWords(verdict, first, second, options);
    default:
      return UndecidedInWords(verdict, first, second, options);
  }
}

std::vector<std::string> HeadlineOf(std::span<const Evidence> evidence, const JudgeOptions& options, const Verdicts& verdicts) {
  std::vector<std::string> sentences;
  AddInvalid(evidence, options, sentences);
  if (evidence.size() < 2) {
    if (!evidence.empty())
      sentences.push_back(fmt::format("{} alone: there is nothing to compare it with.", evidence[0].label));
    return sentences;
  }
  if (evidence.size() == 2) {
    AddPair(verdicts, options, sentences);
  } else {
    for (const Dimension dimension : verdicts.dimensions) AddRanking(evidence, options, verdicts, dimension, sentences);
  }
  AddStanding(verdicts, sentences);
  AddLetters(verdicts, sentences);
  AddMeant(evidence, verdicts, sentences);
  AddMultiplicity(verdicts, options, sentences);
  if (sentences.size() > kMostSentences) sentences.resize(kMostSentences);
  for (std::string& sentence : sentences) {
    if (!sentence.ends_with('.')) sentence += '.';
  }
  return sentences;
}

}  // namespace moecap::cap
