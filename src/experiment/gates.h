// Checks by which a load test judges itself: whether the client, or a server that did something else than it was asked, spoils
// the figures. Bounds and reasons: docs/load.md, "Gates".
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "load/load_result.h"
#include "loadtest/config.h"
#include "loadtest/results.h"
#include "metrics/load_summary.h"

namespace moecap::loadtest {

struct GateFacts {
  LoadKind kind = LoadKind::kClients;
  const load::LoadResult& records;
  std::span<const PlanEntry> plan;  // of the same measurement
  const metrics::LoadCell& cell;    // DescribeLoadCell of the records
  std::optional<HeadRoom> head_room;
};

// Whether a request that ended well did something else than was planned; null where one side is not known.
struct PlanMismatch {
  std::optional<bool> input;   // another length of the prompt
  std::optional<bool> output;  // another length of the answer, which was to be exact
  std::optional<bool> cache;   // more of the prompt came from the prefix cache, beyond workload::kMostChanceTokens
};
PlanMismatch CompareToPlan(const record::RequestRecord& request, const PlanEntry& entry);

// In the order of the documentation. A gate that cannot be judged is there, with the reason.
std::vector<metrics::Gate> JudgeGates(const GateFacts& facts);

}  // namespace moecap::loadtest
