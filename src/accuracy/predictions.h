// Files of replies to be scored, of any engine: JSON lines in three forms, told apart row by row.
//
//   plain                   prediction, or completion, response, pred, text (text; null or missing with "error" or "success":
//                           false: the request failed), gold, target, answer, answers or outputs (text, number, or a list where
//                           the task knows several), id, task_id, key or _id (default: the row's number), choices, the task's
//                           facts; of programs, a row for each sample
//   lm-eval samples_*.jsonl doc_id, resps, target, filter, doc; a document has one row a filter
//   MoE-CAP output_data_*   index, output_tokens (the text), success; the gold comes from another file
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "accuracy/contract.h"
#include "base/result.h"

namespace moecap::accuracy {

struct Item {
  std::string id;
  int64_t row = 0;                       // of the file, from 1; the first of several
  std::vector<std::string> predictions;  // none: the request failed; several: repeats of one question
  Reference reference;
  std::map<std::string, double> recorded;  // filter -> the score that the file itself gives
};

struct Predictions {
  std::string form;                   // "plain JSONL", "lm-eval samples", "MoE-CAP output_data"
  std::vector<Item> items;            // in the file's order
  std::vector<std::string> warnings;  // what is odd but can be scored: "FILE: row 7: ...", at most kMostWarnings and a count
};

inline constexpr size_t kMostWarnings = 5;

// What is right in each row of a data set.
struct Golds {
  std::vector<Reference> rows;
  std::map<std::string, size_t> by_id;  // only of rows with an id
};

// JSON lines with gold, target, answer, answers, outputs or solution, or the task's facts, and id where they have one. `name`
// stands in messages. Errors: kBadInput naming file and row: no JSON, a missing field, a gold that is empty or cannot be read,
// an id twice, no rows.
Result<Golds> ParseGolds(std::string_view text, const std::string& name, const Task& task);

// Gold is looked up in `golds`, which may be null, where a row has none: by id; by position for MoE-CAP's files and where the
// gold rows have no ids.
Result<Predictions> ParsePredictions(std::string_view text, const std::string& name, const Task& task, const Golds* golds);

}  // namespace moecap::accuracy
