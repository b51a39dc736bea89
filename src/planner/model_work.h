// A model as the planner computes with it: equal layers folded into groups, so that a step costs a few operations however many
// layers there are. The figures are those of metrics/pass_cost.h, which a test holds them against.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hardware/device.h"
#include "model/model_spec.h"
#include "routing/activation_sheet.h"

namespace moecap::planner {

// Layers whose routed experts are alike.
struct ExpertGroup {
  double layers = 0;
  double experts = 0;  // of one layer
  double top_k = 0;    // real experts per token
  double bytes_per_expert = 0;
  double params_per_expert = 0;    // that a token multiplies with
  std::vector<double> popularity;  // of a measured sheet; empty = the estimator
};

// Layers whose caches are alike.
struct CacheGroup {
  double layers = 0;
  model::KvCacheSpec cache;
  double entry_bytes = 0;
  double kv_heads = 0;  // over which tensor parallelism shards it; 0 = whole on every rank
};

struct ModelWork {
  double layers = 0;          // of the decoder
  double indexer_layers = 0;  // of them: whose attention reads only what an indexer of their own chose
  double hidden = 0;
  std::vector<ExpertGroup> experts;
  std::vector<CacheGroup> caches;
  double sharded_bytes = 0;         // attention, shared experts, dense FFN, head: sharded by tensor parallelism
  double whole_bytes = 0;           // norms, router, other: on every rank
  double sharded_params = 0;        // matrices of them that every token multiplies with, without the head
  double head_params = 0;           // for rows that need logits
  double embedding_row_bytes = 0;   // read for each token
  double state_bytes = 0;           // recurrent state of a sequence, read and written by a step
  double state_flops = 0;           // of a token
  std::string expert_type;          // how routed experts are stored: "fp8", "mxfp4"; "" without experts
  std::string dense_type;           // the rest of the matrices
  double cv = 0.5;                  // popularity skew of the estimator
  double in_sequence_exponent = 0;  // of tokens of one sequence

  double RoutedBytes() const;         // of all layers
  double ActiveRoutedParams() const;  // that a token multiplies with, of all layers
};

// `sheet`: null, or one that metrics::CheckSheet accepts for this model.
ModelWork MakeModelWork(const model::ModelSpec& spec, const routing::ActivationSheet* sheet = nullptr);

// Distinct experts of one layer of the group in a step of `tokens` effective tokens, at least top_k.
double DistinctExperts(const ModelWork& work, const ExpertGroup& group, double tokens);

// How fast matrices stored as `type` are multiplied: in the type's own arithmetic where the device has it, else widened to the
// nearest that it has ("weight only").
struct MatrixRate {
  double flops_per_s = 0;
  bool widened = false;
};
// Requires a device with at least one peak.
MatrixRate RateOf(const hardware::Device& device, std::string_view type);
// Bytes of an element of what such a device multiplies matrices stored as `type` with: as wide as the type where the device
// multiplies in it (nvfp4 and mxfp4 with their scales), else 2.
double OperandBytes(const hardware::Device& device, std::string_view type);

// Whether llama.cpp interleaves the rows of matrices stored as `type` on a processor (ggml-cpu/repack.cpp at v0.5.0, AVX2):
// Q4_0, Q4_K, IQ4_NL and MXFP4. In any case of letters.
bool RowsInterleaved(std::string_view type);

}  // namespace moecap::planner
