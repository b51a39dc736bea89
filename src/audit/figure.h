// A figure that was published beside the same figure computed here, and whether the two agree.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::audit {

// A number as it stands in print. The exact value may lie half a unit of the last printed digit away: "14.3e9" is 14.3e9 +-
// 0.05e9.
struct Printed {
  double value = 0;
  double half_digit = 0;
};

// Reads "1040e9", "0.5305", "-3". Error kBadInput when `text` is not one finite decimal number.
Result<Printed> ParsePrinted(std::string_view text);

enum class Unit {
  kCount,
  kParams,
  kShare,  // 0..1, shown in percent
  kBytesPerS,
  kSeconds,
  kUsd,
  kWatts,
  kScore,  // 0..100
  kRatio,
  kTokens,
};
// For machines: "1", "params", "share", "B/s", "s", "USD", "W", "score", "ratio", "tokens".
std::string_view UnitName(Unit unit);
// For people, with the unit: "671B", "53.05 %", "18901 GB/s".
std::string FormatFigure(double value, Unit unit);

// What the publication says of its number: that it is the value, that the value is larger, or that it is not larger.
enum class Relation { kEqual, kOver, kAtMost };
// "=", ">", "<=".
std::string_view RelationName(Relation relation);

enum class Verdict {
  kNone,  // nothing was published: a figure of ours that explains the others
  kAgrees,
  kDiffers,
  kNotComputable,
};
// "-", "agrees", "differs", "not computable".
std::string_view VerdictName(Verdict verdict);

struct Figure {
  std::string quantity;  // "total parameters"
  Unit unit = Unit::kCount;
  std::optional<Printed> published;
  Relation relation = Relation::kEqual;
  std::optional<double> computed;   // null: not computable here
  std::optional<double> low, high;  // range of `computed` that conventions, estimates or rounded inputs leave; low <= high
  bool estimated = false;           // `computed` rests on an estimate (routing, prices)
  double tolerance = 0;             // also allowed, relative to the published value
  std::vector<double> readings;     // other values that the same words can mean; each counts
  // Where inputs were not published and `computed` assumes them: what no assumption can leave. Infinite = no such bound.
  std::optional<double> possible_low, possible_high;
  // Figures that are words ("PC"): both set, and the numbers above are not used.
  std::string published_text, computed_text;
};

// kAgrees: the published number, give or take half of its last digit and the tolerance, lies in [low, high] (by default the
// computed value alone); for a bound, the computed value keeps it. A bound that only an end of [low, high] keeps is
// kNotComputable: the printed inputs have too few digits to tell. So is a number that differs from what was computed with
// assumed inputs, unless no assumption could give it. Words agree when they are equal.
Verdict Judge(const Figure& figure);

// computed - published; null when either is missing.
std::optional<double> Difference(const Figure& figure);
// The same over |published|; null too when that is 0.
std::optional<double> RelativeDifference(const Figure& figure);

// What became of one claim.
struct ClaimReport {
  std::string id, kind, source;
  std::vector<Figure> figures;
  std::vector<std::string>
      reasons;  // why figures differ, or what the range is: sentences with computed numbers, then the file's note
  std::vector<std::string> missing;  // inputs that were not published and without which a figure cannot be computed

  // kDiffers when any figure does; else kNotComputable when any is; else kAgrees when any does; else kNotComputable.
  Verdict Overall() const;
};

}  // namespace moecap::audit
