#include "loadtest/summarize.h"

#include <fmt/format.h>

#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "loadtest/gates.h"
#include "loadtest/load_test.h"

namespace moecap::loadtest {
namespace {

std::string DescribeLoad(const LoadTestConfig& config) {
  std::string text;
  switch (config.kind) {
    case LoadKind::kClients:
      text = "closed loop";
      break;
    case LoadKind::kUsers:
      text = "conversations of users";
      break;
    case LoadKind::kReplay:
      text = "open loop, times of the trace";
      break;
    case LoadKind::kRate: {
      constexpr const char* kGaps[] = {"constant gaps", "Poisson arrivals", "gamma gaps", "Weibull gaps"};
      text = fmt::format("open loop, {}", kGaps[static_cast<size_t>(config.arrivals.gaps)]);
      if (config.arrivals.gaps == workload::GapShape::kGamma || config.arrivals.gaps == workload::GapShape::kWeibull)
        text += fmt::format(" of shape {}", config.arrivals.shape);
      if (config.arrivals.burst > 1) text += fmt::format(", bursts of {}", config.arrivals.burst);
      if (!config.arrivals.ramp.empty()) text += ", with a ramp";
      text += fmt::format(", seed {}", config.seed);
    }
  }
  if (config.duration_s) text += fmt::format(", {} s", *config.duration_s);
  if (config.start_over_s > 0) text += fmt::format(", started over {} s", config.start_over_s);
  if (config.cancel_share > 0)
    text += fmt::format(", {:.3g} % cancelled after {} s", 100 * config.cancel_share, config.cancel_after_s);
  return text;
}

// Requests that ended well and yet did not what was planned get the reason. They stay successes: the gates judge them.
void NameMismatches(std::span<const PlanEntry> plan, std::vector<record::RequestRecord>& requests) {
  std::unordered_map<std::string_view, const PlanEntry*> planned;
  for (const PlanEntry& entry : plan) planned.emplace(entry.id, &entry);
  for (record::RequestRecord& request : requests) {
    const auto found = planned.find(request.id);
    if (!request.ok() || found == planned.end()) continue;
    const PlanMismatch mismatch = CompareToPlan(request, *found->second);
    if (mismatch.input == true) {
      request.error_kind = record::RequestError::kInputLengthMismatch;
      request.error =
          fmt::format("the prompt had {} tokens, planned were {}", request.input_tokens, *found->second->input_tokens);
    } else if (mismatch.cache == true) {
      request.error_kind = record::RequestError::kCacheContaminated;
      request.error = fmt::format("{} tokens of the prompt came from the prefix cache, planned were {}",
                                  *request.cached_input_tokens, *found->second->shared_tokens);
    } else if (mismatch.output == true) {
      request.error_kind = record::RequestError::kOutputLengthMismatch;
      request.error =
          fmt::format("the answer had {} tokens, planned were {}", request.output_tokens, found->second->output_tokens);
    }
  }
}

Result<metrics::LoadCell> SummarizeMeasurement(const LoadResults& results, const Measurement& measurement) {
  const LoadManifest& manifest = results.manifest();
  const LoadKind kind = manifest.config.kind;
  ASSIGN_OR_RETURN(load::LoadResult records, results.ReadRecords(measurement));
  ASSIGN_OR_RETURN(const std::vector<PlanEntry> plan, results.ReadPlan(measurement.name));
  NameMismatches(plan, records.requests);
  metrics::LoadCell cell = metrics::DescribeLoadCell(records.requests, manifest.config.objectives);
  cell.label = LevelLabel(kind, measurement.level);
  if (kind == LoadKind::kClients || kind == LoadKind::kUsers) cell.clients = static_cast<int>(measurement.level);
  if (kind == LoadKind::kRate) cell.rate_per_s = measurement.level;
  cell.repeat = measurement.repeat;
  cell.held_back = measurement.held_back;
  cell.ended_by = load::Name(measurement.ended_by);
  cell.client_cpu_s = measurement.cpu_s;
  cell.threads = manifest.config.threads;
  cell.gates = JudgeGates({kind, records, plan, cell, manifest.head_room});
  std::vector<double> delays(records.receive_delay_s.begin(), records.receive_delay_s.end());
  cell.receive_delay_s = metrics::DescribeLatency("receive_delay_s", delays);
  return cell;
}

metrics::LoadSearch DescribeSearch(const LoadTestConfig& config, const load::SloSearchResult& found) {
  metrics::LoadSearch search;
  search.what = config.kind == LoadKind::kRate ? "requests/s" : std::string(Name(config.kind));
  search.target_share = config.search->target_share;
  search.confidence = config.search->confidence;
  search.passes = found.passes;
  search.fails = found.fails;
  search.verdict = found.verdict;
  for (const load::SloProbe& probe : found.probes) {
    metrics::LoadSearch::Probe entry;
    entry.load = probe.load;
    entry.offered = probe.offered;
    entry.met = probe.met;
    if (probe.share) {
      entry.share_low = probe.share->interval.low;
      entry.share_high = probe.share->interval.high;
    }
    entry.verdict = probe.verdict == load::Verdict::kPass   ? "passes"
                    : probe.verdict == load::Verdict::kFail ? "fails"
                                                            : "undecided";
    search.probes.push_back(std::move(entry));
  }
  return search;
}

}  // namespace

Result<metrics::LoadTestSummary> Summarize(const LoadResults& results) {
  const LoadManifest& manifest = results.manifest();
  metrics::LoadTestSummary summary;
  summary.run_id = manifest.run_id;
  summary.started_at = manifest.started_at;
  summary.moecap_version = manifest.moecap_version;
  summary.name = manifest.config.name;
  summary.server = manifest.target.server;
  summary.url = manifest.target.url;
  summary.api = manifest.target.api;
  summary.model = manifest.target.model;
  summary.workload = manifest.workload;
  summary.load = DescribeLoad(manifest.config);
  summary.client = manifest.client;
  summary.complete = manifest.complete;
  summary.objectives = manifest.config.objectives;
  summary.notes = manifest.notes;
  for (const Measurement& measurement : manifest.measurements) {
    ASSIGN_OR_RETURN(metrics::LoadCell cell, SummarizeMeasurement(results, measurement));
    summary.cells.push_back(std::move(cell));
  }
  if (manifest.config.search && manifest.complete) {
    const auto refuse = [&](double level, int repeat) {
      return results.Find(level, repeat) != nullptr
                 ? Status()
                 : Status(
                       BadInput(fmt::format("{}: the search's measurement at {} is missing", results.dir().string(), level)));
    };
    ASSIGN_OR_RETURN(const load::SloSearchResult found, Search(results, refuse));
    summary.search = DescribeSearch(manifest.config, found);
  }
  return summary;
}

}  // namespace moecap::loadtest
