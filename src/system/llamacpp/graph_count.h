// Counts what the engine's compute graph touches and multiplies, node by node while it is evaluated. Knows operations, shapes,
// types, masks and expert ids of the graph; nothing of models or of the formulas it is there to check (docs/validate.md).
//
// What counts:
// - Weights: once per operation that reads them. MUL_MAT and element-wise operations read a tensor whole, MUL_MAT_ID and ADD_ID
//   the slices of the distinct experts among their ids, GET_ROWS one row per id.
// - KV cache: the cells that an attention mask lets any query of the pass see. Of these, cells that the pass itself has written
//   are `kv_own_bytes`, the rest `kv_read_bytes`. The engine rounds the range up (to 256 cells) and masks the rest away: that
//   is `kv_padding_bytes`. A cell that keys and values share (MLA) counts once. SET_ROWS into a cache is `kv_written_bytes`.
// - FLOPs: 2 per multiply-add of matrix products and of attention scores and values, the latter for visible query-cell pairs
//   only; pairs that the mask hides are `masked_flops`.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

struct ggml_tensor;

namespace moecap::llamacpp {

struct GraphCount {
  int64_t nodes = 0;  // views apart
  double weight_bytes = 0;
  double kv_read_bytes = 0;
  double kv_written_bytes = 0;
  double kv_own_bytes = 0;
  double kv_padding_bytes = 0;
  double product_flops = 0;    // MUL_MAT with a weight, MUL_MAT_ID
  double attention_flops = 0;  // scores and values
  double masked_flops = 0;

  struct Others {
    int64_t nodes = 0;
    int64_t elements = 0;  // of the results
  };
  std::map<std::string, Others> other_ops;     // norms, activations, adds, softmax, copies: neither products nor views
  std::set<std::string> products_not_counted;  // operations with products inside that this counter does not know (recurrences)

  // What a pass has to move: weights, context read, new entries written. Without own cells and padding.
  double Bytes() const { return weight_bytes + kv_read_bytes + kv_written_bytes; }
  double Flops() const { return product_flops + attention_flops; }
};

// Give `Callback` and a counter as cb_eval and cb_eval_user_data of a context.
class GraphCounter {
 public:
  static bool Callback(ggml_tensor* tensor, bool ask, void* counter);

  // Whether the counter needs a node's data (then it must be called again once the node is computed).
  bool Visit(const ggml_tensor* node);
  void VisitComputed(const ggml_tensor* node);

  // The sums since the last call; one pass if called after each.
  GraphCount Take();

 private:
  // What an attention mask says about one pass over one cache.
  struct Visible {
    double pairs = 0;         // query-cell pairs, one head
    double masked_pairs = 0;  // hidden ones, padding included
    double read_cells = 0;    // visible, written before the pass
    double own_cells = 0;     // visible, written by the pass
    double hidden_cells = 0;  // seen by no query
  };

  void CountOperands(const ggml_tensor* node);
  void CountProduct(const ggml_tensor* node);
  void CountFlashAttention(const ggml_tensor* node);
  void CountSoftMax(const ggml_tensor* node);
  void CountValues(const ggml_tensor* node);
  void CountWritten(const ggml_tensor* node);
  void AddCells(const ggml_tensor* cache_view, double heads);
  Visible ReadMask(const ggml_tensor* mask, const ggml_tensor* keys);
  std::set<int32_t> DistinctIds(const ggml_tensor* ids);
  const std::vector<char>& Fetch(const ggml_tensor* tensor);

  GraphCount count_;
  std::map<const ggml_tensor*, std::set<int64_t>> written_cells_;  // by cache tensor, of this pass
  const ggml_tensor* pending_scores_ = nullptr;                    // a product with cached keys whose mask comes later
  const ggml_tensor* key_cache_ = nullptr;                         // of the latest attention
  Visible visible_;                                                // of the latest attention
  std::vector<char> buffer_;
};

}  // namespace moecap::llamacpp
