#include "cap/pair_judge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.h"
#include "stats/multiple.h"
#include "stats/paired_scores.h"
#include "stats/ratios.h"

namespace moecap::cap {
namespace {

constexpr double kMostTimes = 1000;  // a sample larger than this many times the present one is no advice

struct Repetitions {
  std::vector<double> first, second;
  bool paired = false;
};

bool Positive(const std::optional<double>& value) { return value && std::isfinite(*value) && *value > 0; }

const Series& SeriesOf(const Evidence& evidence, Dimension dimension) {
  return dimension == Dimension::kCost ? evidence.cost : evidence.performance;
}

// A repetition counts where both have it; an exact figure is the same in each.
Repetitions PairedRepetitions(const Series& first, const Series& second) {
  Repetitions result;
  result.paired = true;
  const size_t size = std::max(first.exact ? 0 : first.by_repetition.size(), second.exact ? 0 : second.by_repetition.size());
  const auto at = [](const Series& series, size_t i) {
    if (series.exact) return series.value;
    return i < series.by_repetition.size() ? series.by_repetition[i] : std::nullopt;
  };
  for (size_t i = 0; i < size; ++i) {
    if (!Positive(at(first, i)) || !Positive(at(second, i))) continue;
    result.first.push_back(*at(first, i));
    result.second.push_back(*at(second, i));
  }
  return result;
}

Repetitions RepetitionsOf(const Evidence& first, const Evidence& second, Dimension dimension) {
  const Series& a = SeriesOf(first, dimension);
  const Series& b = SeriesOf(second, dimension);
  if (first.experiment == second.experiment || a.exact || b.exact) return PairedRepetitions(a, b);
  Repetitions result;
  for (const auto& value : a.by_repetition) {
    if (Positive(value)) result.first.push_back(*value);
  }
  for (const auto& value : b.by_repetition) {
    if (Positive(value)) result.second.push_back(*value);
  }
  return result;
}

std::string NotKnown(const Evidence& first, const Evidence& second, Dimension dimension) {
  std::vector<std::string> labels;
  if (!FigureOf(first, dimension)) labels.push_back(first.label);
  if (!FigureOf(second, dimension)) labels.push_back(second.label);
  return labels.empty() ? "" : fmt::format("{} of {} is not known", DimensionName(dimension), fmt::join(labels, " and "));
}

std::string TrippedGates(const Evidence& first, const Evidence& second) {
  std::vector<std::string> parts;
  for (const Evidence* system : {&first, &second}) {
    if (!system->tripped.empty()) parts.push_back(fmt::format("{}: {}", system->label, fmt::join(system->tripped, ", ")));
  }
  return fmt::format("a gate tripped ({})", fmt::join(parts, "; "));
}

// Prices are known, not measured: no error, no test.
void CompareExact(double first, double second, DimensionVerdict& verdict) {
  verdict.estimate = first / second;
  verdict.interval = stats::Interval{*verdict.estimate, *verdict.estimate};
  verdict.p_value = first == second ? 1 : 0;
  verdict.test = "exact figures";
}

void CompareRatios(const Evidence& first, const Evidence& second, const JudgeOptions& options, DimensionVerdict& verdict,
                   std::optional<stats::RatioEstimate>& ratio) {
  const Series& a = SeriesOf(first, verdict.dimension);
  const Series& b = SeriesOf(second, verdict.dimension);
  if (a.exact && b.exact) return CompareExact(*a.value, *b.value, verdict);
  const Repetitions repetitions = RepetitionsOf(first, second, verdict.dimension);
  ratio = repetitions.paired ? stats::PairedRatio(repetitions.first, repetitions.second, options.confidence)
                             : stats::UnpairedRatio(repetitions.first, repetitions.second, options.confidence);
  const size_t fewer = std::min(repetitions.first.size(), repetitions.second.size());
  verdict.n = static_cast<int64_t>(fewer);
  if (ratio) verdict.range = ratio->range;
  if (verdict.n < options.least_repetitions || !ratio) {
    verdict.reason = fmt::format("{} whole repetition{}{}, {} are needed", fewer, fewer == 1 ? "" : "s",
                                 repetitions.paired ? " of both" : "", options.least_repetitions);
    ratio.reset();
    return;
  }
  verdict.estimate = ratio->ratio;
  verdict.interval = ratio->interval;
  verdict.p_value = ratio->p_value;
  verdict.test = repetitions.paired ? "paired t on log ratios" : "Welch's t on logs, repetitions of different experiments";
}

std::optional<stats::ScoreDifferences> Differences(const Evidence& first, const Evidence& second) {
  std::map<std::string_view, double> scores;
  for (const ItemScore& item : second.items) scores.emplace(item.id, item.score);
  std::vector<double> a, b;
  for (const ItemScore& item : first.items) {
    const auto found = scores.find(item.id);
    if (found == scores.end()) continue;
    a.push_back(item.score);
    b.push_back(found->second);
  }
  if (a.empty()) return std::nullopt;
  return stats::ScoreDifferences(a, b);
}

void CompareAccuracy(const std::optional<stats::ScoreDifferences>& differences, const JudgeOptions& options,
                     DimensionVerdict& verdict) {
  verdict.n = differences ? differences->problems() : 0;
  if (verdict.n < stats::kLeastProblems) {
    verdict.reason =
        fmt::format("{} problem{} in common, {} are needed", verdict.n, verdict.n == 1 ? "" : "s", stats::kLeastProblems);
    return;
  }
  verdict.estimate = differences->mean();
  verdict.interval = differences->ScoreInterval(options.confidence);
  verdict.p_value = differences->PValue();
  verdict.test = differences->is_binary() ? "McNemar's exact test, score interval" : "sign changes, score interval";
}

struct Bounds {
  double lead = 0, low = 0, high = 0;  // of the lead of the first
};

Bounds LeadBounds(double estimate, const stats::Interval& interval, Dimension dimension, const JudgeOptions& options) {
  if (dimension == Dimension::kAccuracy) return {estimate, interval.low, interval.high};
  if (HigherIsBetter(dimension, options)) return {std::log(estimate), std::log(interval.low), std::log(interval.high)};
  return {-std::log(estimate), -std::log(interval.high), -std::log(interval.low)};
}

// Rounding must not decide: 1.05 is within 5 %.
bool AtLeast(double a, double b) { return a >= b - 1e-12; }

Outcome OutcomeOf(const Bounds& bounds, double adjusted_p, double margin, double confidence) {
  if (adjusted_p <= 1 - confidence && std::abs(bounds.lead) > margin + 1e-12)
    return bounds.lead > 0 ? Outcome::kBetter : Outcome::kWorse;
  if (AtLeast(bounds.low, -margin) && AtLeast(margin, bounds.high)) return Outcome::kAsGood;
  return Outcome::kUndecided;
}

// The smallest sample, with the same shares, that would decide.
std::optional<int64_t> ProblemsNeeded(const stats::ScoreDifferences& differences, double alpha, const JudgeOptions& options) {
  const double margin = options.accuracy_margin;
  const bool beyond = std::abs(differences.mean()) > margin;
  const auto decides = [&](double times) {
    if (beyond) return differences.PValueIf(times) <= alpha;
    return differences.RejectsIf(times, -margin, options.confidence) &&
           differences.RejectsIf(times, margin, options.confidence);
  };
  double few = 1;
  double many = 2;
  while (!decides(many)) {
    if (many > kMostTimes) return std::nullopt;
    few = many;
    many *= 2;
  }
  const auto problems = static_cast<double>(differences.problems());
  while ((many - few) * problems > 0.5) {
    const double middle = (few + many) / 2;
    (decides(middle) ? many : few) = middle;
  }
  return static_cast<int64_t>(std::ceil(many * problems - 1e-6));
}

// A difference beyond the margin is decided when the interval leaves out equality, a smaller one when it lies within the
// margin.
std::optional<int64_t> RatioNeeds(const stats::RatioEstimate& ratio, double lead, double margin, double alpha,
                                  const JudgeOptions& options) {
  const bool beyond = std::abs(lead) > margin;
  const double half_width = beyond ? std::abs(lead) : margin - std::abs(lead);
  if (half_width < 1e-9) return std::nullopt;
  const auto needed = stats::RepetitionsNeeded(ratio, half_width, beyond ? 1 - alpha : options.confidence);
  if (!needed || static_cast<double>(*needed) > kMostTimes * static_cast<double>(ratio.n)) return std::nullopt;
  return std::max(*needed, ratio.n + 1);
}

// One dimension on its way to a verdict.
struct Work {
  std::optional<stats::RatioEstimate> ratio;
  std::optional<stats::ScoreDifferences> differences;
  bool same_test_as_before = false;  // a dimension judged before rests on the same ratios
  double adjusted_p = 1;
};

struct PairWork {
  PairVerdict verdict;
  std::array<Work, kJudgedDimensions.size()> work;
};

bool IsTested(const DimensionVerdict& verdict) { return verdict.p_value && verdict.n > 0; }

// On one machine a token costs its time: the ratios are the same ratios, and one test is not two.
bool SameRatios(const Work& a, const Work& b) {
  if (!a.ratio || !b.ratio || a.ratio->n != b.ratio->n) return false;
  const auto near = [](double x, double y) { return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y)) + 1e-12; };
  return near(std::abs(std::log(a.ratio->ratio)), std::abs(std::log(b.ratio->ratio))) &&
         near(a.ratio->log_std_error, b.ratio->log_std_error);
}

