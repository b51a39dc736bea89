// What a decode pass really moves through a GPU's memory, by named terms on top of the complete convention: a model of an
// engine's kernels, checked against the GPU's own counters (docs/validation.md). No convention and no figure uses it.
#pragma once

#include <optional>

#include "metrics/pass_terms.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// How the kernels work that the terms follow from; as they stand, llama.cpp v0.5.0's CUDA backend on an H200.
struct KernelTraits {
  int cells_at_once = 256;  // attention reads whole groups of KV cells, also those outside a window, which it masks
  // Products with 16-bit experts of more tokens than that read an expert once for each tile of its tokens.
  int tile_tokens = 16;
  // Quantised experts of passes up to so many tokens are read for each token; of the reads after the first a share finds them
  // no more in the cache. In larger passes a quantised head costs more than its bytes, as its blocks are no whole sectors. Both
  // shares were fitted to counters.
  int vector_tokens = 8;
  double vector_miss_share = 1.0 / 3;
  double block_overread_share = 0.08;
  // Latent (MLA) attention: each sequence's cells are divided over blocks of so many cells at least, all sequences together
  // over so many blocks; each block writes its partial result. Both read off the counters.
  int split_cells = 32;
  int split_blocks = 528;
};

// Bytes. Reads and writes of intermediate results are 4 bytes an element.
struct PassTraffic {
  PassTerms formula;
  double kv_padding = 0;           // cells up to the next whole group
  double kv_outside_windows = 0;   // cells that a window masks
  double expert_rereads = 0;       // 16-bit routed experts of more tokens than a tile, read once a tile
  double quantised_rereads = 0;    // quantised routed experts of few tokens, read for each
  double activations_written = 0;  // results of products, norms and activations
  double activations_read = 0;     // results of the experts' products: weights push them out of the cache before they are used
  double attention_partials = 0;   // of split latent attention
  double block_overread = 0;       // of a quantised head
  double logits = 0;

  double Added() const {
    return kv_padding + kv_outside_windows + expert_rereads + quantised_rereads + activations_written + activations_read +
           attention_partials + block_overread + logits;
  }
  double Sum() const { return formula.Sum() + Added(); }
};

// Null for passes that are not one new token a sequence, and where the distinct experts are not known. Where the tokens of each
// expert are not recorded, tiles are those of tokens that choose evenly.
std::optional<PassTraffic> TrafficOf(const model::ModelSpec& model, const record::PassRecord& pass,
                                     const KernelTraits& kernels = {});

}  // namespace moecap::metrics
