// Problems to send and their right answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::workload {

struct Problem {
  std::string id;  // unique within the data set; "<line number>" when the file gives none
  std::string question;
  std::string answer;  // the reference solution as the data set writes it
};

// JSON lines with `question` and `answer` (GSM8K's format) and optionally `id`. Every line is checked, also those not used.
// Errors: kBadInput with file, line and key; an empty file; a repeated id.
Result<std::vector<Problem>> ReadProblems(const std::filesystem::path& path);

// The first `count` problems, as lm-evaluation-harness' --limit; with a seed, `count` drawn without replacement in an order
// that depends on the seed alone. Error: kBadInput when the data set has fewer.
Result<std::vector<Problem>> SelectProblems(std::vector<Problem> problems, int64_t count, std::optional<uint64_t> seed);

// lm-evaluation-harness' zero-shot prompt of task gsm8k: "Question: {question}\nAnswer:".
std::string Gsm8kPrompt(const Problem& problem);

}  // namespace moecap::workload
