// How long one step of a deployed model takes: a roofline for each kind of work, the latencies that no bandwidth buys off, and
// what the devices say to each other. One formula a function; docs/planner.md has them on one page.
//
// A step is of one replica (tensor x pipeline devices), or of the replicas that share experts and step together.
#pragma once

#include "hardware/catalogue.h"
#include "metrics/deployment.h"
#include "planner/model_work.h"
#include "planner/multipliers.h"
#include "planner/offload.h"

namespace moecap::planner {

// How the devices of a deployment reach each other; bytes a second of one device in one direction.
struct Fabric {
  double node_bytes_per_s = 0;     // inside a node (or rack)
  int node_devices = 1;            // that it joins
  double between_bytes_per_s = 0;  // between nodes

  // Of `ranks` devices that work together.
  double BytesPerS(double ranks) const { return ranks <= node_devices ? node_bytes_per_s : between_bytes_per_s; }
};
// From the device's scale-up link, else its host link; between nodes 400 Gb/s a device. 0 where the catalogue knows no link:
// such devices work alone.
Fabric FabricOf(const hardware::Device& device, const hardware::Catalogue& catalogue);

// Everything about a serving point but its load.
struct ServingPoint {
  const ModelWork& work;
  const hardware::Device& device;
  metrics::Deployment deployment;
  Fabric fabric;
  StepFactors factors;
  Offload offload = {};
  double poll_steps = 1;  // decode steps between two moments at which prompts start (SGLang's --scheduler-recv-interval)
};

struct StepLoad {
  double sequences = 1;            // that decode in one replica
  double context_tokens = 0;       // of each, in the KV cache
  double tokens_per_sequence = 1;  // 1 + drafted tokens that a step checks
};

// Seconds of a step by what they go into, and what it moves and computes on all its devices together.
struct StepTime {
  double experts_s = 0, host_s = 0, weights_s = 0, kv_s = 0, collectives_s = 0, latency_s = 0, sequences_s = 0;
  // Of the model's own definition (metrics/pass_cost.h), without what ranks repeat; bytes of the devices' memories.
  double bytes = 0, flops = 0;
  double distinct_experts = 0;  // mean over the layers with experts
  bool compute_bound = false;   // the experts' FLOPs take longer than their bytes

  // host_s: what offloaded experts take longer than the devices' own share of the step.
  double Total() const { return experts_s + host_s + weights_s + kv_s + collectives_s + latency_s + sequences_s; }
};

// Time of the greater of two demands on one device: bytes at `bytes_per_s` and FLOPs at `flops_per_s`.
double Roofline(double bytes, double bytes_per_s, double flops, double flops_per_s);

// max / mean of the tokens of `ranks` ranks with E/ranks experts each, when `tokens` tokens choose top-k:
// 1 + sqrt(2 ln G) sqrt(G / (T k) + CV^2 G / E), the expected maximum of G nearly normal loads. 1 for one rank.
double ExpertImbalance(double ranks, double tokens, double top_k, double experts, double cv);

// Bytes that a rank sends in an all-reduce of `bytes` over `ranks`: 2 (N - 1) / N of it (ring).
double AllReduceBytes(double bytes, double ranks);
// Ranks that the top-k experts of a token lie on, when each lies on any of `ranks` alike: N (1 - (1 - 1/N)^k).
double RanksOfToken(double top_k, double ranks);
// ... in an all-to-all of `tokens` tokens, of `there` bytes to the ranks of their experts, once to each rank however many of
// them it has, and of `back` bytes from each: the share that leaves the rank, there and back.
double AllToAllBytes(double tokens, double top_k, double there, double back, double ranks);

// A decode step. Requires load.sequences > 0.
StepTime DecodeStep(const ServingPoint& point, const StepLoad& load);

// FLOP time of a prompt's `new_tokens` behind `cached_tokens` of its prefix at the peaks of the replica's tensor-parallel
// devices; interference_time or prefill_time makes it real.
double PromptSeconds(const ServingPoint& point, double new_tokens, double cached_tokens);
// What its passes of at most 8,192 tokens read of weights: short prompts are bound by that, as a decode step is.
double PromptReadSeconds(const ServingPoint& point, double new_tokens);
// What its products take, behind the read of its passes of at most 512 tokens, in kernels that multiply row by row
// (StepFactors::vector_time); 0 on other devices.
double PromptVectorSeconds(const ServingPoint& point, double new_tokens, double cached_tokens);
// What its passes of at most 512 tokens take in kernels that multiply tiles of tokens (StepFactors::tile_operations).
double PromptTileSeconds(const ServingPoint& point, double new_tokens);
// What a prompt takes on the devices of a replica as they are: FLOPs, weights or tiles, whichever takes longest, all-reduces
// and offloaded experts, each made real.
double PromptServiceSeconds(const ServingPoint& point, double new_tokens, double cached_tokens);
// What offloaded experts add to it: copied or computed on the processor, whichever is faster for so many tokens.
double HostPromptSeconds(const ServingPoint& point, double new_tokens);
// What its ranks say to each other, at the links' peak: an all-reduce of all its tokens after attention, over the
// tensor-parallel ranks, and one after the FFN, over all that share its experts. 0 for one rank.
double PromptCollectiveSeconds(const ServingPoint& point, double new_tokens);
// ... of its admission and its layers, for the system's factor.
double PromptLatencySeconds(const ServingPoint& point);
// FLOPs of a prompt.
double PromptFlops(const ModelWork& work, double new_tokens, double cached_tokens);

// What prompts take of the devices for each decode step, when each of `requests` brings one every `output_tokens` steps.
double PromptsShare(const ServingPoint& point, double requests, double new_tokens, double cached_tokens, double output_tokens);
// What a decoding request waits in a step for the prompts that `others` bring; its own is part of its first token. Where
// prompts come in waves (StepFactors::prompt_waves), it waits for those behind its own: (1 - waves / 2) of the others.
double PrefillShare(const ServingPoint& point, double others, double new_tokens, double cached_tokens, double output_tokens);

// From a request's arrival to its first token when `clients` of one replica are served, without waiting for a place: the prompt
// x (1 + bunching (clients - 1)), which the devices do, + (admission + layers x latency + waiting steps x TPOT) x the system's
// factor + half of the steps between two polls x TPOT, which is a setting. A single client waits for no step of others, and
// between 1 and 2 clients the waits grow in proportion. Where prompts come in waves, of n clients the k-th waits for k prompts:
// (the prompt + the latency) x (1 + waves (n - 1) / 2), and no step passes.
double TimeToFirstToken(const ServingPoint& point, double clients, double new_tokens, double cached_tokens, double tpot_s);

}  // namespace moecap::planner
