// One kind of entry that a layer keeps per sequence: plain K and V, an MLA latent, a window, compressed entries, indexer keys.
// All counts are entries; multiply with `elements` for elements. A pass adds `new_tokens` to `context_tokens` cached ones.
#pragma once

#include <cstdint>

namespace moecap::model {

struct KvCacheSpec {
  int64_t elements = 0;          // per entry. GQA: kv_heads * (key_dim + value_dim); MLA: kv_lora_rank + rope_dim
  int64_t tokens_per_entry = 1;  // > 1: compressed, one entry for that many finished tokens
  int64_t window = 0;            // > 0: only the latest `window` tokens are kept and seen
  bool chunked = false;          // with `window`: chunks of `window` tokens that do not see each other, instead of sliding
  int64_t top_k = 0;             // > 0: a query attends to at most that many entries (sparse attention); all stay resident
  bool borrowed = false;         // the entries belong to another layer: read here, neither stored nor written
  int64_t flops_per_entry = 0;   // score and value FLOPs of one query with one entry; MLA: expanded form 2 H (dn + dr + dv)
  int64_t absorbed_flops_per_entry = 0;  // MLA run in the latent space, 2 H (2 r + dr); 0 = no such form

  int64_t rope_elements = 0;  // of `elements`, the decoupled rotary part of an MLA latent
  bool index_keys = false;    // keys of an indexer, which chooses among the entries of another cache
  double entry_bytes = 0;     // of one entry, set by a layout (kv_format.h); 0 = elements x the model's kv_bits

  // Bytes of one entry in a model whose cached elements have `kv_bits`.
  double EntryBytes(double kv_bits) const {
    return entry_bytes > 0 ? entry_bytes : static_cast<double>(elements) * kv_bits / 8;
  }

  // Entries held for a sequence of `tokens` tokens.
  double Resident(int64_t tokens) const;
  // Entries that a pass reads from memory: of the context, each at most once; the pass's own keys are not read back.
  double Read(int64_t context_tokens, int64_t new_tokens) const;
  // Entries that a pass writes.
  double Written(int64_t context_tokens, int64_t new_tokens) const;
  // Query-entry pairs of a pass under the causal mask: sum over the new tokens of the entries each attends to, itself included.
  double Pairs(int64_t context_tokens, int64_t new_tokens) const;
};

}  // namespace moecap::model