// Holm over what is really tested; the exact figures keep p as it is. Returns how many tests there were.
size_t AdjustWithinPair(PairWork& pair) {
  std::vector<double> p_values;
  std::vector<size_t> test_of(kJudgedDimensions.size(), 0);
  for (size_t d = 0; d < kJudgedDimensions.size(); ++d) {
    const DimensionVerdict& verdict = pair.verdict.dimensions[d];
    if (!IsTested(verdict)) continue;
    test_of[d] = p_values.size();
    for (size_t before = 0; before < d; ++before) {
      if (!SameRatios(pair.work[before], pair.work[d])) continue;
      pair.work[d].same_test_as_before = true;
      test_of[d] = test_of[before];
    }
    if (!pair.work[d].same_test_as_before) p_values.push_back(*verdict.p_value);
  }
  const std::vector<double> adjusted = stats::HolmAdjusted(p_values);
  for (size_t d = 0; d < kJudgedDimensions.size(); ++d) {
    const DimensionVerdict& verdict = pair.verdict.dimensions[d];
    if (verdict.p_value) pair.work[d].adjusted_p = IsTested(verdict) ? adjusted[test_of[d]] : *verdict.p_value;
  }
  return p_values.size();
}

std::string UndecidedReason(const DimensionVerdict& verdict, const Bounds& bounds, double margin, double confidence) {
  const bool excludes_equality = bounds.low > 0 || bounds.high < 0;
  const std::string_view unit = verdict.dimension == Dimension::kAccuracy ? "problems" : "repetitions";
  std::string reason = "the interval reaches from equality to beyond the margin";
  if (excludes_equality && std::abs(bounds.lead) > margin) {
    reason = *verdict.p_value > 1 - confidence ? "the exact test does not exclude equality"
                                               : "certain alone, not among the tests of this pair";
  } else if (excludes_equality) {
    reason = "there is a difference, which may be within the margin or beyond";
  }
  if (verdict.n_would_decide) return fmt::format("{}; about {} {} would decide", reason, *verdict.n_would_decide, unit);
  return fmt::format("{}; no reasonable number of {} would decide at this difference", reason, unit);
}

