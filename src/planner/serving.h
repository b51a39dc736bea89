// A serving point under load: how many requests run at once, what each of them sees, and what the devices do meanwhile.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "model/model_spec.h"
#include "planner/step_time.h"

namespace moecap::planner {

// What is asked of the system. Closed loop: `clients` that each send their next request when the last has ended; open loop:
// `requests_per_s` that arrive by chance. Exactly one of them is set.
struct Load {
  std::optional<double> clients;
  std::optional<double> requests_per_s;
  double input_tokens = 1024;  // means
  double output_tokens = 512;
  double input_cv = 0;  // how far lengths spread: standard deviation / mean; 0 = all alike, 1 = exponential
  double output_cv = 0;
  double prefix_hit = 0;       // share of the input tokens found in the prefix cache, 0..1
  double drafted_tokens = 0;   // of speculative decoding, checked in each step
  double accepted_tokens = 0;  // of them, on average

  double NewTokens() const { return input_tokens * (1 - prefix_hit); }
  double CachedTokens() const { return input_tokens * prefix_hit; }
  // Of a request that decodes at a moment chosen by chance: half-way through its answer, and long answers are met the more
  // often, E[output^2] / (2 E[output]) = output (1 + cv^2) / 2 tokens behind the prompt.
  double MeanContext() const { return input_tokens + output_tokens * (1 + output_cv * output_cv) / 2; }
};

// Memory of the fullest device: metrics::MemoryOfDevice as a line over the sequences.
struct MemoryPlan {
  double weights_bytes = 0;         // routed experts included
  double routed_bytes = 0;          // of them
  double other_bytes = 0;           // activations, workspace: the middle of the estimate
  double sequence_bytes = 0;        // KV cache and state on this device for each sequence of its replica
  double state_bytes = 0;           // of them: recurrent state
  double activation_low_bytes = 0;  // ends of other_bytes
  double activation_high_bytes = 0;

  // Sequences of one replica that fit beside the weights; below 1 (even below 0) when the model does not fit.
  double MostSequences(double usable_bytes) const;
};
// Whose rules say what lies beside the weights: servers take paged caches and estimated workspaces; llama.cpp allocates as
// metrics/engine_memory.h says.
enum class Allocator { kServer, kLlamaCpp };
// `context_tokens`: of each sequence while it runs.
MemoryPlan PlanMemory(const model::ModelSpec& model, const metrics::Deployment& deployment, int64_t context_tokens,
                      Allocator allocator = Allocator::kServer);

// The share of a device's memory that servers give out: 0.9; of unified memory, which the host uses too, 0.75; of a phone's,
// whose system ends an app that takes too much, 0.5: between the 75 % and the 37.5 % of 8 GB that one app got under iPadOS
// 26.0 and 26.4 (developer.apple.com/forums/thread/826325).
double UsableMemory(const hardware::Device& device);

enum class Bound : uint8_t {
  kExpertBytes,
  kExpertFlops,
  kHost,
  kWeights,
  kKvCache,
  kLink,
  kLatency,
  kPrefill,
  kCapacity,
  kRunningLimit
};
// "expert bytes", "expert FLOPs", "host memory", "other weights", "KV cache", "link", "latency", "prefill", "KV capacity",
// "running limit".
std::string_view Name(Bound bound);

// Figures of the whole deployment; times as a client sees them, means.
struct Serving {
  double running = 0;          // requests in prefill or decode at once, on average
  double decoding = 0;         // of them in decode
  double most_running = 0;     // that the KV cache has room for, and the launch lets run
  bool over_capacity = false;  // more came than that
  double tpot_s = 0;
  double ttft_s = 0;  // with queue_s
  double queue_s = 0;
  double e2e_s = 0;
  double requests_per_s = 0;
  double output_tokens_per_s = 0;
  double prefill_share = 0;  // of the busy time, the rest is decode
  StepTime step;             // of one replica, or of those that step together; of a tuned launch
  double untuned_s = 0;      // what a launch with default settings adds to it and to the prompts in it
  double s_mbu = 0, s_mfu = 0;
  Bound bound = Bound::kExpertBytes;
};

// TPOT with `sequences` running in one replica: (decode step + prefill share) / (1 + accepted drafts).
double Tpot(const ServingPoint& point, const Load& load, double sequences);

// A launch that lets as many requests run as memory holds.
constexpr double kNoRunningLimit = std::numeric_limits<double>::infinity();

// Solves Little's law, decoding = running x T_decode / (TTFT + T_decode), in each replica. At most `most_sequences` of a
// replica run, which its memory holds, and at most `running_limit`, which its launch lets run (--max-num-seqs). Both count
// requests in prefill, too, as schedulers do: running = requests_per_s x (e2e_s - queue_s) never exceeds most_running. The
// clients beyond wait: queue = clients / throughput - TTFT - T_decode. An open loop that no limit can hold is over capacity,
// too; its queue is then without end and given as infinity.
Serving Serve(const ServingPoint& point, const Load& load, double most_sequences, double running_limit = kNoRunningLimit);

}  // namespace moecap::planner
