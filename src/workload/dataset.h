// Problems to send and their right answers, from the files of a data set (dataset_catalogue.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "workload/dataset_files.h"

namespace moecap::workload {

struct Problem {
  std::string id;  // unique within the data set; the row's number where the file gives none
  std::string question;
  std::string answer;                         // what is right: as the data set writes it, or a choice's letter; may be empty
  std::vector<std::string> answers;           // all right ones, where the data set has a list
  std::vector<std::string> choices;           // of multiple choice, in the order in which they are shown
  std::string group;                          // that samples are balanced over: a subject, a task; may be empty
  std::map<std::string, std::string> fields;  // what prompts may name besides: "context", "solution", ...
  std::string facts;                          // a JSON object with what else scoring needs; empty = nothing
  int64_t index = 0;                          // where it stands in the split, from 0
  std::string place;                          // "FILE:LINE", for messages
};

struct LoadedDataset {
  std::vector<Problem> problems;  // not empty; in the files' order
  FoundSplit found;
  int64_t rows = 0;     // of the files
  int64_t skipped = 0;  // rows that have no right answer and are left out (WhenMissing::kSkip)
};

// Reads and checks every row of a split. `seed` orders the choices where the data set does not (GoldRule::kFirstShuffled).
// Errors: kBadInput with file and row for a missing column, a right answer that cannot be read, a repeated id; for no rows;
// where the number of rows is that of another split; FindSplit's.
Result<LoadedDataset> LoadDataset(const DatasetInfo& info, const std::string& split, const std::filesystem::path& given,
                                  uint64_t seed);

// The first `count` problems, as lm-evaluation-harness' --limit; with a seed, `count` drawn without replacement in an order
// that depends on the seed alone. Error: kBadInput when the data set has fewer.
Result<std::vector<Problem>> SelectProblems(std::vector<Problem> problems, int64_t count, std::optional<uint64_t> seed);

// `count` problems drawn by the seed so that every group has its share of them, within one problem (largest remainders), in an
// order drawn by the seed, too. Error: as above.
Result<std::vector<Problem>> SampleProblems(std::vector<Problem> problems, int64_t count, uint64_t seed);

}  // namespace moecap::workload
