// One check of a measurement: did something spoil what was measured? Every judgement of a measurement's validity in this
// program has this type. Pure values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace moecap::metrics {

// A gate passes when its value is at most (or at least) the bound. One that trips marks the measurement: its figures stay
// visible and decide nothing. One that could not be judged does neither. docs/metrics.md and docs/load.md say how each bound
// was chosen.
struct Gate {
  enum class State { kPassed, kTripped, kNotMeasured };
  std::string name;             // "pacing lag p99"; unique among the gates of a measurement
  std::optional<double> value;  // in `unit`; null when not measured
  double bound = 0;             // in `unit`
  bool at_least = false;        // the value must be at least the bound, else at most
  std::string unit;             // "s", "share", "x", "requests", "passes", "/s"
  State state = State::kNotMeasured;
  std::string explanation;  // when tripped: what it means and what to do; when not measured: why; else empty

  bool tripped() const { return state == State::kTripped; }
};

// A gate that has not been judged yet.
Gate MakeGate(std::string name, double bound, std::string unit, bool at_least = false);

// The gate with this value, passed or tripped; `when_tripped` says what a trip means and what to do. A value that is not a
// number trips.
Gate Judge(Gate gate, double value, std::string when_tripped);

// Judge where there is a value, else NotMeasured with `why_not`.
Gate JudgeIfKnown(Gate gate, std::optional<double> value, std::string when_tripped, std::string why_not);

// The gate with the reason why it cannot be judged.
Gate NotMeasured(Gate gate, std::string why);

// How far the value lies beyond the bound, in the gate's unit; negative within it, 0 without a value.
double Excess(const Gate& gate);

bool AnyTripped(std::span<const Gate> gates);

// The explanation of each tripped gate, in order.
std::vector<std::string> TrippedWords(std::span<const Gate> gates);

}  // namespace moecap::metrics
