#include "planner/training.h"

#include <algorithm>
#include <cmath>

#include "metrics/pass_cost.h"

namespace moecap::planner {
namespace {

using model::LayerSpec;
using model::ModelSpec;
using model::TensorClass;

constexpr double kActivationBytes = 2;    // of an element that devices keep and exchange
constexpr double kGradientBytes = 4;      // of a sum over micro-batches
constexpr double kSentGradientBytes = 2;  // of one that replicas exchange
constexpr double kBackward = 2;           // FLOPs over the forward pass's: gradients of inputs and of weights

double Count(int64_t value) { return static_cast<double>(value); }

double WeightBytesOf(const TrainingSetup& setup) { return setup.matrix_type == "fp8" ? 1 : 2; }

double Params(const ModelSpec& model) { return Count(model.TotalParams() + model.mtp.Params()); }
double RoutedParams(const ModelSpec& model) {
  return Count(model.ByClass()[TensorClass::kRoutedExpert].params + model.mtp[TensorClass::kRoutedExpert].params);
}

// FLOPs of the forward pass of one sequence, its head computed for every token.
double ForwardFlops(const ModelSpec& model, double tokens) {
  const auto count = static_cast<int64_t>(tokens);
  record::PassRecord pass;
  pass.kind = record::PassKind::kPrefill;
  pass.sequences = {{0, count, 1}};
  return metrics::PassFlops(model, pass, metrics::Convention::kComplete, count);
}

// ... of the multi-token-prediction layers, each a layer like the last with the head again.
double MtpFlops(const ModelSpec& model, double tokens) {
  if (model.mtp_layers == 0 || model.layers.empty()) return 0;
  const LayerSpec& last = model.layers.back();
  double params = 0, attention = 0;
  for (const TensorClass c : model::kTensorClasses) {
    const double share = c == TensorClass::kRoutedExpert && last.ffn.moe() ? last.ffn.ActiveExperts() / last.ffn.experts : 1;
    params += Count(model.mtp[c].matrix_params) * share;
  }
  for (const model::KvCacheSpec& cache : last.attention.caches)
    attention += Count(cache.flops_per_entry) * cache.Pairs(0, static_cast<int64_t>(tokens));
  const double head = 2 * tokens * Count(model.vocab) * Count(model.hidden);
  return 2 * tokens * params + model.mtp_layers * (attention + head);
}

// Scores and values, which stay in bf16.
double ScoreFlops(const ModelSpec& model, double tokens) {
  double flops = 0;
  for (const LayerSpec& layer : model.layers) {
    for (const model::KvCacheSpec& cache : layer.attention.caches)
      flops += Count(cache.flops_per_entry) * cache.Pairs(0, static_cast<int64_t>(tokens));
  }
  return flops;
}

// Copies of the dense and of the routed weights that gradients are summed over.
double DenseCopies(const TrainingSetup& setup) { return setup.deployment.data; }
double RoutedCopies(const TrainingSetup& setup) {
  const metrics::Deployment& d = setup.deployment;
  return std::max(1.0, static_cast<double>(d.data) / d.StepReplicas());
}

double MicroBatches(const TrainingSetup& setup) {
  return std::max(1.0, setup.tokens_per_step / setup.deployment.data / setup.tokens_per_micro_batch);
}

// The cache of MLA's latents; null for other attention.
const model::KvCacheSpec* LatentsOf(const model::AttentionSpec& attention) {
  for (const model::KvCacheSpec& cache : attention.caches) {
    if (attention.kind == model::AttentionKind::kMla && cache.absorbed_flops_per_entry > 0) return &cache;
  }
  return nullptr;
}

// Width of the latent that MLA's queries are made of, from the matrices that are left when those of keys, values and output are
// taken off: hidden x rank + rank x heads x key width. 0 = none, or matrices besides that do not let it be told.
int64_t QueryRank(const LayerSpec& layer, int64_t hidden) {
  const model::AttentionSpec& attention = layer.attention;
  const model::KvCacheSpec* const latents = LatentsOf(attention);
  if (latents == nullptr) return 0;
  const int64_t heads = attention.query_heads, rank = latents->elements - latents->rope_elements;
  const int64_t others = hidden * latents->elements + hidden * heads * attention.value_dim +
                         rank * heads * (attention.key_dim - latents->rope_elements + attention.value_dim);
  const int64_t left = layer.weights[TensorClass::kAttention].matrix_params - others;
  const int64_t of_one = hidden + heads * attention.key_dim;
  if (left == hidden * heads * attention.key_dim) return 0;
  return left > 0 && left % of_one == 0 ? left / of_one : 0;
}

// MLA's up-projections of one token in one layer; 0 for other attention.
double UpProjectionFlops(const LayerSpec& layer, int64_t hidden) {
  const model::AttentionSpec& attention = layer.attention;
  const model::KvCacheSpec* const latents = LatentsOf(attention);
  if (latents == nullptr) return 0;
  const double rank = Count(latents->elements - latents->rope_elements);
  return 2 * Count(attention.query_heads) *
         (Count(QueryRank(layer, hidden)) * attention.key_dim +
          rank * Count(attention.key_dim - latents->rope_elements + attention.value_dim));
}

// Queries, keys, values and the attention's output that are kept of a token, elements; `again`: of MLA, whose up-projections
// are computed again, latents instead of all but the output.
double AttentionElements(const LayerSpec& layer, int64_t hidden, bool again) {
  const model::AttentionSpec& attention = layer.attention;
  const double heads = attention.query_heads, key_heads = attention.kv_heads > 0 ? attention.kv_heads : heads;
  const double output = heads * attention.value_dim;
  const model::KvCacheSpec* const latents = LatentsOf(attention);
  if (!again || latents == nullptr)
    return output + heads * attention.key_dim + key_heads * (attention.key_dim + attention.value_dim);
  const int64_t rank = QueryRank(layer, hidden);
  return output + (rank > 0 ? Count(rank) : heads * attention.key_dim) + Count(latents->elements);
}

// Elements that kernels without products read and write for a token in the forward pass: two norms (in, out), two residual
// additions (two in, one out), the rotation of queries and keys, SwiGLU (two in, one out), tokens to their experts and back.
double ElementwiseElements(const ModelSpec& model) {
  const double hidden = Count(model.hidden);
  double elements = 0;
  for (const LayerSpec& layer : model.layers) {
    const model::AttentionSpec& attention = layer.attention;
    elements += 10 * hidden + 2.0 * attention.key_dim * (attention.query_heads + attention.kv_heads);
    const model::FfnSpec& ffn = layer.ffn;
    elements += 3 * Count(ffn.dense_width + ffn.shared_width);
    if (ffn.moe()) elements += ffn.ActiveExperts() * 3 * Count(ffn.expert_width) + 2 * (ffn.ActiveExperts() + 1) * hidden;
  }
  return elements;
}

// Of them those that the backward pass reads and writes once more to keep fewer activations: norms, SwiGLU.
double RecomputedElements(const ModelSpec& model, const SelectiveRecompute& recompute) {
  double elements = 0;
  for (const LayerSpec& layer : model.layers) {
    const model::FfnSpec& ffn = layer.ffn;
    if (recompute.layernorm) elements += 4 * Count(model.hidden);
    if (!recompute.moe_act) continue;
    elements += 3 * Count(ffn.dense_width + ffn.shared_width);
    if (ffn.moe()) elements += ffn.ActiveExperts() * 3 * Count(ffn.expert_width);
  }
  return elements;
}

double ActivationsOf(const ModelSpec& model, const TrainingSetup& setup) {
  return ActivationBytesPerToken(model, setup.recompute, setup.expert_activation_bytes);
}

}  // namespace

double ActivationBytesPerToken(const ModelSpec& model, const SelectiveRecompute& recompute, double expert_bytes) {
  const double hidden = Count(model.hidden);
  const double gates = recompute.moe_act ? 2 : 3;  // gate, up and their product
  double bytes = 0;
  for (const LayerSpec& layer : model.layers) {
    const model::FfnSpec& ffn = layer.ffn;
    const double elements =
        (recompute.layernorm ? 2 : 4) * hidden + AttentionElements(layer, model.hidden, recompute.mla_up_proj) +
        Count(layer.attention.state_elements > 0 ? 2 * model.hidden : 0) + gates * Count(ffn.dense_width + ffn.shared_width);
    bytes += kActivationBytes * elements;
    if (!ffn.moe()) continue;
    const double kept = expert_bytes * (hidden + 2 * Count(ffn.expert_width));
    bytes += ffn.ActiveExperts() * (kept + (recompute.moe_act ? 0 : kActivationBytes * Count(ffn.expert_width)));
  }
  return bytes;
}

TrainingWork WorkOfTraining(const ModelSpec& model, const TrainingSetup& setup) {
  const double sequences = setup.tokens_per_step / setup.sequence_tokens;
  const double forward = sequences * (ForwardFlops(model, setup.sequence_tokens) + MtpFlops(model, setup.sequence_tokens));
  TrainingWork work;
  work.flops = (1 + kBackward) * forward;
  work.executed_flops = work.flops + setup.recomputed * forward;
  if (setup.recompute.mla_up_proj) {
    for (const LayerSpec& layer : model.layers)
      work.executed_flops += (1 - setup.recomputed) * setup.tokens_per_step * UpProjectionFlops(layer, model.hidden);
  }
  work.elementwise_bytes = setup.tokens_per_step * kActivationBytes *
                           ((1 + kBackward + setup.recomputed) * ElementwiseElements(model) +
                            (1 - setup.recomputed) * RecomputedElements(model, setup.recompute));
  work.matrix_flops = work.flops - (1 + kBackward) * sequences * ScoreFlops(model, setup.sequence_tokens);

  const double params = Params(model), routed = RoutedParams(model), dense = params - routed;
  const double rounds = MicroBatches(setup);
  // A micro-batch of thousands of tokens reads every expert.
  const double resident = dense * DenseCopies(setup) + routed * RoutedCopies(setup);
  const double read = rounds * (2 + setup.recomputed) * WeightBytesOf(setup) * resident;
  const double summed = rounds * 2 * kGradientBytes * resident;
  const double updated = params * (kGradientBytes + 2 * setup.state_bytes + WeightBytesOf(setup));
  const double kept = 2 * (1 - setup.recomputed) * setup.tokens_per_step * ActivationsOf(model, setup);
  work.bytes = read + summed + updated + kept;

  const metrics::Deployment& d = setup.deployment;
  for (const LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe() || d.expert <= 1) continue;
    // There and back, forward and backward, at most one copy a rank.
    const double ranks = d.expert, copies = std::min<double>(layer.ffn.ActiveExperts(), ranks);
    const double bytes = setup.tokens_per_step * copies * Count(model.hidden) * kActivationBytes;
    work.expert_link_bytes += 2 * 2 * bytes * (ranks - 1) / ranks;
  }
  work.gradient_link_bytes = AllReduceBytes(dense * kSentGradientBytes, DenseCopies(setup)) * DenseCopies(setup) +
                             AllReduceBytes(routed * kSentGradientBytes, RoutedCopies(setup)) * RoutedCopies(setup);
  return work;
}

