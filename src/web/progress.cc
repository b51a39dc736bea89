#include "web/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/index_record.h"
#include "base/fs.h"
#include "base/json.h"
#include "experiment/order.h"
#include "load/event_log.h"
#include "metrics/latency.h"
#include "report/format.h"
#include "web/page.h"

namespace moecap::web {
namespace fs = std::filesystem;
namespace {

// A log that is read again each second.
constexpr uint64_t kMostLogBytes = 64 << 20;

struct Mean {
  double sum = 0;
  int64_t count = 0;
  void Add(const std::optional<double>& value) {
    if (!value) return;
    sum += *value;
    ++count;
  }
  std::optional<double> value() const { return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt; }
};

// The events that the client has written out so far.
void ReadEvents(const experiment::Results& results, const experiment::Measurement& measurement, Progress& progress) {
  Mean ttft, tpot;
  double tokens = 0, last_s = 0;
  int64_t ended = 0, failed = 0;
  for (int thread = 0; thread < measurement.threads; ++thread) {
    const fs::path file = results.EventLogFile(measurement.name, thread);
    std::error_code code;
    const uint64_t bytes = fs::file_size(file, code);
    if (code || bytes > kMostLogBytes) return;
    const auto log = load::ReadEventLog(file);
    if (!log.ok()) return;
    for (const record::RequestRecord& request : log->result.requests) {
      tokens += static_cast<double>(request.token_s.size());
      if (!request.token_s.empty()) last_s = std::max(last_s, request.token_s.back());
      if (request.finish == record::FinishReason::kCancelled) continue;
      ++ended;
      failed += request.failed() ? 1 : 0;
      const metrics::RequestLatency latency = metrics::LatencyOf(request);
      ttft.Add(latency.ttft_s);
      tpot.Add(latency.tpot_s);
    }
  }
  progress.requests_ended = ended;
  progress.failed = failed;
  progress.output_tokens = tokens;
  if (last_s > 0) progress.elapsed_s = last_s;
  if (last_s > 0) progress.output_tokens_per_s = tokens / last_s;
  progress.ttft_mean_s = ttft.value();
  progress.tpot_mean_s = tpot.value();
}

std::string Percent(int64_t done, int64_t all) {
  return all <= 0 ? "0" : fmt::format("{:.1f}", 100 * static_cast<double>(done) / static_cast<double>(all));
}

}  // namespace

Progress ProgressOf(const experiment::Results& results) {
  const experiment::Manifest& manifest = results.manifest();
  Progress progress;
  progress.run_id = manifest.run_id;
  progress.complete = manifest.complete;
  progress.running = analysis::StatusOf(results) == store::RunStatus::kRunning;
  progress.done = std::ranges::count_if(manifest.measurements, &experiment::Measurement::complete);
  if (!manifest.config.search) progress.planned = std::ssize(experiment::OrderOf(manifest.config));
  if (!progress.running || manifest.measurements.empty() || manifest.measurements.back().complete) return progress;
  const experiment::Measurement& measurement = manifest.measurements.back();
  progress.measurement =
      fmt::format("{}, {}, repetition {}", measurement.system, record::Label(measurement.level), measurement.repeat + 1);
  const auto plan = ReadLines(results.PlanFile(measurement.name));
  if (plan.ok()) progress.requests_planned = std::ssize(*plan);
  ReadEvents(results, measurement, progress);
  return progress;
}

Json ToJson(const Progress& progress) {
  return {{"schema", 1},
          {"run_id", progress.run_id},
          {"running", progress.running},
          {"complete", progress.complete},
          {"measurements_done", progress.done},
          {"measurements_planned", progress.planned > 0 ? Json(progress.planned) : Json(nullptr)},
          {"measurement", progress.measurement.empty() ? Json(nullptr) : Json(progress.measurement)},
          {"requests_planned", OrNull(progress.requests_planned)},
          {"requests_ended", OrNull(progress.requests_ended)},
          {"requests_failed", OrNull(progress.failed)},
          {"output_tokens", OrNull(progress.output_tokens)},
          {"elapsed_s", OrNull(progress.elapsed_s)},
          {"output_tokens_per_s", OrNull(progress.output_tokens_per_s)},
          {"ttft_mean_s", OrNull(progress.ttft_mean_s)},
          {"tpot_mean_s", OrNull(progress.tpot_mean_s)},
          {"html", ProgressBox(progress)}};
}

Response ProgressJson(const Library& library, const std::string& run_id) {
  const auto results = library.OpenRun(run_id);
  if (!results.ok()) return JsonError(results.error());
  return {200, kJsonType, DumpJson(ToJson(ProgressOf(*results))), {}};
}

std::string ProgressBox(const Progress& progress) {
  std::string out = fmt::format("<section class=\"live\" data-run=\"{}\" aria-label=\"Progress of {}\">\n",
                                Escape(progress.run_id), Escape(progress.run_id));
  const char* state = progress.running ? "measuring" : progress.complete ? "complete" : "interrupted";
  out += fmt::format("<p><span class=\"pulse {0}\"></span><a href=\"{1}\">{2}</a> <span class=\"tag\">{0}</span> ", state,
                     Escape(RunPath(progress.run_id)), Escape(progress.run_id));
  out += progress.planned > 0 ? fmt::format("{} of {} measurements", progress.done, progress.planned)
                              : "a search: " + report::CountText(progress.done, "measurement", "measurements") + " so far";
  out += "</p>\n";
  if (progress.planned > 0)
    out += fmt::format("<progress max=\"100\" value=\"{}\" aria-label=\"measurements\"></progress>\n",
                       Percent(progress.done, progress.planned));
  if (!progress.measurement.empty()) {
    out += "<p class=\"now\">Now " + Escape(progress.measurement);
    if (progress.requests_ended && progress.requests_planned)
      out += fmt::format(": {} of {} requests", *progress.requests_ended, *progress.requests_planned);
    if (progress.failed.value_or(0) > 0) out += fmt::format(", <strong class=\"failed\">{} failed</strong>", *progress.failed);
    out += "</p>\n";
    const auto figure = [&](const char* name, const std::string& value) {
      if (!value.empty()) out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, Escape(value));
    };
    out += "<dl class=\"figures\">";
    figure("output", report::RateText(progress.output_tokens_per_s, "tokens/s"));
    figure("TTFT", report::SecondsText(progress.ttft_mean_s));
    figure("TPOT", report::SecondsText(progress.tpot_mean_s));
    figure("for", report::SecondsText(progress.elapsed_s));
    out += "</dl>\n";
  }
  return out + "</section>\n";
}

std::vector<Progress> RunningNow(const Library& library) {
  std::vector<Progress> running;
  for (const experiment::Results& results : library.Running()) running.push_back(ProgressOf(results));
  return running;
}

std::string RunningStrip(std::span<const Progress> running) {
  std::string out = "<div id=\"running\">";
  for (const Progress& progress : running) out += ProgressBox(progress);
  return out + "</div>\n";
}

}  // namespace moecap::web
