#include "metrics/utilization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moecap::metrics {
namespace {

using model::LayerSpec;
using model::ModelSpec;
using record::PassKind;
using record::PassRecord;

std::string_view KindName(PassKind kind) {
  if (kind == PassKind::kPrefill) return "prefill";
  return kind == PassKind::kDecode ? "decode" : "mixed";
}

// A gate that trips for many passes is reported once, with the first pass and how many more.
class Gates {
 public:
  void Trip(std::string_view gate, const PassRecord& pass, std::string detail) {
    for (Entry& entry : entries_) {
      if (entry.gate != gate) continue;
      ++entry.times;
      return;
    }
    entries_.push_back({std::string(gate), fmt::format("{} pass {}: {}", KindName(pass.kind), pass.pass, detail), 1});
  }
  void Trip(std::string text) { entries_.push_back({"", std::move(text), 1}); }

  std::vector<std::string> Texts() const {
    std::vector<std::string> texts;
    for (const Entry& entry : entries_) {
      texts.push_back(entry.times == 1 ? entry.text : fmt::format("{} (and {} more passes)", entry.text, entry.times - 1));
    }
    return texts;
  }

 private:
  struct Entry {
    std::string gate;
    std::string text;
    int64_t times;
  };
  std::vector<Entry> entries_;
};

// Sums of one phase. A sum with one unknown term is unknown.
class Phase {
 public:
  explicit Phase(int moe_layers) : distinct_(static_cast<size_t>(moe_layers), 0.0) {}

  void Add(const ModelSpec& model, const PassRecord& pass, const Replication& copies, MlaForm form) {
    ++sums_.passes;
    sums_.latency_s += pass.latency_s;
    sums_.tokens += pass.NewTokens();
    AddTo(bytes_, PassBytes(model, pass, Convention::kComplete, copies));
    AddTo(bytes_paper_, PassBytes(model, pass, Convention::kPaper));
    bytes_vanilla_ += *PassBytes(model, pass, Convention::kVanilla, copies);
    kv_bytes_ += PassKvBytes(model, pass, Convention::kComplete, copies);
    flops_ += PassFlops(model, pass, Convention::kComplete, std::nullopt, form);
    flops_paper_ += PassFlops(model, pass, Convention::kPaper);
    flops_vanilla_ += PassFlops(model, pass, Convention::kVanilla, std::nullopt, form);
    for (size_t i = 0; i < distinct_.size(); ++i) {
      AddTo(distinct_[i], DistinctExperts(pass, static_cast<int>(i), static_cast<int>(distinct_.size())));
    }
  }

  PhaseUtilization Finish(const Peaks& peaks) const {
    PhaseUtilization result = sums_;
    if (result.passes == 0) return result;
    result.bytes = bytes_;
    result.kv_bytes = kv_bytes_;
    result.flops = flops_;
    const auto share = [&](std::optional<double> amount, std::optional<double> peak) -> std::optional<double> {
      if (!amount || !peak || *peak <= 0 || peaks.devices <= 0 || !(result.latency_s > 0)) return std::nullopt;
      return *amount / result.latency_s / (*peak * peaks.devices);
    };
    result.s_mbu = share(bytes_, peaks.bandwidth_bytes_per_s);
    result.s_mbu_paper = share(bytes_paper_, peaks.bandwidth_bytes_per_s);
    result.mbu = share(bytes_vanilla_, peaks.bandwidth_bytes_per_s);
    result.s_mfu = share(flops_, peaks.flops_per_s);
    result.s_mfu_paper = share(flops_paper_, peaks.flops_per_s);
    result.mfu = share(flops_vanilla_, peaks.flops_per_s);
    const bool known = std::all_of(distinct_.begin(), distinct_.end(), [](const auto& sum) { return sum.has_value(); });
    for (size_t i = 0; known && i < distinct_.size(); ++i) {
      result.mean_distinct_experts.push_back(*distinct_[i] / static_cast<double>(result.passes));
    }
    return result;
  }

