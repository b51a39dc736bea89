#include "metrics/gate.h"

#include <algorithm>
#include <utility>

namespace moecap::metrics {

Gate MakeGate(std::string name, double bound, std::string unit, bool at_least) {
  Gate gate;
  gate.name = std::move(name);
  gate.bound = bound;
  gate.unit = std::move(unit);
  gate.at_least = at_least;
  return gate;
}

Gate Judge(Gate gate, double value, std::string when_tripped) {
  gate.value = value;
  // Written so that NaN does not pass.
  const bool passed = gate.at_least ? value >= gate.bound : value <= gate.bound;
  gate.state = passed ? Gate::State::kPassed : Gate::State::kTripped;
  gate.explanation = passed ? std::string() : std::move(when_tripped);
  return gate;
}

Gate JudgeIfKnown(Gate gate, std::optional<double> value, std::string when_tripped, std::string why_not) {
  return value ? Judge(std::move(gate), *value, std::move(when_tripped)) : NotMeasured(std::move(gate), std::move(why_not));
}

Gate NotMeasured(Gate gate, std::string why) {
  gate.value.reset();
  gate.state = Gate::State::kNotMeasured;
  gate.explanation = std::move(why);
  return gate;
}

double Excess(const Gate& gate) {
  if (!gate.value) return 0;
  return gate.at_least ? gate.bound - *gate.value : *gate.value - gate.bound;
}

bool AnyTripped(std::span<const Gate> gates) {
  return std::ranges::any_of(gates, [](const Gate& gate) { return gate.tripped(); });
}

std::vector<std::string> TrippedWords(std::span<const Gate> gates) {
  std::vector<std::string> words;
  for (const Gate& gate : gates) {
    if (gate.tripped()) words.push_back(gate.explanation);
  }
  return words;
}

}  // namespace moecap::metrics
