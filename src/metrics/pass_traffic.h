// What a decode pass really moves through a GPU's memory, by named terms on top of the complete convention: a model of an
// engine's kernels, checked against the GPU's own counters (docs/validation.md). No convention and no figure uses it.
#pragma once

#include <optional>

#include "metrics/pass_terms.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// How the kernels work that the terms follow from: llama.cpp v0.5.0's CUDA backend on an H200, as its source says
// (docs/validation.md names the places). One number is not from there: `cache_bytes`, of the 50 MB of the L2 cache, in which
// results that wait to be written stand besides. Any from 35 to 47 MB gives the same terms for the shapes that were counted.
struct KernelTraits {
  int cells_at_once = 256;  // attention reads whole groups of KV cells, also those outside a window, which it masks
  // 16-bit experts of more tokens than that are read once for each tile of their tokens: all experts' first tiles, then all
  // experts' second ones.
  int tile_tokens = 16;
  // Passes of up to so many tokens multiply quantised experts by vectors: slot by slot (first choice of each token, second,
  // ...), in a slot all tokens together, gate and up in one kernel. An expert that is in several slots is read again where what
  // lies between does not fit the cache.
  int vector_tokens = 8;
  // In larger passes quantised matrices are read in tiles of so many rows, so many weights of each at a time. What is too much
  // at a row's end begins the next one, which comes first in its own tile.
  int tile_rows = 128;
  int row_step = 256;
  int sector_bytes = 32;
  // Latent (MLA) attention: a tile is a sequence with so many heads; its cells are divided over blocks of so many cells at
  // least, all tiles together over as many blocks as run at once. Each block of a divided tile writes its partial result.
  int split_heads = 16;
  int split_cells = 32;
  int blocks_each = 4;  // of a multiprocessor at once
  int multiprocessors = 132;
  double cache_bytes = 40e6;
};

// Bytes. Reads and writes of intermediate results are 4 bytes an element.
struct PassTraffic {
  PassTerms formula;
  double kv_padding = 0;           // cells up to the next whole group
  double kv_outside_windows = 0;   // cells that a window masks
  double expert_rereads = 0;       // 16-bit routed experts of more tokens than a tile, read once a tile
  double quantised_rereads = 0;    // quantised routed experts of few tokens, read in several slots
  double activations_written = 0;  // results of products, norms and activations
  double activations_read = 0;     // results of the experts' products: weights push them out of the cache before they are used
  double attention_partials = 0;   // of split latent attention
  double row_overread = 0;         // of a quantised head whose rows are no whole steps
  double logits = 0;

  double Added() const {
    return kv_padding + kv_outside_windows + expert_rereads + quantised_rereads + activations_written + activations_read +
           attention_partials + row_overread + logits;
  }
  double Sum() const { return formula.Sum() + Added(); }
};

// Null for passes that are not one new token a sequence, and where the distinct experts are not known. Where the tokens of each
// expert are not recorded, tiles are those of tokens that choose evenly.
std::optional<PassTraffic> TrafficOf(const model::ModelSpec& model, const record::PassRecord& pass,
                                     const KernelTraits& kernels = {});

}  // namespace moecap::metrics
