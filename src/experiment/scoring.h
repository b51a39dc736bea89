// Scores of the answers to a data set. Internal to experiment/.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "experiment/config.h"
#include "record/request_record.h"
#include "workload/dataset.h"

namespace moecap::experiment {

// Sets `score` and `extracted`, of what follows the reasoning in an answer. A failed request is a wrong answer; a cancelled one
// is neither right nor wrong. Nothing is set where the set has no scoring. `stop`: what ends an answer whose request had no
// stop strings (ProblemSet::reasoning).
void Score(const ProblemSet& set, std::span<const workload::Problem> problems, std::span<const std::string> stop,
           std::vector<record::RequestRecord>& requests);

}  // namespace moecap::experiment
