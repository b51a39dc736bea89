// In which respects experiments must agree to be compared, and whether they do. Internal to analysis/.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "analysis/compare.h"

namespace moecap::analysis {

// The systems of an experiment that take part.
struct Participants {
  const StoredExperiment* experiment = nullptr;
  std::vector<const experiment::PricedSystem*> systems;
};

cap::ComparedExperiment Describe(const Participants& participants);

// Where the identities that are known differ. `described`: of the same experiments.
std::vector<cap::Mismatch> FindMismatches(std::span<const Participants> participants,
                                          std::span<const cap::ComparedExperiment> described,
                                          const std::vector<std::string>& by);

// "RUN_A has ..., RUN_B has ...".
std::string InWords(const cap::Mismatch& mismatch, std::span<const cap::ComparedExperiment> experiments);

// Names what differs, why it matters and the flag that helps.
Error Refusal(std::span<const cap::Mismatch> unintended, std::span<const cap::ComparedExperiment> experiments);

// What could not be checked, a sentence each; nothing for one experiment.
std::vector<std::string> Unchecked(std::span<const Participants> participants);

}  // namespace moecap::analysis
