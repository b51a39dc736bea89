// Whether a model has room where the embedded engine is to put it, and what of it would have.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "model/model_spec.h"
#include "system/llamacpp/llamacpp_system.h"

namespace moecap::app {

struct RoomQuestion {
  llamacpp::Placement placement;
  int sequences = 1;           // at once
  int64_t context_tokens = 0;  // of each
  double free_bytes = 0;       // of the GPUs together where the placement has any, else of this machine
  int pass_tokens = 0;         // of a prompt in a pass at most, for the buffers of intermediate results; 0 = not counted
};

// Weights and KV caches that the placement puts there; buffers for intermediate results come on top. The embedding stays with
// the processor, and the last layers are the first to go to a GPU. A model with experts in memory has two caches: its routing
// is replayed in a second context beside the first.
double BytesThere(const model::ModelSpec& model, const RoomQuestion& question);

// What of the model would have room with a twentieth to spare, intermediate results included (an estimate:
// metrics::MemoryOfEngine), each with its key: "layers: 20 of 32 (gpu_layers: 20); ...".
std::string WhatFits(const model::ModelSpec& model, const RoomQuestion& question);

// Error kBadInput, with WhatFits, where weights and KV cache alone exceed the room.
Status CheckRoom(const model::ModelSpec& model, const RoomQuestion& question);

}  // namespace moecap::app
