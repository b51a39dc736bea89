// A stored experiment as the result files of the Python implementation of MoE-CAP: same names, same keys, our facts.
// docs/formats/upstream_files.md says which of our figures stands under which key, and where the meaning is narrower.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "record/level.h"
#include "record/pass_record.h"
#include "record/request_record.h"

namespace moecap::report {

// The records of one whole measurement.
struct UpstreamMeasurement {
  std::string system;
  record::Level level;
  std::vector<record::RequestRecord> requests;
  std::vector<record::PassRecord> passes;
};

// What the summary does not hold.
struct UpstreamFacts {
  std::vector<UpstreamMeasurement> measurements;
  std::vector<int> layers;                         // of each system's model, dense ones included, by index in the summary;
                                                   // missing or 0 = not known
  std::optional<int64_t> requested_output_tokens;  // the limit that every request was sent with
};

struct NamedText {
  std::string path;  // relative, with "/": "0-F16-c4/Qwen/Qwen3-30B-A3B/metrics_gsm8k_20260131_120000.json"
  std::string text;
};

// For every system and level one output folder: metrics_*.json, metadata_*.json, output_data_*.jsonl,
// detailed_results_*.jsonl, and moecap_extra_*.json with what the Python implementation computes and does not save.
// arena_hard_judge_*.jsonl is never among them: no run holds judgements. What was not measured is null.
std::vector<NamedText> UpstreamFiles(const cap::ExperimentSummary& summary, const UpstreamFacts& facts);

// `text` as one component of a path: letters, digits and "._-" stay, the rest becomes '_'; never empty, "." or "..".
std::string PathComponent(std::string_view text);

}  // namespace moecap::report