void Conclude(PairWork& pair, const JudgeOptions& options) {
  const size_t tests = AdjustWithinPair(pair);
  const double alpha = (1 - options.confidence) / static_cast<double>(std::max<size_t>(tests, 1));
  for (size_t d = 0; d < kJudgedDimensions.size(); ++d) {
    DimensionVerdict& verdict = pair.verdict.dimensions[d];
    if (!verdict.interval) continue;
    const double margin = LeadMargin(verdict.dimension, options);
    const Bounds bounds = LeadBounds(*verdict.estimate, *verdict.interval, verdict.dimension, options);
    verdict.first_not_inferior = AtLeast(bounds.low, -margin);
    verdict.second_not_inferior = AtLeast(margin, bounds.high);
    verdict.outcome = OutcomeOf(bounds, pair.work[d].adjusted_p, margin, options.confidence);
    if (verdict.outcome != Outcome::kUndecided) continue;
    if (pair.work[d].ratio) verdict.n_would_decide = RatioNeeds(*pair.work[d].ratio, bounds.lead, margin, alpha, options);
    if (pair.work[d].differences) verdict.n_would_decide = ProblemsNeeded(*pair.work[d].differences, alpha, options);
    verdict.reason = UndecidedReason(verdict, bounds, margin, options.confidence);
  }
}

PairWork JudgePair(std::span<const Evidence> systems, size_t i, size_t j, const JudgeOptions& options) {
  const Evidence& first = systems[i];
  const Evidence& second = systems[j];
  PairWork pair;
  pair.verdict.first = i;
  pair.verdict.second = j;
  for (size_t d = 0; d < kJudgedDimensions.size(); ++d) {
    DimensionVerdict& verdict = pair.verdict.dimensions[d];
    verdict.dimension = kJudgedDimensions[d];
    const auto a = FigureOf(first, verdict.dimension);
    const auto b = FigureOf(second, verdict.dimension);
    if (a && b) verdict.estimate = verdict.dimension == Dimension::kAccuracy ? *a - *b : *a / *b;
    if (!TakesPart(first, options) || !TakesPart(second, options)) {
      verdict.reason = TrippedGates(first, second);
    } else if (!a || !b) {
      verdict.reason = NotKnown(first, second, verdict.dimension);
    } else if (verdict.dimension == Dimension::kAccuracy) {
      pair.work[d].differences = Differences(first, second);
      CompareAccuracy(pair.work[d].differences, options, verdict);
    } else {
      CompareRatios(first, second, options, verdict, pair.work[d].ratio);
    }
  }
  Conclude(pair, options);
  return pair;
}

