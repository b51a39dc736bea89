// The same requests under the definitions of other benchmark clients, so that two tools' answers can be told apart from two
// servers' behaviour. Each tool is a row of choices (compat.cc), taken from its source as named there.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/request_record.h"

namespace moecap::metrics {

struct ToolFigure {
  std::string name;               // "ttft", "tpot", "itl", "e2el"
  std::vector<double> samples_s;  // ascending
  double mean_s = 0, median_s = 0, stddev_s = 0, p99_s = 0;
};

struct ToolView {
  std::string tool;                 // "vllm"
  std::string why;                  // one line: where its figures differ from ours, and why
  std::vector<ToolFigure> figures;  // without those that have no sample
  int64_t completed = 0, failed = 0;
  int64_t input_tokens = 0, output_tokens = 0;  // of those completed
  double duration_s = 0;                        // as the tool counts it
  // Over the duration; null when it is 0.
  std::optional<double> requests_per_s, output_tokens_per_s, total_tokens_per_s;

  const ToolFigure* Find(std::string_view name) const;
};

// One request as a tool sees it.
struct ToolRequest {
  double start_s = 0;  // where its clock starts
  double e2e_s = 0;
  std::optional<double> ttft_s;  // null for an answer that came whole, as tpot_s then is; itl_s is empty
  std::optional<double> tpot_s;  // null for too few tokens
  std::vector<double> itl_s;     // in time order
};

// "moecap", "vllm", "sglang", "aiperf", "guidellm", "mlperf".
std::vector<std::string> CompatTools();

// Error: kBadInput for an unknown tool, with those that there are.
Result<ToolView> ViewAs(std::string_view tool, std::span<const record::RequestRecord> requests);

// Null for a request that failed or has no tokens. Error: as ViewAs.
Result<std::optional<ToolRequest>> ViewRequestAs(std::string_view tool, const record::RequestRecord& request);

}  // namespace moecap::metrics
