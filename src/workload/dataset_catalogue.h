// The data sets that this program can read: where they are published, how their files look, what is right. The facts are data,
// catalog/datasets/*.yaml, each with its source; docs/datasets.md explains the keys.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::workload {

// How the right answer stands in a row.
enum class GoldRule : uint8_t {
  kText,           // as it is: a text or a number
  kHashes,         // the solution; a number stands behind its last "####"
  kBoxed,          // in the last \boxed{} of the solution
  kChoice,         // a letter, or a number from 0, of one of the choices
  kFirstShuffled,  // the first of the choices, which are put into an order drawn from the seed
  kInteger,        // a whole number, perhaps with leading zeros
  kList,           // one or more right answers
  kNone,           // none: the answer is judged, run or checked against the row's facts
};

// What a row lacks without being wrong.
enum class WhenMissing : uint8_t { kError, kSkip };

// Files of one split: `path` is relative to the data set's folder; a '*' stands for any part of a name.
struct DatasetFile {
  std::string split;
  std::string path;
  std::string except;           // names that '*' must not stand for, same form; empty = none
  std::optional<int64_t> rows;  // of all files together
  std::string sha256;           // of the file; of several, of the sorted lines "HASH  NAME\n"; empty = not known
};

// A text that prompts may name.
struct DatasetField {
  std::vector<std::string>
      columns;       // the first that the row has; "a.0.b" reaches inside, "@file" is what the first '*' stood for
  std::string drop;  // taken off the front where the text begins with it
};

struct DatasetInfo {
  std::string name;                               // "gsm8k"
  std::string title;                              // one line
  std::string licence;                            // SPDX id where there is one
  std::string home;                               // URL; may be empty
  std::vector<std::string> hubs;                  // "openai/gsm8k": repositories of the Hugging Face hub
  std::vector<std::string> folders;               // names that a folder with its files may have, besides `name`
  std::string get;                                // what to fetch, in words
  std::string split;                              // that is evaluated
  std::string shots_split;                        // where worked examples come from; empty = nowhere
  std::vector<DatasetFile> files;                 // the first entry of a split that is there is read
  std::vector<std::string> columns;               // of CSV files without a header; empty = they have one
  std::map<std::string, DatasetField> fields;     // "question" is always there
  std::vector<std::string> optional;              // fields that a row may lack
  std::vector<std::vector<std::string>> choices;  // ways to write them: columns, or one column with a list
  std::string group;                              // the field that samples are balanced over; empty = none
  std::vector<std::string> id;                    // columns; none = the row's number
  GoldRule gold = GoldRule::kNone;
  std::vector<std::string> gold_columns;
  WhenMissing when_missing = WhenMissing::kError;
  std::vector<std::string> facts;              // columns that scoring needs
  std::string task;                            // what scores it: "gsm8k"
  std::vector<std::string> prompts;            // names of prompt templates; the first is the usual one
  std::map<std::string, std::string> sources;  // of licence, files, rows, fields, sha256
};

// Error: kBadInput with file, line and key.
Result<DatasetInfo> ParseDatasetInfo(std::string_view text, const std::string& file);

// All of them, by name.
Result<std::vector<DatasetInfo>> BuiltinDatasets();

// Error: kBadInput with the nearest name.
Result<DatasetInfo> FindDataset(const std::string& name);
bool IsDatasetName(const std::string& name);

// "test, train": the splits of its files, each once.
std::vector<std::string> SplitsOf(const DatasetInfo& info);

// How many rows the split has as it was published; null = not known.
std::optional<int64_t> RowsOf(const DatasetInfo& info, const std::string& split);

}  // namespace moecap::workload
