#include "report/words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/units.h"
#include "report/figures.h"

namespace moecap::report {
namespace {

std::string Ceilings(const cap::HostSummary& host) {
  const std::string bandwidth =
      host.peak_bandwidth_bytes_per_s ? FormatSi(*host.peak_bandwidth_bytes_per_s, "B/s") : "bandwidth not known";
  std::string flops = host.peak_flops_per_s ? FormatSi(*host.peak_flops_per_s, "FLOP/s") : "FLOP/s not known";
  if (!host.flops_kernel.empty()) flops += fmt::format(" ({})", host.flops_kernel);
  return fmt::format("{}, {}{}", bandwidth, flops, host.peaks_source.empty() ? "" : "; " + host.peaks_source);
}

std::string Host(const cap::HostSummary& host) {
  std::vector<std::string> parts;
  if (!host.cpu_model.empty()) parts.push_back(host.cpu_model);
  if (host.cores > 0) parts.push_back(fmt::format("{} {}", host.cores, host.cores == 1 ? "core" : "cores"));
  if (host.dram_bytes > 0) parts.push_back(FormatBytes(host.dram_bytes) + " DRAM");
  if (!host.device_id.empty()) parts.push_back("device " + host.device_id);
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string Models(const RunSummary& summary) {
  std::vector<std::string> models;
  for (const auto& system : summary.systems) {
    if (!system.model_id.empty() && std::find(models.begin(), models.end(), system.model_id) == models.end())
      models.push_back(system.model_id);
  }
  return JoinWords(models);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> DescribeRun(const RunSummary& summary) {
  std::vector<std::pair<std::string, std::string>> lines;
  const auto add = [&lines](const char* label, const std::string& text) {
    if (!text.empty()) lines.emplace_back(label, text);
  };
  add("started", summary.started_at);
  add("model", Models(summary));
  std::string dataset = summary.dataset;
  if (summary.problems > 0) dataset += fmt::format(", {} problems", summary.problems);
  if (!summary.scoring_contract.empty()) dataset += fmt::format(", scored as {}", summary.scoring_contract);
  add("data set", dataset);
  add("engine", summary.engine);
  add("host", Host(summary.host));
  add("ceilings", Ceilings(summary.host));
  if (summary.host.power_w) {
    const std::string source = summary.host.power_source.empty() ? "" : ", " + summary.host.power_source;
    add("power", FormatSignificant(*summary.host.power_w, 3) + " W" + source);
  }
  return lines;
}

std::string IncompleteWarning() {
  return "INCOMPLETE RUN: it was interrupted. The figures cover only what was measured before; do not compare or publish them.";
}

std::string ClassMeaning(cap::CapClass value) {
  switch (value) {
    case cap::CapClass::kPerformanceAccuracy:
      return "PA, optimises performance and accuracy, gives up cost";
    case cap::CapClass::kPerformanceCost:
      return "PC, optimises performance and cost, gives up accuracy";
    case cap::CapClass::kCostAccuracy:
      return "CA, optimises cost and accuracy, gives up performance";
    case cap::CapClass::kBalanced:
      return "balanced, gives up none of the three";
    case cap::CapClass::kDominated:
      return "dominated, another system is at least as good in everything";
    case cap::CapClass::kUnknown:
      break;
  }
  return "class unknown, a figure is missing";
}

std::string CapReason(const cap::CapScores& scores) {
  std::string reason = scores.reason;
  if (const std::string prefix = cap::CapClassName(scores.cap_class) + ": "; reason.starts_with(prefix))
    reason.erase(0, prefix.size());
  if (reason.empty()) return "";
  if (reason[0] >= 'a' && reason[0] <= 'z') reason[0] = static_cast<char>(reason[0] - 'a' + 'A');
  if (reason.back() != '.') reason += '.';
  return reason;
}

std::string CapScaleNote(const RunSummary& summary) {
  const cap::Axis& cost = cap::AxisOf(summary.cap_cost_axis);
  const cap::Axis& performance = cap::AxisOf(summary.cap_performance_axis);
  const std::string scenario = summary.cap_scenario.empty() ? "" : fmt::format(" (scenario {})", summary.cap_scenario);
  const std::string cost_unit = cost.unit.empty() ? std::string(cost.name) : std::string(cost.unit);
  return fmt::format(
      "Scores run from 0 to 100, outer is better, relative to the systems in view{}: cost is {}, accuracy the share of correct "
      "answers, performance the {}{}, all at concurrency {}.",
      scenario, cost.name == "cost" ? cost_unit : fmt::format("{}, {}", cost.name, cost_unit),
      performance.unit == "s" ? "mean " : "", performance.name, summary.cap_concurrency);
}

std::vector<std::string> ConventionNotes() {
  return {
      "S-MBU, S-MFU: share of the ceiling, activated experts only, complete convention (head, norms and router counted)",
      "paper: the same by Eq. 4-5 of MoE-CAP; MBU, MFU: vanilla, every expert counted as used",
  };
}

}  // namespace moecap::report