 private:
  static void AddTo(std::optional<double>& sum, std::optional<double> term) {
    sum = sum && term ? std::optional<double>(*sum + *term) : std::nullopt;
  }

  PhaseUtilization sums_;
  std::optional<double> bytes_ = 0, bytes_paper_ = 0;
  double bytes_vanilla_ = 0, kv_bytes_ = 0, flops_ = 0, flops_paper_ = 0, flops_vanilla_ = 0;
  std::vector<std::optional<double>> distinct_;
};

// Bounds of the distinct experts of one layer: at least k if any token was routed, at most E and tokens x k.
void CheckLayer(const LayerSpec& layer, const PassRecord& pass, int moe_layer, bool last, double distinct, Gates& gates) {
  const auto index = static_cast<size_t>(moe_layer);
  double rows = static_cast<double>(pass.NewTokens());
  bool rows_known = false;
  if (index < pass.expert_counts.size() && layer.ffn.top_k > 0) {
    const std::vector<int32_t>& counts = pass.expert_counts[index];
    rows = std::accumulate(counts.begin(), counts.end(), 0.0) / layer.ffn.top_k;
    rows_known = true;
  }
  // An engine may skip the last layer for rows without logits, all of them in an unfinished chunk.
  const bool may_be_empty = rows_known ? rows == 0 : last && pass.kind != PassKind::kDecode;
  if (distinct == 0 && may_be_empty) return;
  const double least = layer.ffn.zero_experts > 0 ? 0 : layer.ffn.top_k;
  if (distinct < least - 1e-9) {
    gates.Trip("few", pass,
               fmt::format("{} distinct experts in MoE layer {}, fewer than top-{}", distinct, moe_layer, layer.ffn.top_k));
  }
  const double most = std::min<double>(layer.ffn.experts, rows * layer.ffn.top_k);
  if (distinct > most + 1e-9) {
    gates.Trip("many", pass,
               fmt::format("{} distinct experts in MoE layer {}, more than min({} experts, {} tokens x top-{})", distinct,
                           moe_layer, layer.ffn.experts, rows, layer.ffn.top_k));
  }
}

void CheckRouting(const ModelSpec& model, const PassRecord& pass, int moe_layers, Gates& gates) {
  if (moe_layers == 0) return;
  const size_t given = pass.distinct_experts.size();
  if (given > 1 && given != static_cast<size_t>(moe_layers)) {
    gates.Trip("shape", pass, fmt::format("distinct experts of {} layers, but the model has {} MoE layers", given, moe_layers));
    return;
  }
  if (!pass.expert_counts.empty() && pass.expert_counts.size() != static_cast<size_t>(moe_layers)) {
    gates.Trip(
        "counts", pass,
        fmt::format("expert counts of {} layers, but the model has {} MoE layers", pass.expert_counts.size(), moe_layers));
    return;
  }
  int moe_layer = 0;
  for (const LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe()) continue;
    const std::optional<double> distinct = DistinctExperts(pass, moe_layer, moe_layers);
    if (distinct && !std::isfinite(*distinct)) {
      gates.Trip("finite", pass, fmt::format("distinct experts of MoE layer {} are not a number", moe_layer));
    } else if (distinct) {
      CheckLayer(layer, pass, moe_layer, moe_layer == moe_layers - 1, *distinct, gates);
    }
    ++moe_layer;
  }
}

// False when nothing can be computed from the pass.
bool CheckShape(const PassRecord& pass, Gates& gates) {
  if (!(pass.latency_s > 0) || !std::isfinite(pass.latency_s)) {
    gates.Trip("latency", pass, fmt::format("a latency of {} s", pass.latency_s));
  }
  if (pass.sequences.empty()) {
    gates.Trip("empty", pass, "no sequences");
    return false;
  }
  for (const record::SequenceSlice& slice : pass.sequences) {
    if (slice.new_tokens >= 1 && slice.context_tokens >= 0 && slice.count >= 1) continue;
    gates.Trip("sequence", pass,
               fmt::format("a sequence of {} context and {} new tokens, {} times", slice.context_tokens, slice.new_tokens,
                           slice.count));
    return false;
  }
  return true;
}

