// One request from intention to last token. JSON form (requests.jsonl) in docs/formats/records.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "record/pass_record.h"

namespace moecap::record {

enum class FinishReason { kStop, kLength, kError, kCancelled };

// Times are seconds since the start of the cell's repetition.
struct RequestRecord {
  CellId cell;
  std::string id;  // the problem's id in the data set
  int client = 0;  // which closed-loop client sent it

  double intended_send_s = 0;
  double send_s = 0;
  std::vector<double> token_s;  // arrival of each output token, the end token included if the engine produced one

  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  Source tokens_source = Source::kMeasured;

  FinishReason finish = FinishReason::kStop;
  std::string error;  // empty unless finish == kError

  std::vector<int32_t> token_ids;  // of the output
  std::string text;                // of the output

  std::optional<std::string> extracted;  // the answer that the scorer found
  std::optional<double> score;           // 0..1; null when not scored

  bool ok() const { return finish == FinishReason::kStop || finish == FinishReason::kLength; }
};

}  // namespace moecap::record
