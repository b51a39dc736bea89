// Sparsity-aware utilisation of memory bandwidth and compute (MoE-CAP, arXiv 2412.07067, Eq. 4-6) from recorded passes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "metrics/deployment.h"
#include "metrics/gate.h"
#include "metrics/pass_cost.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// The ceilings of the devices that compute a pass. A null peak makes the figures that need it null.
struct Peaks {
  std::optional<double> bandwidth_bytes_per_s;  // of one device
  std::optional<double> flops_per_s;            // dense peak of the compute dtype, of one device
  int devices = 1;
};

// Sums over the passes of one phase, and ratios of sums (Eq. 6). Fractions are 0..1 of the peak; > 1 trips a gate.
// `paper` counts exactly what Eq. 4-5 count; the complete convention adds head, norms and router.
struct PhaseUtilization {
  int64_t passes = 0;
  std::optional<double> latency_s;  // null without passes
  int64_t tokens = 0;               // new tokens processed
  std::optional<double> bytes;      // complete convention; null when the distinct experts of a pass are not known
  std::optional<double> kv_bytes;   // the KV part of `bytes`
  std::optional<double> flops;      // complete convention
  std::optional<double> s_mbu, s_mfu;
  std::optional<double> s_mbu_paper, s_mfu_paper;
  std::optional<double> mbu, mfu;             // vanilla: every expert counted as used
  std::vector<double> mean_distinct_experts;  // per MoE layer, weighted by passes; empty for a dense model or when not known
};

struct Utilization {
  PhaseUtilization prefill, decode, mixed, all;
  std::vector<Gate> gates;           // sanity checks of the passes and of the shares
  std::vector<std::string> invalid;  // TrippedWords(gates)
  std::vector<std::string> notes;    // why a figure is null, in sentences
};

struct UtilizationOptions {
  // Null: a pass ran on `peaks.devices` devices and nothing is counted twice. Else its devices stand for `peaks.devices`, what
  // it replicates is counted where it lies (not in the paper's convention), and passes of replicas that step together are
  // joined.
  std::optional<Deployment> deployment;
  MlaForm mla_form = MlaForm::kExpanded;
  // What clients saw, to be compared with the least time of a decode pass; null = no such gate. Only where the passes' latency
  // was not made from it.
  std::optional<double> tpot_s;
};

// Requires a deployment that Validate accepts.
Utilization ComputeUtilization(const model::ModelSpec& model, std::span<const record::PassRecord> passes, const Peaks& peaks,
                               const UtilizationOptions& options = {});

}  // namespace moecap::metrics
