// Recorded arrivals of production traffic, to be replayed: when each request came, how long it was, and what it shared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::workload {

struct TracedRequest {
  double at_s = 0;  // since the first request of the trace
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  // Ids of the prompt's blocks, in order: equal leading ids mean an equal prefix. Empty where the trace does not tell.
  std::vector<int64_t> prefix_blocks;
  std::string session;  // requests with the same session are turns of one conversation; empty = none
};

enum class TraceFormat {
  kMooncake,  // JSON lines: timestamp (ms), input_length, output_length, hash_ids of blocks of 512 tokens, session_id
  kBurstGpt,  // CSV: Timestamp (s), Model, Request tokens, Response tokens, Total tokens, Log Type; Session ID in some releases
  kAzure,     // CSV: TIMESTAMP (date and time of day), ContextTokens, GeneratedTokens
  kMoecap     // JSON lines: at_s, input_tokens, output_tokens, and optionally prefix_blocks and session
};
std::string_view TraceFormatName(TraceFormat format);

struct RequestTrace {
  TraceFormat format = TraceFormat::kMoecap;
  std::vector<TracedRequest> requests;  // ascending at_s, the first at 0
  int64_t failed = 0;                   // lines left out because the recorded request failed (BurstGPT: 0 response tokens)
};

// Reads a trace; the format is recognised by its first line. Requests are sorted by time (stably). Errors: kBadInput with file
// and line: an unknown format, a missing column, a value that is no number or is negative, no request at all.
Result<RequestTrace> ReadRequestTrace(const std::filesystem::path& path);

}  // namespace moecap::workload
