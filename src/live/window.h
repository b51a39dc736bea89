// What an engine computed between two looks at it: how many passes of which shape, in how much time.
//
// Counters tell sums; the shape of the passes follows from them. With N passes, D tokens of decoding requests, P computed
// prompt tokens of F prompts and N_p passes that held any of them:
//   - A decode pass has B = D / N sequences of one new token (D / (N - N_p) where prompts are computed apart), floor(B) of them
//     in some passes and one more in the others, so that the mean is B.
//   - A pass with prompt tokens has P / N_p of them, of F / N_p prompts, besides, where the engine mixes, the sequences that
//     run then and decode. N_p is counted; or the passes above the bucket that holds the requests which ran, and half of the
//     mean prompt; or F (each prompt in a pass of its own).
// The bytes of a pass are concave in its sequences: passes taken as equal are dearer than unequal ones of the same sums. Where
// the engine sorts its passes by their tokens, those of a bucket from l to h have l + t (h - l) sequences, with the one t for
// all buckets that makes the sum D. None of this is as exact as telemetry of every pass.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "load/engine_snapshot.h"
#include "record/pass_record.h"

namespace moecap::live {

// Where a figure of a window comes from, best first.
enum class Origin : uint8_t {
  kTelemetry,  // the engine's record of each pass
  kCounted,    // a counter of the engine
  kTokenGaps,  // the time in which requests ran, divided by the mean gap between two tokens of a request
  kRunning,    // tokens divided by the mean number of running requests at the window's ends
  kWhole,      // of the busy time: the window, at whose ends requests ran
  kNone,
};
// "telemetry", "counted", "token gaps", "running requests", "whole window", "none".
std::string_view Name(Origin origin);

// `count` passes like that one, whose latency and experts are not set; count > 0, also fractional.
struct TypicalPass {
  record::PassRecord pass;
  double count = 0;
};

// Null: not told, with the reason in `missing` where it keeps `passes` empty.
struct Window {
  double duration_s = 0;
  std::optional<double> generated_tokens, prompt_tokens, cached_tokens, finished;
  std::optional<double> running, waiting, kv_used_share;  // means of the window's ends
  std::optional<double> pass_count;
  Origin pass_origin = Origin::kNone;
  std::optional<double> busy_s;  // time in passes, at most duration_s; of several engines their mean
  Origin busy_origin = Origin::kNone;
  std::vector<TypicalPass> passes;  // none when the engine was idle
  bool context_known = true;        // false: the passes' contexts are 0, their KV bytes too few
  std::string missing;              // why there is no pass_count, one sentence; "" = there is
  std::string busy_missing;         // why there is no busy_s where there are passes, likewise
};

// Two looks `duration_s` > 0 apart at a server that was not started anew in between.
Window WindowOf(const load::EngineSnapshot& before, const load::EngineSnapshot& after, double duration_s);

// Passes that the engine recorded, which are all that it computed meanwhile; the rest as above.
Window WindowOf(const load::EngineSnapshot& before, const load::EngineSnapshot& after, double duration_s,
                std::span<const record::PassRecord> recorded);

}  // namespace moecap::live
