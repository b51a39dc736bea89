#include "metrics/utilization.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/units.h"
#include "metrics/pass_checks.h"

namespace moecap::metrics {
namespace {

using model::ModelSpec;
using record::PassKind;
using record::PassRecord;

// What one pass adds to the sums of its phase.
struct PassAmounts {
  double latency_s = 0;
  int64_t tokens = 0;
  std::optional<double> bytes, bytes_paper;
  double bytes_vanilla = 0, kv_bytes = 0, flops = 0, flops_paper = 0, flops_vanilla = 0;
  std::vector<std::optional<double>> distinct;  // per MoE layer
};

PassAmounts AmountsOf(const ModelSpec& model, const PassRecord& pass, const Replication& copies, MlaForm form) {
  PassAmounts amounts;
  amounts.latency_s = pass.latency_s;
  amounts.tokens = pass.NewTokens();
  amounts.bytes = PassBytes(model, pass, Convention::kComplete, copies);
  amounts.bytes_paper = PassBytes(model, pass, Convention::kPaper);
  amounts.bytes_vanilla = *PassBytes(model, pass, Convention::kVanilla, copies);
  amounts.kv_bytes = PassKvBytes(model, pass, Convention::kComplete, copies);
  amounts.flops = PassFlops(model, pass, Convention::kComplete, std::nullopt, form);
  amounts.flops_paper = PassFlops(model, pass, Convention::kPaper);
  amounts.flops_vanilla = PassFlops(model, pass, Convention::kVanilla, std::nullopt, form);
  const int moe_layers = model.MoeLayers();
  for (int i = 0; i < moe_layers; ++i) amounts.distinct.push_back(DistinctExperts(pass, i, moe_layers));
  return amounts;
}

// Sums of one phase. A sum with one unknown term is unknown.
class Phase {
 public:
  explicit Phase(int moe_layers) : distinct_(static_cast<size_t>(moe_layers), 0.0) {}

  void Add(const PassAmounts& pass) {
    ++sums_.passes;
    latency_s_ += pass.latency_s;
    sums_.tokens += pass.tokens;
    AddTo(bytes_, pass.bytes);
    AddTo(bytes_paper_, pass.bytes_paper);
    bytes_vanilla_ += pass.bytes_vanilla;
    kv_bytes_ += pass.kv_bytes;
    flops_ += pass.flops;
    flops_paper_ += pass.flops_paper;
    flops_vanilla_ += pass.flops_vanilla;
    for (size_t i = 0; i < distinct_.size(); ++i) AddTo(distinct_[i], pass.distinct[i]);
    if (pass.bytes) least_bytes_ = std::min(least_bytes_.value_or(*pass.bytes), *pass.bytes);
  }

  // Of the cheapest pass whose bytes are known.
  std::optional<double> least_bytes() const { return least_bytes_; }

  PhaseUtilization Finish(const Peaks& peaks) const {
    PhaseUtilization result = sums_;
    if (result.passes == 0) return result;
    result.latency_s = latency_s_;
    result.bytes = bytes_;
    result.kv_bytes = kv_bytes_;
    result.flops = flops_;
    const auto share = [&](std::optional<double> amount, std::optional<double> peak) -> std::optional<double> {
      if (!amount || !peak || *peak <= 0 || peaks.devices <= 0 || !(latency_s_ > 0)) return std::nullopt;
      return *amount / latency_s_ / (*peak * peaks.devices);
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

  PhaseUtilization sums_;  // passes and tokens
  double latency_s_ = 0;
  std::optional<double> least_bytes_;
  std::optional<double> bytes_ = 0, bytes_paper_ = 0;
  double bytes_vanilla_ = 0, kv_bytes_ = 0, flops_ = 0, flops_paper_ = 0, flops_vanilla_ = 0;
  std::vector<std::optional<double>> distinct_;
};

Gate ShareGate(std::string_view phase, std::string_view name, std::optional<double> share) {
  return JudgeIfKnown(MakeGate(fmt::format("{} of {}", name, phase), 1, "share"), share,
                      fmt::format("{} of the {} passes is {:.4f}, above 1: the peak, the latency or the routing is wrong; "
                                  "measure the peak again on a quiet machine",
                                  name, phase, share.value_or(0)),
                      "the peak, or what the passes read, is not known");
}

void AddShareGates(std::string_view phase, const PhaseUtilization& use, std::vector<Gate>& gates) {
  if (use.passes == 0) return;
  for (const auto& [name, share, paper] :
       {std::tuple{"S-MBU", use.s_mbu, use.s_mbu_paper}, {"S-MFU", use.s_mfu, use.s_mfu_paper}}) {
    gates.push_back(ShareGate(phase, name, share));
    // One cause is told once.
    if (!gates.back().tripped()) gates.push_back(ShareGate(phase, fmt::format("{} (paper)", name), paper));
  }
}

// No step of decoding can be faster than its least bytes from memory.
void AddTpotGate(std::optional<double> tpot_s, std::optional<double> least_bytes, const Peaks& peaks,
                 std::vector<Gate>& gates) {
  if (!tpot_s) return;
  std::optional<double> floor_s;
  if (least_bytes && peaks.bandwidth_bytes_per_s && *peaks.bandwidth_bytes_per_s > 0)
    floor_s = *least_bytes / (*peaks.bandwidth_bytes_per_s * peaks.devices);
  Gate gate = MakeGate("TPOT over the byte floor", floor_s.value_or(0), "s", true);
  if (!floor_s) return gates.push_back(NotMeasured(std::move(gate), "what a decode pass reads, or the peak, is not known"));
  gates.push_back(Judge(std::move(gate), *tpot_s,
                        fmt::format("a token every {} is faster than the {} that reading its weights takes: the peak, the "
                                    "clock or the token count is wrong, or the weights stay in a cache",
                                    FormatSeconds(*tpot_s), FormatSeconds(*floor_s))));
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

  void Add(const PassRecord& pass, const Replication& copies, PassChecks& checks) {
    if (!checks.Check(pass)) return;
    const PassAmounts amounts = AmountsOf(model_, pass, copies, mla_form_);
    Phase& phase = pass.kind == PassKind::kPrefill ? prefill_ : pass.kind == PassKind::kDecode ? decode_ : mixed_;
    phase.Add(amounts);
    all_.Add(amounts);
  }

  std::optional<double> least_decode_bytes() const { return decode_.least_bytes(); }

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
  PassChecks checks(model);
  if (options.deployment) {
    for (const PassRecord& pass : passes) checks.CheckReplica(pass, static_cast<int>(deployment.data));
  }
  if (deployment.StepReplicas() > 1) {
    Steps joined = JoinSteps(passes, deployment);
    result.notes = std::move(joined.notes);
    for (const Step& step : joined.steps) sums.Add(step.pass, {step.replicas, deployment.tensor}, checks);
  } else {
    for (const PassRecord& pass : passes) {
      if (pass.cell.repeat >= 0 && pass.rank <= 0) sums.Add(pass, {1, deployment.tensor}, checks);
    }
  }
  Peaks all_devices = peaks;
  if (options.deployment) all_devices.devices = static_cast<int>(deployment.StepDevices());
  sums.Finish(all_devices, result);
  result.gates = checks.Gates();
  for (const auto& [name, phase] :
       {std::pair{"prefill", &result.prefill}, std::pair{"decode", &result.decode}, std::pair{"mixed", &result.mixed}})
    AddShareGates(name, *phase, result.gates);
  AddTpotGate(options.tpot_s, sums.least_decode_bytes(), all_devices, result.gates);
  result.invalid = TrippedWords(result.gates);
  return result;
}

}  // namespace moecap::metrics
