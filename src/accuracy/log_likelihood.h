// Multiple choice by log-likelihood: the answer is the choice that the model finds likeliest behind the question. What is
// scored is the list of log-likelihoods, "[-1.25,-3.5]", one for each choice.
#pragma once

#include <string_view>

#include "accuracy/verdict.h"

namespace moecap::accuracy {

// Of the contract lm-eval: the task that these filters are of.
inline constexpr std::string_view kLikelihoodTask = "multiple_choice";

// lm-evaluation-harness 4e7e0d4, lm_eval/api/task.py, output_type multiple_choice; the first of equally likely ones. Extracted
// is the choice's letter; none where the reply is no such list, or (acc_norm) one of another length than the choices.
Verdict LikeliestChoice(const Answer& answer);         // acc
Verdict LikeliestCharacterwise(const Answer& answer);  // acc_norm: by log-likelihood over the choice's length in characters

}  // namespace moecap::accuracy