TrainingMemory MemoryOfTraining(const ModelSpec& model, const TrainingSetup& setup) {
  const metrics::Deployment& d = setup.deployment;
  const double params = Params(model), routed = RoutedParams(model), dense = params - routed;
  const double own = dense / d.tensor / d.pipeline + routed / std::max(d.tensor, d.expert) / d.pipeline;
  TrainingMemory memory;
  memory.weights = own * WeightBytesOf(setup);
  memory.gradients = own * kGradientBytes;
  memory.optimiser = params * setup.state_bytes / static_cast<double>(d.Devices());
  // A stage keeps the activations of as many micro-batches as there are stages, each of its share of the layers.
  memory.activations = (1 - setup.recomputed) * setup.tokens_per_micro_batch * ActivationsOf(model, setup) / d.tensor;
  return memory;
}

TrainingTime TimeOfTraining(const ModelSpec& model, const TrainingSetup& setup, const hardware::Device& device,
                            const Fabric& fabric, double matrix_time) {
  const metrics::Deployment& d = setup.deployment;
  const TrainingWork work = WorkOfTraining(model, setup);
  const auto devices = static_cast<double>(d.Devices());
  const double repeated = work.executed_flops / work.flops;
  const double matrix_rate = RateOf(device, setup.matrix_type).flops_per_s, score_rate = RateOf(device, "bf16").flops_per_s;
  const double busy_s =
      repeated * matrix_time / devices * (work.matrix_flops / matrix_rate + (work.flops - work.matrix_flops) / score_rate);
  TrainingTime time;
  const double rounds = MicroBatches(setup);
  // Interleaved parts of the pipeline shorten its filling and draining (Narayanan et al., arXiv 2104.04473, 2.2.2).
  const double bubble = 1 + (d.pipeline - 1.0) / setup.virtual_stages / rounds;
  time.compute_s = busy_s * bubble;
  time.elementwise_s = bubble * work.elementwise_bytes / devices / *device.bandwidth_bytes_per_s;
  time.memory_s = work.bytes / devices / *device.bandwidth_bytes_per_s;
  const auto over_link = [&](double bytes, double ranks) {
    const double rate = fabric.BytesPerS(ranks);
    return bytes > 0 && rate > 0 ? bytes / devices / rate : 0;
  };
  time.link_s = over_link(work.expert_link_bytes, d.expert) + over_link(work.gradient_link_bytes, devices);
  const double own_s = std::max(time.compute_s + time.elementwise_s, time.memory_s);
  time.hidden_s = std::max(own_s, time.link_s);
  time.serial_s = own_s + time.link_s;
  return time;
}

double LeastStepSeconds(const TrainingWork& work, const TrainingSetup& setup, const hardware::Device& device, double devices) {
  return std::max(work.executed_flops / RateOf(device, setup.matrix_type).flops_per_s,
                  work.bytes / device.bandwidth_bytes_per_s.value_or(1)) /
         devices;
}

TrainingUtilization UtilizationOf(const TrainingWork& work, const hardware::Device& device, double devices, double step_s) {
  return {work.flops / step_s / devices / RateOf(device, "bf16").flops_per_s,
          work.bytes / step_s / devices / device.bandwidth_bytes_per_s.value_or(1)};
}

}  // namespace moecap::planner
