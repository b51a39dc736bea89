// How many experts fit on the accelerators beside everything else, how they should be kept there, and what a cache of them
// gains.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cost/machine.h"
#include "planner/search.h"

namespace moecap::planner {

// What caches of c experts a layer, c = 0 .. E, serve of the reads of a trace's second half, all layers together; they have
// seen the first half, so that a first use is a miss only where the expert is really new.
struct ExpertHits {
  int64_t reads = 0;        // of the second half
  int experts = 0;          // of a layer
  std::vector<double> lru;  // [c], 0..1
  std::vector<double> lfu;
  std::vector<double> pinned;   // those used most in the first half, never changed
  std::vector<double> optimal;  // Belady's choice in hindsight, c experts there at the start: no cache does better

  // The best that can be had at c experts, without hindsight.
  double Best(int c) const;
};
// `uses`: per layer the experts in the order of their use, each expert of a pass once (trace/expert_uses.h).
ExpertHits HitsOf(std::span<const std::vector<uint16_t>> uses, int experts);

// The machine and the load of the question.
struct RoomQuestion {
  cost::MachinePart devices;  // accelerators of one kind
  std::optional<double> dram_bytes;
  std::string processor;  // "" = the usual host
  double sequences = 1;
  double context_tokens = 4096;  // of each
};

// One way to keep the experts.
struct RoomWay {
  std::string name;         // "--n-cpu-moe 21"
  std::string system;       // whose multipliers the time is computed with
  double device_share = 0;  // of the experts, on the devices
  double served = 0;        // of the reads, by them
  bool measured = false;    // `served` comes from the trace
  double step_s = 0;        // predicted decode step
  ErrorBand band;
};

struct ExpertRoom {
  double usable_bytes = 0;  // of the fullest device
  double routed_bytes = 0;  // all routed experts
  // On the fullest device: other weights, activations, workspace, KV cache; and for experts, all devices together. Of servers,
  // which keep experts one by one, and of llama.cpp, which allocates as metrics/engine_memory.h says and keeps whole layers.
  double other_bytes = 0, room_bytes = 0;
  double engine_other_bytes = 0, engine_room_bytes = 0;
  int layers = 0, experts = 0;      // with experts; of a layer
  int layers_on_devices = 0;        // llama.cpp: whole
  int n_cpu_moe = 0;                // ... the others, from the first
  int cached_experts = 0;           // servers: of each layer, where they are kept by expert
  double dram_bytes = 0;            // that the rest takes
  double lacking_dram_bytes = 0;    // beyond nine tenths of the host memory: it comes from an SSD
  std::vector<RoomWay> ways;        // the fastest first
  std::optional<bool> cache_helps;  // null without a trace
  std::string why;                  // a sentence: of cache_helps, or what a trace would tell

  bool AllFit() const { return n_cpu_moe == 0; }
};

// A cache helps where the best without hindsight misses at most 1 / kCacheGain of what any choice of so many experts misses,
// and the step is faster than with whole layers on the devices.
inline constexpr double kCacheGain = 1.1;

// `hits`: null without a trace; then the defaults of metrics::HitRate stand in. Errors kBadInput: an unknown device or
// processor, a model without experts, a device without a host, a model whose other weights do not fit (by how much).
Result<ExpertRoom> FindRoom(const RoomQuestion& question, const model::ModelSpec& spec, const Ingredients& ingredients,
                            const ExpertHits* hits);

}  // namespace moecap::planner
