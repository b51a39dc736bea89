// Passes of chosen shape through the engine: counted on its own graph, timed plainly, timed while routing is recorded, and
// replayed. Raw material of `moecap validate`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "record/pass_record.h"
#include "system/llamacpp/engine_library.h"
#include "system/llamacpp/graph_count.h"
#include "system/llamacpp/llamacpp_system.h"

namespace moecap::llamacpp {

struct GraphRunOptions {
  std::vector<int> batches = {1, 2, 4, 8, 16, 32, 64};  // sequences of a decode pass
  std::vector<int> contexts = {64, 512};                // tokens in the cache before it
  int threads = 1;
  int repeats = 5;              // timed passes of each kind; 0 = count only
  uint64_t seed = 1;            // of the token ids
  bool flash_attention = true;  // false: scores, softmax and values as separate operations
  bool count_graph = true;      // false: the experts are recorded, the graph is not followed
  // Prompt tokens a pass at most, for contexts whose whole prompt has no room in one; prefill is then not among the passes.
  // 0 = the whole prompt.
  int chunk_tokens = 0;
  // Called right before (true) and right after one further plain execution of each decode pass, which is not timed: brackets
  // for a profiler. Empty = no such execution.
  std::function<void(bool begins)> bracket;
};

// Latencies of the same pass, medians, in seconds.
struct PassTimes {
  double plain_s = 0;     // as timed runs make it
  double recorded_s = 0;  // what a timed pass would take if its routing were read out meanwhile
  double replayed_s = 0;  // the second execution that follows a timed pass to read its routing: on top, outside the timing
};

struct GraphPass {
  record::PassRecord record;  // kind, sequences, expert counts and distinct experts of the counted execution
  GraphCount graph;           // empty unless counted
  std::optional<PassTimes> times;
  bool replay_matches = true;  // the replay chose the same tokens and the same experts for them
};

// Called before each pass with how many are done and how many there are; false stops (kInterrupted).
using GraphRunProgress = std::function<bool(int done, int total)>;

// For each context: one prefill of that many tokens (unless in chunks), then a decode pass for each batch size. The sequences
// of a decode pass share their context's tokens and differ in the token they decode. Errors: kBadInput for sizes below 1 or a
// context that cannot be had, kFailed from the engine.
Result<std::vector<GraphPass>> RunGraphPasses(const EngineLibrary& library, const std::shared_ptr<const LoadedModel>& model,
                                              const GraphRunOptions& options, const Clock& clock,
                                              const GraphRunProgress& progress);

}  // namespace moecap::llamacpp
