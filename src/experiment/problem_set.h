// The problems that a configuration asks for, read, checked, drawn and ready to be rendered.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/config.h"
#include "workload/prompter.h"

namespace moecap::experiment {

struct PreparedProblems {
  std::vector<workload::Problem> problems;  // in the order they are sent
  std::vector<workload::Problem> others;    // of the same split, for warm-ups
  std::optional<workload::Prompter> prompter;
  std::vector<std::string> notes;  // what a reader must know: rows and hash against the published ones, how they were drawn
};

// `base_dir`: of a prompt in a file. Errors: kBadInput with file and row, of data sets and of worked examples that are not
// there.
Result<PreparedProblems> PrepareProblems(const ProblemSet& set, const std::filesystem::path& base_dir);

}  // namespace moecap::experiment
