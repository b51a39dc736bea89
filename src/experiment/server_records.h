// The passes that a server writes down itself while it runs on this machine, as passes.jsonl (docs/formats/records.md) with the
// start of each pass on the clock that all programs of a machine share: `tools/peers start transformers --record FILE` does.
// Internal to experiment/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"

namespace moecap::experiment {

// A span of CLOCK_MONOTONIC.
struct ClockSpan {
  double begin_s = 0;
  double end_s = 0;
};

// How much of the file is written. Error: kBadInput with the remedy when it cannot be read.
Result<uint64_t> SizeOfServerRecords(const std::filesystem::path& file);

// The passes in the whole lines behind `begin` that started within the span, their start_s counted from its begin, all of them
// server-reported. Waits until the writer has come to rest, two seconds at most. Error: kBadInput with the line when one is no
// pass or does not tell its start on the clock.
Result<std::vector<record::PassRecord>> ReadServerRecords(const std::filesystem::path& file, uint64_t begin, ClockSpan span);

}  // namespace moecap::experiment