void MarkWhatHoldsOverAll(std::vector<PairWork>& pairs, double confidence) {
  std::vector<double> p_values;
  for (const PairWork& pair : pairs) {
    for (size_t d = 0; d < kJudgedDimensions.size(); ++d) {
      if (IsTested(pair.verdict.dimensions[d]) && !pair.work[d].same_test_as_before)
        p_values.push_back(*pair.verdict.dimensions[d].p_value);
    }
  }
  // What Holm rejects is what lies at or below its largest rejected value. Dimensions with the same ratios share it but for
  // rounding.
  const std::vector<double> adjusted = stats::HolmAdjusted(p_values);
  double limit = -1;
  for (size_t i = 0; i < p_values.size(); ++i) {
    if (adjusted[i] <= 1 - confidence) limit = std::max(limit, p_values[i] * (1 + 1e-6));
  }
  for (PairWork& pair : pairs) {
    for (DimensionVerdict& verdict : pair.verdict.dimensions) {
      const bool differs = verdict.outcome == Outcome::kBetter || verdict.outcome == Outcome::kWorse;
      verdict.holds_over_all = differs && (!IsTested(verdict) || *verdict.p_value <= limit);
    }
  }
}

}  // namespace

bool HigherIsBetter(Dimension dimension, const JudgeOptions& options) {
  if (dimension == Dimension::kAccuracy) return true;
  return dimension == Dimension::kCost ? options.cost.higher_is_better : options.performance.higher_is_better;
}

std::optional<double> FigureOf(const Evidence& evidence, Dimension dimension) {
  if (dimension == Dimension::kAccuracy) return evidence.accuracy;
  const std::optional<double>& value = SeriesOf(evidence, dimension).value;
  return Positive(value) ? value : std::nullopt;
}

bool TakesPart(const Evidence& evidence, const JudgeOptions& options) {
  return options.include_invalid || evidence.tripped.empty();
}

std::vector<PairVerdict> JudgePairs(std::span<const Evidence> systems, const JudgeOptions& options) {
  CHECK(options.ratio_margin > 0 && options.accuracy_margin > 0 && options.least_repetitions >= 2);
  std::vector<PairWork> pairs;
  for (size_t i = 0; i < systems.size(); ++i) {
    for (size_t j = i + 1; j < systems.size(); ++j) pairs.push_back(JudgePair(systems, i, j, options));
  }
  MarkWhatHoldsOverAll(pairs, options.confidence);
  std::vector<PairVerdict> verdicts;
  for (PairWork& pair : pairs) verdicts.push_back(std::move(pair.verdict));
  return verdicts;
}

DimensionVerdict Reversed(DimensionVerdict verdict) {
  const bool accuracy = verdict.dimension == Dimension::kAccuracy;
  const auto turn = [&](std::optional<stats::Interval>& interval) {
    if (!interval) return;
    *interval =
        accuracy ? stats::Interval{-interval->high, -interval->low} : stats::Interval{1 / interval->high, 1 / interval->low};
  };
  if (verdict.outcome == Outcome::kBetter) {
    verdict.outcome = Outcome::kWorse;
  } else if (verdict.outcome == Outcome::kWorse) {
    verdict.outcome = Outcome::kBetter;
  }
  if (verdict.estimate) verdict.estimate = accuracy ? -*verdict.estimate : 1 / *verdict.estimate;
  turn(verdict.interval);
  turn(verdict.range);
  std::swap(verdict.first_not_inferior, verdict.second_not_inferior);
  return verdict;
}

double LeadMargin(Dimension dimension, const JudgeOptions& options) {
  return dimension == Dimension::kAccuracy ? options.accuracy_margin : std::log1p(options.ratio_margin);
}

double LeadOf(const DimensionVerdict& verdict, const JudgeOptions& options) {
  const double estimate = verdict.estimate.value_or(verdict.dimension == Dimension::kAccuracy ? 0 : 1);
  return LeadBounds(estimate, {estimate, estimate}, verdict.dimension, options).lead;
}

}  // namespace moecap::cap
