// Files of replies to be scored, of any engine: JSON lines in three forms, told apart row by row.
//
//   plain                   prediction (text; null or missing with "error" or "success": false: the request failed), gold,
//   target or
//                           answer (text or number), id (default: the row's number), choices
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
  std::string gold;                      // as ReadGold
  std::vector<std::string> choices;
  std::map<std::string, double> recorded;  // filter -> the score that the file itself gives
};

struct Predictions {
  std::string form;                   // "plain JSONL", "lm-eval samples", "MoE-CAP output_data"
  std::vector<Item> items;            // in the file's order
  std::vector<std::string> warnings;  // what is odd but can be scored: "FILE: row 7: ...", at most kMostWarnings and a count
};

inline constexpr size_t kMostWarnings = 5;

// The gold answers of a data set, JSON lines with gold, target, answer or solution, and id where they have one.
struct Golds {
  struct Row {
    std::string gold;
    std::vector<std::string> choices;
  };
  std::vector<Row> rows;
  std::map<std::string, size_t> by_id;  // only of rows with an id
};

// `name` stands in messages. Errors: kBadInput naming file and row: no JSON, a missing field, a gold that is empty or cannot be
// read, an id twice, no rows.
Result<Golds> ParseGolds(std::string_view text, const std::string& name, const Task& task);

// Gold is looked up in `golds`, which may be null, where a row has none: by id; by position for MoE-CAP's files and where the
// gold rows have no ids.
Result<Predictions> ParsePredictions(std::string_view text, const std::string& name, const Task& task, const Golds* golds);

}  // namespace moecap::accuracy
