// What load does to a system's answers: those to the same problems at each level against those at the lowest one, and their
// accuracy against that at one client. Internal to experiment/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cap/summary.h"
#include "experiment/cell.h"

namespace moecap::experiment {

class LoadQuality {
 public:
  // `margin`: a drop of the accuracy that does not matter, as a share. `is_greedy`: equal requests should get equal answers.
  // `by_choice`: answers are alike where the same was extracted, as log-likelihoods differ in their last digits.
  LoadQuality(double margin, bool is_greedy, bool by_choice = false)
      : margin_(margin), is_greedy_(is_greedy), by_choice_(by_choice) {}

  // Call it for the cells of one system in ascending order of their levels, each with its measurements and their facts. Adds
  // figures, a note and the gate "accuracy under load" to the cell: the drop of the mean score on the problems of both levels
  // trips it where it is larger than `margin` and than what chance explains (the distance of its value from the lower end of
  // its 95 % interval, stats::ScoreDifferences).
  void Judge(std::span<const MeasuredFacts> measurements, cap::CellSummary& cell);

 private:
  struct Changed {
    int64_t compared = 0, changed = 0;
  };
  // The texts of answers, by problem and repetition, as hashes.
  using Texts = std::map<std::pair<std::string, int>, uint64_t>;
  Texts TextsOf(std::span<const MeasuredFacts> measurements) const;
  Changed Compare(const Texts& texts) const;
  void JudgeAccuracy(cap::CellSummary& cell) const;

  double margin_;
  bool is_greedy_, by_choice_;
  std::string lowest_;  // the level that `texts_` are of
  std::optional<Texts> texts_;
  std::optional<std::vector<cap::ProblemScore>> alone_;  // at one client
};

}  // namespace moecap::experiment
