// The judge: which of the systems in view is better in what, by how much and how sure. Everything that a report says about who
// wins comes from here; renderers judge nothing. The rules in words, with simulated error rates: docs/cap.md.
//
// Rules, with margins m of JudgeOptions and the interval at `confidence` (95 %):
//   better / worse   equality is rejected, and the estimate differs by at least the margin
//   as good          the interval lies within the margin on both sides (two one-sided tests, each at 2.5 %)
//   not inferior     the interval excludes a loss beyond the margin (one-sided, 2.5 %)
//   undecided        none of these; with how many repetitions or problems would decide if the figures stay what they are
//   not judged       no statement is possible, with the reason
// Errors: of the tests of equality of one pair (at most three, Holm's procedure; tests of identical ratios, as cost and time on
// one machine, count once) any is wrong in at most 5 % of reports. That holds for each pair; DimensionVerdict::holds_over_all
// says whether the verdict also stands when all pairs in view are one family (Holm again).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cap/dimension.h"
#include "cap/evidence.h"
#include "stats/interval.h"

namespace moecap::cap {

inline constexpr std::array kJudgedDimensions = {Dimension::kPerformance, Dimension::kCost, Dimension::kAccuracy};

enum class Outcome { kBetter, kWorse, kAsGood, kUndecided, kNotJudged };
std::string_view OutcomeName(Outcome outcome);  // "better", "worse", "as good", "undecided", "not judged"

// One system against another one in one dimension. "First" is the system that the verdict speaks of.
struct DimensionVerdict {
  Dimension dimension = Dimension::kPerformance;
  Outcome outcome = Outcome::kNotJudged;  // of the first
  // Cost and performance: first / second (1 = equal, in the axis' own unit: a TPOT ratio of 0.5 is twice as fast). Accuracy:
  // first - second, 0.01 = one point (0 = equal). Null: a figure is not known.
  std::optional<double> estimate;
  std::optional<stats::Interval> interval;  // of the estimate, at the confidence; null when not judged
  std::optional<stats::Interval> range;     // least and largest ratio by repetition; null for accuracy and exact figures
  std::optional<double> p_value;            // of equality, two-sided, not adjusted; null when not judged
  bool first_not_inferior = false;          // within the margin
  bool second_not_inferior = false;
  bool holds_over_all = false;            // better or worse also when all pairs in view are tested at once
  std::string test;                       // "paired t on log ratios"; empty when not judged
  int64_t n = 0;                          // repetitions, or problems
  std::optional<int64_t> n_would_decide;  // for undecided; null: not to be told, or too many
  std::string reason;                     // of undecided and not judged: half a sentence; else empty
};

struct PairVerdict {
  size_t first = 0, second = 0;                                       // indices of Verdicts::systems, first < second
  std::array<DimensionVerdict, kJudgedDimensions.size()> dimensions;  // in the order of kJudgedDimensions
};

enum class Domination { kDominated, kNotDominated, kUndecided, kNotJudged };
std::string_view DominationName(Domination domination);  // "dominated", "not dominated", "undecided", "not judged"

struct SystemVerdict {
  std::string label;
  // Dominated: another system is not inferior in every dimension in play and better in at least one. Not dominated: against
  // every other system it is better somewhere, or not inferior everywhere.
  Domination domination = Domination::kNotJudged;
  std::vector<size_t> dominated_by;           // indices
  std::optional<size_t> may_be_dominated_by;  // of undecided: it is better in something, and its losses are not excluded
  // What the system keeps of performance (P), cost (C) and accuracy (A), in this order: "PA", "C", "PCA". A letter is kept when
  // the system is not inferior, within the margin, to the best of the systems that are not dominated; lost when that one is
  // better; followed by "?" when neither is decided: "P?A". "-" when all are lost. Empty where letters do not apply, and for a
  // system that is dominated or not judged.
  std::string letters;
  std::string reason;  // one sentence: why dominated, undecided, not judged, or what the letters rest on; may be empty
};

struct Verdicts {
  std::vector<SystemVerdict> systems;  // in the order of the evidence
  std::vector<PairVerdict> pairs;      // every unordered pair, by first, then second; empty for one system
  std::vector<Dimension> dimensions;   // in play: known for at least two of the systems that take part
  // Letters tell a trade only where what an hour or a purchase costs differs between the systems that are not dominated.
  bool letters_apply = false;
  std::string letters_reason;         // one sentence: the trade in words where they do not apply
  std::vector<std::string> headline;  // at most twelve sentences; a disturbed or invalid measurement is in the first
};

// Requires unique labels. Deterministic.
Verdicts Judge(std::span<const Evidence> systems, const JudgeOptions& options = {});

// The verdict of `first` on `second` (indices, different), turned round where the pair is stored the other way.
DimensionVerdict Between(const Verdicts& verdicts, size_t first, size_t second, Dimension dimension);

// Whether each system is on the front in some of the dimensions: none is not inferior in all of them and better in one, so that
// what is as good within the margin counts as equal. Null: a dimension of it was not judged against any other system.
std::vector<std::optional<bool>> FrontOf(const Verdicts& verdicts, std::span<const Dimension> dimensions);

// "Q4_0 is 1.42x faster than F16 (95 % interval 1.38 to 1.47, 5 repetitions)": one verdict as a sentence, without a full stop.
std::string InWords(const DimensionVerdict& verdict, const std::string& first, const std::string& second,
                    const JudgeOptions& options);

}  // namespace moecap::cap
