// What a scorer is given and what it says.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace moecap::accuracy {

struct Reference;  // reference.h

struct Answer {
  std::string_view prediction;           // the reply as it came; UTF-8
  std::string_view gold;                 // the data set's answer
  std::span<const std::string> choices;  // of multiple choice, in the order A, B, ...; may be empty where no rule needs them
  const Reference* reference = nullptr;  // all that the data set's row says; only for rules of benchmarks that need it
};

struct Verdict {
  std::optional<std::string> extracted;  // null: no answer found (lm-eval's "[invalid]")
  bool correct = false;                  // wholly
  bool gave_up = false;         // a search or a comparison reached its limit, and what it looked for counts as not found
  std::optional<double> share;  // 0..1, of rules that know answers which are partly right; null = right or wrong
  // Of how many equal parts `share` is the mean, where answers count by them (IFEval's instructions). 0 = not judged, neither
  // right nor wrong, for this reason.
  int64_t parts = 1;
  std::string reason;

  bool IsJudged() const { return parts > 0; }
  double Score() const { return share ? *share : correct ? 1 : 0; }
};

using Scorer = Verdict (*)(const Answer& answer);

}  // namespace moecap::accuracy
