// Scores of the answers to a data set. Internal to experiment/.
#pragma once

#include <span>
#include <vector>

#include "experiment/config.h"
#include "record/request_record.h"
#include "workload/dataset.h"

namespace moecap::experiment {

// Sets `score` and `extracted`. A failed request is a wrong answer; a cancelled one is neither right nor wrong.
void Score(const ProblemSet& set, std::span<const workload::Problem> problems, std::vector<record::RequestRecord>& requests);

}  // namespace moecap::experiment
