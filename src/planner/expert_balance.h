// Is expert parallelism balanced, and is EPLB (redundant and moved experts) worth it? Placements are fitted on the first part
// of a trace and judged on the rest, pass by pass: a step waits for its slowest rank.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "routing/expert_placement.h"

namespace moecap::planner {

// Tokens of each expert in one pass: [layer][expert].
using PassLoad = std::vector<uint32_t>;

struct BalanceQuestion {
  int experts = 0, layers = 0;
  int ranks = 8;
  int nodes = 1, groups = 1;                    // as routing::PlacementShape
  std::vector<int> redundant;                   // experts of each layer, in all ranks; empty = none, one and two a rank
  std::vector<routing::ExpertPlacement> today;  // [layer]: where they lie without EPLB
  int block_m = 64;                             // rows of a tile of the grouped matrix product
  double bytes_per_expert = 0, params_per_expert = 0;
  double bytes_per_s = 0, flops_per_s = 0;  // of one rank
  double fitted_share = 0.5;                // of the passes, the first
  int windows = 20;                         // of equally many passes, for drift and interval
};

// One placement over some passes: ratios of sums over passes and layers.
struct BalanceFigures {
  double tokens_max_over_mean = 1;   // of the ranks
  double experts_max_over_mean = 1;  // distinct ones that a rank reads
  double padding = 1;                // rows of whole tiles / rows
  double seconds = 0;                // of the experts: sum of max over ranks of max(distinct x bytes / B, tile rows x 2 P / F)
};

struct BalanceWay {
  std::string name;  // "as today", "EPLB, 8 redundant"
  int redundant = 0;
  BalanceFigures fitted, later;
  // Seconds of the experts as today / with this placement, on the later passes: ratio of sums, and the middle 95 % of 2,000
  // resamples of the later windows.
  double gain = 1, gain_low = 1, gain_high = 1;
  double extra_bytes = 0;  // of a rank, all layers
};

// A window of later passes.
struct BalanceWindow {
  int64_t passes = 0;
  double distance = 0;  // total variation of its popularities to those of the fitted passes, mean over the layers, 0..1
  double gain = 1;      // of the chosen way
};

enum class BalanceVerdict : uint8_t { kEnable, kLeave, kUndecided };
// "enable", "leave", "undecided".
std::string_view Name(BalanceVerdict verdict);
// A gain below this is not worth moving experts.
inline constexpr double kWorthwhileGain = 1.02;

struct Balance {
  std::vector<BalanceWay> ways;  // as today first
  size_t chosen = 0;             // in ways, without today's: the fastest on the fitted passes
  std::vector<BalanceWindow> later;
  double own_gain = 1;  // of the chosen way, fitted on the later passes themselves: what no forecast can pass by much
  int64_t fitted_passes = 0, later_passes = 0;
  std::vector<routing::ExpertPlacement> placement;  // [layer] of the chosen way
  BalanceVerdict verdict = BalanceVerdict::kUndecided;
};

// Errors kBadInput: CheckShape's, a placement of today of another shape, fewer than four windows of passes on either side.
// Requires positive rates and as many counts in each pass as layers x experts.
Result<Balance> JudgeBalance(const BalanceQuestion& question, std::span<const PassLoad> passes);

// Figures of one placement a layer over passes.
BalanceFigures FiguresOf(const BalanceQuestion& question, std::span<const routing::ExpertPlacement> placement,
                         std::span<const PassLoad> passes);

}  // namespace moecap::planner
