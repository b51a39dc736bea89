// One step of training a model: what it computes, moves, exchanges and has to hold, and between which bounds it can take.
// Counted from the same layers as serving; no fitted constant but the share of peak that matrix kernels reach. docs/planner.md,
// "Training", has the formulas, the two published reports and the measured run that they were checked against.
#pragma once

#include <string>

#include "planner/step_time.h"

namespace moecap::planner {

// What the backward pass computes again to keep fewer activations, by Megatron's names of --recompute-modules. The products of
// MLA's up-projections count as FLOPs; norms and gates are computed again at no cost here.
struct SelectiveRecompute {
  bool layernorm = false;    // outputs of the norms
  bool mla_up_proj = false;  // queries, keys and values of MLA: their latents are kept
  bool moe_act = false;      // outputs of SwiGLU
};

struct TrainingSetup {
  metrics::Deployment deployment;
  double sequence_tokens = 4096;
  double tokens_per_step = 4096 * 256;   // of all replicas
  double tokens_per_micro_batch = 4096;  // of one replica, between two rounds of its pipeline
  int virtual_stages = 1;                // of the interleaved schedule: each device holds so many parts of the pipeline
  double recomputed = 0;                 // share of the forward pass that the backward pass repeats to keep fewer activations
  SelectiveRecompute recompute;          // ... of the rest
  double expert_activation_bytes = 2;    // of an element that goes to experts and into their SwiGLU, as kept: 1 in fp8
  std::string matrix_type = "bf16";      // of weights and products: "bf16", "fp8"; attention scores stay in bf16
  double state_bytes = 12;  // of the optimiser for a parameter: Adam's two moments and master weights, 4 bytes each
};

// Sums over all devices, of one step.
struct TrainingWork {
  double flops = 0;           // of the model: forward, and twice that backward, multi-token prediction included
  double executed_flops = 0;  // with what is recomputed
  double matrix_flops = 0;    // of `flops`, products with weights
  double bytes = 0;           // of the devices' memories: weights, gradients, optimiser, activations
  double elementwise_bytes =
      0;  // of kernels that multiply nothing: norms, residuals, rotation, gates, tokens to experts and back
  double expert_link_bytes = 0;    // that ranks send in the all-to-all, there and back, forward and backward
  double gradient_link_bytes = 0;  // ... to sum gradients over replicas and to share the new weights
};

// Bytes of the fullest device, if layers and experts are spread evenly.
struct TrainingMemory {
  double weights = 0, gradients = 0, optimiser = 0, activations = 0;

  double Total() const { return weights + gradients + optimiser + activations; }
};

// Seconds. `hidden`: communication behind computation; `serial`: one after the other.
struct TrainingTime {
  double compute_s = 0;      // at the share of peak that kernels reach, the pipeline's bubble included
  double elementwise_s = 0;  // bytes of the kernels between them at peak, the bubble included: they run one after the other
  double memory_s = 0;       // bytes at peak: part of what compute hides
  double link_s = 0;         // both exchanges at the links' peak
  double hidden_s = 0, serial_s = 0;
};

// Activations that the backward pass needs, bytes of a token in all layers, 16-bit: inputs of the norms and products, queries,
// keys, values, gates and outputs of the chosen experts; attention recomputes its scores (FlashAttention). Less what
// `recompute` computes again; `expert_bytes` of an element of the experts' inputs and of their gates' inputs.
double ActivationBytesPerToken(const model::ModelSpec& model, const SelectiveRecompute& recompute = {},
                               double expert_bytes = 2);

// Requires a deployment that Validate accepts and positive sizes.
TrainingWork WorkOfTraining(const model::ModelSpec& model, const TrainingSetup& setup);
TrainingMemory MemoryOfTraining(const model::ModelSpec& model, const TrainingSetup& setup);
// `matrix_time`: time of the FLOPs of matrix products over that at peak. Requires a device with bandwidth and a peak.
TrainingTime TimeOfTraining(const model::ModelSpec& model, const TrainingSetup& setup, const hardware::Device& device,
                            const Fabric& fabric, double matrix_time);

// S-MFU and S-MBU of a step that takes `step_s`: model FLOPs and bytes over the peaks of all devices; the FLOPs against bf16.
struct TrainingUtilization {
  double s_mfu = 0, s_mbu = 0;
};
TrainingUtilization UtilizationOf(const TrainingWork& work, const hardware::Device& device, double devices, double step_s);

// The time below which no step is, by what it executes and moves at the peaks of all devices; links not counted.
double LeastStepSeconds(const TrainingWork& work, const TrainingSetup& setup, const hardware::Device& device, double devices);

}  // namespace moecap::planner
