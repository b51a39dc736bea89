// One look at a server's engine through what it tells of itself: counters since its start, and how it stands now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "load/server_counters.h"

namespace moecap::load {

// Forward passes that computed at most so many tokens.
struct PassBucket {
  double up_to_tokens = 0;
  double passes = 0;  // cumulative

  friend bool operator==(const PassBucket&, const PassBucket&) = default;
};

// Null or empty: the server does not tell.
struct EngineSnapshot {
  ServerCounters counters;
  std::string model;  // as the server's figures are labelled

  // Since the server was started.
  std::optional<double> decode_tokens;            // tokens that decoding requests computed
  std::optional<double> first_tokens;             // answers begun
  std::optional<double> passes;                   // forward passes ...
  std::optional<double> prefill_passes;           // ... of them, those with prompt tokens
  std::vector<PassBucket> pass_sizes;             // ... by their tokens, ascending
  std::optional<double> busy_s;                   // time in passes
  std::optional<double> token_gaps, token_gap_s;  // gaps between two tokens of a request, and their sum

  // Now.
  std::optional<double> running, waiting;    // requests
  std::optional<double> kv_used_share;       // 0..1 of the KV cache; of several engines the mean
  std::optional<double> kv_capacity_tokens;  // all engines together
  std::optional<double> kv_used_tokens;

  // Prompts are computed in passes of their own, decoding requests wait meanwhile.
  bool prefill_apart = false;
  int engines = 1;             // whose counters add up here, each with passes and a time of its own: data-parallel ranks
  bool is_six_digits = false;  // counters are printed with six significant digits
};

}  // namespace moecap::load