void CheckShare(std::string_view phase, std::string_view name, std::optional<double> share, Gates& gates) {
  if (share && *share > 1) {
    gates.Trip(fmt::format("{} of the {} passes is {:.4f}, above 1: the peak, the latency or the routing is wrong", name, phase,
                           *share));
  }
}

void CheckPhase(std::string_view name, const PhaseUtilization& phase, Gates& gates) {
  CheckShare(name, "S-MBU", phase.s_mbu, gates);
  CheckShare(name, "S-MFU", phase.s_mfu, gates);
  if (phase.s_mbu <= 1.0) CheckShare(name, "S-MBU (paper)", phase.s_mbu_paper, gates);
  if (phase.s_mfu <= 1.0) CheckShare(name, "S-MFU (paper)", phase.s_mfu_paper, gates);
}

void CheckReplicas(std::span<const PassRecord> passes, const Deployment& deployment, Gates& gates) {
  for (const PassRecord& pass : passes) {
    if (pass.replica >= 0 && pass.replica < deployment.data) continue;
    gates.Trip("replica", pass, fmt::format("replica {} of a deployment of {}", pass.replica, deployment.data));
  }
}

class PhaseSums {
 public:
  PhaseSums(const ModelSpec& model, MlaForm mla_form)
      : model_(model),
        mla_form_(mla_form),
        moe_layers_(model.MoeLayers()),
        prefill_(moe_layers_),
        decode_(moe_layers_),
        mixed_(moe_layers_),
        all_(moe_layers_) {}

  void Add(const PassRecord& pass, const Replication& copies, Gates& gates) {
    if (!CheckShape(pass, gates)) return;
    CheckRouting(model_, pass, moe_layers_, gates);
    Phase& phase = pass.kind == PassKind::kPrefill ? prefill_ : pass.kind == PassKind::kDecode ? decode_ : mixed_;
    phase.Add(model_, pass, copies, mla_form_);
    all_.Add(model_, pass, copies, mla_form_);
  }

  void Finish(const Peaks& peaks, Utilization& result) const {
    result.prefill = prefill_.Finish(peaks);
    result.decode = decode_.Finish(peaks);
    result.mixed = mixed_.Finish(peaks);
    result.all = all_.Finish(peaks);
  }

 private:
  const ModelSpec& model_;
  MlaForm mla_form_;
  int moe_layers_;
  Phase prefill_, decode_, mixed_, all_;
};

}  // namespace

Utilization ComputeUtilization(const ModelSpec& model, std::span<const PassRecord> passes, const Peaks& peaks,
                               const UtilizationOptions& options) {
  const Deployment deployment = options.deployment.value_or(Deployment{});
  PhaseSums sums(model, options.mla_form);
  Utilization result;
  Gates gates;
  if (options.deployment) CheckReplicas(passes, deployment, gates);
  if (deployment.StepReplicas() > 1) {
    Steps joined = JoinSteps(passes, deployment);
    result.notes = std::move(joined.notes);
    for (const Step& step : joined.steps) sums.Add(step.pass, {step.replicas, deployment.tensor}, gates);
  } else {
    for (const PassRecord& pass : passes) {
      if (pass.cell.repeat >= 0 && pass.rank <= 0) sums.Add(pass, {1, deployment.tensor}, gates);
    }
  }
  Peaks all_devices = peaks;
  if (options.deployment) all_devices.devices = static_cast<int>(deployment.StepDevices());
  sums.Finish(all_devices, result);
  CheckPhase("prefill", result.prefill, gates);
  CheckPhase("decode", result.decode, gates);
  CheckPhase("mixed", result.mixed, gates);
  result.invalid = gates.Texts();
  return result;
}

}  // namespace moecap::metrics
