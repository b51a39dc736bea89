#include "metrics/quiet_gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "stats/summary.h"

namespace moecap::metrics {
namespace {

using hardware::MachineUse;
using record::PassRecord;

constexpr double kMostCpuMissing = 0.05;
constexpr double kMostSteal = 0.01;
constexpr double kMostPressure = 0.1;
constexpr double kMostThrottled = 0.01;
constexpr double kMostSwitchesPerS = 50;  // for each thread
constexpr double kMostIrregularity = 1.5;
constexpr double kMostFull = 0.9;
constexpr size_t kLeastOfAShape = 10;

constexpr const char* kNotTold = "this system does not tell";
constexpr const char* kRemedy =
    "close other programs, or pin them and this one to CPUs of their own (taskset), and measure again";

double Percent(std::optional<double> share) { return 100 * share.value_or(0); }

Gate MissingCpuGate(const MachineUse& use, int threads, std::span<const PassRecord> passes) {
  Gate gate = MakeGate("CPU time missing in passes", kMostCpuMissing, "share");
  if (threads == 0) return NotMeasured(std::move(gate), "the passes run on a GPU");
  double pass_s = 0;
  for (const PassRecord& pass : passes) {
    if (pass.cell.repeat < 0) continue;
    pass_s += pass.latency_s;
    if (pass.expert_reads) pass_s -= pass.expert_reads->stall_s;  // nothing computes while a pass waits for its experts
  }
  if (!(pass_s > 0)) return NotMeasured(std::move(gate), "no pass was recorded");
  // Our time outside passes can only hide a lack, never make one.
  const double missing = std::max(0.0, 1 - use.cpu_s / (threads * pass_s));
  return Judge(
      std::move(gate), missing,
      fmt::format("{} threads should have computed through every pass, but {:.0f} % of that CPU time went to others: {}",
                  threads, 100 * missing, kRemedy));
}

Gate OthersGate(const MachineUse& use) {
  const auto share = use.OthersShare();
  return JudgeIfKnown(MakeGate("CPU time of others", hardware::kBusyShare, "share"), share,
                      fmt::format("{:.0f} % of the CPU time went to other programs: {}", Percent(share), kRemedy), kNotTold);
}

Gate StealGate(const MachineUse& use) {
  const auto share = use.StealShare();
  return JudgeIfKnown(MakeGate("CPU time stolen", kMostSteal, "share"), share,
                      fmt::format("the hypervisor gave {:.0f} % of the CPU time to other guests: use a machine with dedicated "
                                  "CPUs, or measure at another time",
                                  Percent(share)),
                      kNotTold);
}

Gate ThrottledGate(const MachineUse& use) {
  Gate gate = MakeGate("CPU time throttled", kMostThrottled, "share");
  if (!use.throttled_s || !(use.wall_s > 0)) return NotMeasured(std::move(gate), "no control group with a quota tells");
  const double share = *use.throttled_s / (use.wall_s * use.allowed_cpus);
  return Judge(
      std::move(gate), share,
      fmt::format("the control group's quota stopped this process for {:.0f} % of the CPU time: use fewer threads than the "
                  "quota grants, or raise it",
                  100 * share));
}

Gate SwitchesGate(const MachineUse& use, int threads, std::span<const PassRecord> passes) {
  Gate gate = MakeGate("involuntary switches", kMostSwitchesPerS, "/s");
  if (std::ranges::any_of(passes, [](const PassRecord& pass) { return pass.expert_reads.has_value(); }))
    return NotMeasured(std::move(gate), "the system's own reads from disk take the CPU from its computing threads");
  std::optional<double> per_thread = use.SwitchesPerS();
  if (per_thread) *per_thread /= std::max(threads, 1);
  return JudgeIfKnown(std::move(gate), per_thread,
                      fmt::format("the kernel took the CPU from each computing thread {:.0f} times a second: {}",
                                  per_thread.value_or(0), kRemedy),
                      kNotTold);
}

Gate IrregularityGate(std::span<const PassRecord> passes) {
  const auto ratio = DecodeIrregularity(passes);
  return JudgeIfKnown(
      MakeGate("mean/median of equal decode passes", kMostIrregularity, "x"), ratio,
      fmt::format("decode passes of one shape took {:.1f} times their median on average: something stopped them; {}",
                  ratio.value_or(0), kRemedy),
      fmt::format("fewer than {} decode passes of one shape", kLeastOfAShape));
}

Gate PressureGate(const MachineUse& use) {
  const auto share = use.PressureShare();
  return JudgeIfKnown(MakeGate("time with tasks waiting for a CPU", kMostPressure, "share"), share,
                      fmt::format("some program waited for a CPU in {:.0f} % of the time, and this client may be it: {}",
                                  Percent(share), kRemedy),
                      kNotTold);
}

Gate FullGate(const MachineUse& use) {
  Gate gate = MakeGate("CPUs in use, server and client together", kMostFull, "share");
  const auto others = use.OthersShare();
  if (!others) return NotMeasured(std::move(gate), kNotTold);
  const double share = *others + use.StealShare().value_or(0) + use.cpu_s / (use.wall_s * use.allowed_cpus);
  return Judge(
      std::move(gate), share,
      fmt::format("server and client share this machine and {:.0f} % of its CPU time was used: they wait for each other, "
                  "and more client threads cannot help; run the client elsewhere, or give each CPUs of its own (taskset)",
                  100 * share));
}

}  // namespace

std::optional<double> DecodeIrregularity(std::span<const PassRecord> passes) {
  std::map<int64_t, std::vector<double>> shapes;
  for (const PassRecord& pass : passes) {
    if (pass.kind == record::PassKind::kDecode && pass.cell.repeat >= 0) shapes[pass.SequenceCount()].push_back(pass.latency_s);
  }
  double sum_s = 0, at_median_s = 0;
  for (auto& [sequences, latencies] : shapes) {
    if (latencies.size() < kLeastOfAShape) continue;
    std::ranges::sort(latencies);
    for (const double latency_s : latencies) sum_s += latency_s;
    at_median_s += stats::Quantile(latencies, 0.5) * static_cast<double>(latencies.size());
  }
  return at_median_s > 0 ? std::optional(sum_s / at_median_s) : std::nullopt;
}

std::vector<Gate> InProcessQuietGates(const MachineUse& use, int threads, std::span<const PassRecord> passes) {
  return {MissingCpuGate(use, threads, passes), OthersGate(use),         StealGate(use), ThrottledGate(use),
          SwitchesGate(use, threads, passes),   IrregularityGate(passes)};
}

std::vector<Gate> ClientQuietGates(const MachineUse& use, bool shares_machine) {
  if (shares_machine) return {FullGate(use), StealGate(use), ThrottledGate(use)};
  return {OthersGate(use), StealGate(use), ThrottledGate(use), PressureGate(use)};
}

}  // namespace moecap::metrics
