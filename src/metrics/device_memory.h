// What one device of a deployment has to hold: weights by what is sharded and what every rank keeps whole, KV cache, and a
// bounded estimate of activations and workspace. Rules: docs/metrics.md, "Deployments".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "metrics/deployment.h"
#include "model/model_spec.h"

namespace moecap::metrics {

struct Range {
  double low = 0;
  double high = 0;
};

struct MemoryDemand {
  int64_t sequences = 1;       // of all replicas together
  int64_t context_tokens = 0;  // of each
  int64_t pass_tokens = 8192;  // most new tokens of a pass: the servers' usual chunk of prefill
};

// The device that holds most: of the pipeline stage with the largest sum. Bytes.
struct DeviceMemory {
  int stage = 0;
  double sharded_weights = 0;      // this rank's part of attention, dense FFN, shared experts, embedding and head
  double routed_experts = 0;       // this rank's experts, or its part of all
  double replicated_weights = 0;   // whole on every rank of the stage: norms, router, latents' down-projections, towers, ...
  double kv_cache = 0;             // of its replica's sequences, recurrent state included
  double replicated_kv_cache = 0;  // of it, what other ranks of the replica hold too
  // Estimates. Activations of a pass and logits: from one residual stream to all that is live between two layers, twice.
  // Workspace: contexts of device and communication, graphs, buffers of kernels, as servers report them: 0.75 to 3 GiB.
  Range activations, workspace;
  std::vector<std::string> replicated;  // what is whole on every rank, in words

  double Weights() const { return sharded_weights + routed_experts + replicated_weights; }
  Range Total() const {
    const double exact = Weights() + kv_cache;
    return {exact + activations.low + workspace.low, exact + activations.high + workspace.high};
  }
};

// Requires a deployment that Validate accepts, sequences >= 1 and a context >= 0.
DeviceMemory MemoryOfDevice(const model::ModelSpec& model, const Deployment& deployment, const MemoryDemand& demand);

}  // namespace moecap::metrics
