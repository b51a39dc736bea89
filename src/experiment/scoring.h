// Scores of the answers to a data set.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "accuracy/contract.h"
#include "accuracy/predictions.h"
#include "base/result.h"
#include "experiment/config.h"
#include "record/request_record.h"
#include "workload/dataset.h"

namespace moecap::experiment {

// What is right in a problem, as the task's rules read it. Error: kBadInput with the problem's place.
Result<accuracy::Reference> ReferenceOf(const accuracy::Task& task, const workload::Problem& problem);
// Of all of them. Error: as above.
Result<accuracy::Golds> GoldsOf(const accuracy::Task& task, std::span<const workload::Problem> problems);

// Internal to experiment/. Sets `score`, `score_parts`, `part` and `extracted`, of what follows the reasoning in an answer. A
// failed request is a wrong answer; a cancelled one, and one on which the scorer says nothing, is neither right nor wrong.
// Nothing is set where the set has no scoring. `stop`: what ends an answer whose request had no stop strings
// (ProblemSet::reasoning). `run_code` as of accuracy::Judge. Error: that of `run_code`; kBadInput where it is needed and empty.
Status Score(const ProblemSet& set, std::span<const workload::Problem> problems, std::span<const std::string> stop,
             const accuracy::ProgramRunner& run_code, std::vector<record::RequestRecord>& requests);

}  // namespace moecap::experiment
