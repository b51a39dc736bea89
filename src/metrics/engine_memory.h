// What the embedded engine (llama.cpp) and llama-server allocate for a model on one device: not what the model needs, but what
// that engine takes for it. Checked against the engine's own account by engine_memory_test (docs/planner.md, "Memory").
#pragma once

#include <cstdint>

#include "model/model_spec.h"

namespace moecap::metrics {

struct EngineMemoryDemand {
  int64_t slots = 1;           // sequences, each with cells of its own (kv_unified off)
  int64_t context_tokens = 0;  // of each slot
  int64_t pass_tokens = 512;   // most tokens of one graph (n_ubatch)
  bool full_windows = false;   // swa_full: sliding windows hold the whole context, as in the embedded engine
};

// Bytes.
struct EngineMemory {
  double weights = 0;   // tensors, without multi-token prediction
  double kv_cache = 0;  // cells of all slots, and recurrent state
  double compute = 0;   // the largest set of intermediate results that is live at once in a graph of pass_tokens tokens
  double outputs = 0;   // a row of logits for each slot

  double Total() const { return weights + kv_cache + compute + outputs; }
};

// Cells are allocated in blocks of 256; a sliding window of W tokens gets W + pass_tokens of them, so that a whole pass can be
// written before the oldest are given up. All results are 32-bit floating point. The compute buffer is the largest of
//   logits  pass_tokens x (vocabulary + 2 hidden)
//   FFN     pass_tokens x (3 k expert_width + 4 hidden), of gate, up and their product; dense and shared alike; and the mask
//   MLA     pass_tokens x (heads x (key_dim + 2 latent + value width of the latent) + 2 hidden): queries moved into the latent;
//           and the mask
// where the mask of attention is pass_tokens x a slot's cells in fp16 for each kind of cache. Requires slots >= 1.
EngineMemory MemoryOfEngine(const model::ModelSpec& model, const EngineMemoryDemand& demand);

}  // namespace moecap::metrics
