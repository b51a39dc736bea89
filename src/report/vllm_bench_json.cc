#include "report/vllm_bench_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "metrics/compat.h"
#include "stats/summary.h"

namespace moecap::report {
namespace {

using metrics::ToolRequest;
using record::RequestRecord;

constexpr std::string_view kTool = "vllm";
constexpr const char* kMetrics[] = {"ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue"};

struct Output {
  const RequestRecord* request = nullptr;
  std::optional<ToolRequest> view;  // null: failed

  double QueueTime() const { return request->send_s - request->intended_send_s; }
};

std::string RateText(const VllmBenchInputs& inputs) {
  return inputs.request_rate ? fmt::format("{}", *inputs.request_rate) : "inf";
}

bool IsGood(const ToolRequest& view, const metrics::LatencyObjectives& goals) {
  const auto keeps = [](double value, const std::optional<double>& limit) { return !limit || value <= *limit; };
  if (!view.ttft_s && (goals.ttft_s || goals.tpot_s)) return false;
  // A request of one token counts as one without a TPOT.
  return keeps(view.ttft_s.value_or(0), goals.ttft_s) && keeps(view.tpot_s.value_or(0), goals.tpot_s) &&
         keeps(view.e2e_s, goals.e2e_s);
}

// Chunks, not tokens, in the fullest second since the first request was sent: as vLLM counts them.
double MostChunksInASecond(const std::vector<Output>& outputs) {
  double first_s = 0, last_s = 0;
  bool any = false;
  for (const Output& output : outputs) {
    if (!output.view) continue;
    first_s = any ? std::min(first_s, output.view->start_s) : output.view->start_s;
    last_s = any ? std::max(last_s, output.view->start_s + output.view->e2e_s) : output.view->start_s + output.view->e2e_s;
    any = true;
  }
  if (!any) return 0;
  std::vector<int64_t> seconds(static_cast<size_t>(std::ceil(last_s - first_s)) + 1);
  for (const Output& output : outputs) {
    if (!output.view) continue;
    double at_s = output.view->start_s + output.view->ttft_s.value_or(output.view->e2e_s) - first_s;
    const auto add = [&] {
      if (const auto second = static_cast<size_t>(at_s); second < seconds.size()) ++seconds[second];
    };
    add();
    for (const double gap_s : output.view->itl_s) {
      at_s += gap_s;
      add();
    }
  }
  return static_cast<double>(std::ranges::max(seconds));
}

// A sweep over half-open intervals: an end comes before a start at the same instant.
int64_t MostAtOnce(const std::vector<Output>& outputs) {
  std::vector<std::pair<double, int>> events;
  for (const Output& output : outputs) {
    if (!output.view) continue;
    events.emplace_back(output.view->start_s, 1);
    events.emplace_back(output.view->start_s + output.view->e2e_s, -1);
  }
  std::ranges::sort(events);
  int64_t now = 0, most = 0;
  for (const auto& [at_s, change] : events) {
    now += change;
    most = std::max(most, now);
  }
  return most;
}

void WriteDetails(const std::vector<Output>& outputs, Json& json) {
  const auto list = [&](const char* name, const auto& value) {
    Json values = Json::array();
    for (const Output& output : outputs) values.push_back(value(output));
    json[name] = std::move(values);
  };
  list("input_lens", [](const Output& o) { return o.request->input_tokens; });
  list("output_lens", [](const Output& o) { return o.view ? o.request->output_tokens : int64_t{0}; });
  list("ttfts", [](const Output& o) { return o.view ? OrNull(o.view->ttft_s) : Json(0.0); });
  list("itls", [](const Output& o) { return o.view ? Json(o.view->itl_s) : Json::array(); });
}

void WriteTexts(const std::vector<Output>& outputs, Json& json) {
  Json texts = Json::array(), errors = Json::array();
  for (const Output& output : outputs) {
    texts.push_back(output.request->text);
    const bool silent = !output.view && output.request->error.empty();
    errors.push_back(silent ? "the request did not complete" : output.request->error);
  }
  json["generated_texts"] = std::move(texts);
  json["errors"] = std::move(errors);
}

void WriteStatistics(const std::string& metric, std::vector<double> samples_s, const VllmBenchInputs& inputs, Json& json) {
  if (std::ranges::find(inputs.percentile_metrics, metric) == inputs.percentile_metrics.end()) return;
  std::ranges::sort(samples_s);
  const auto distribution = stats::Describe(samples_s);
  const auto milliseconds = [&](double value_s) { return distribution ? Json(1000 * value_s) : Json(nullptr); };
  const auto n = static_cast<double>(samples_s.size());
  json["mean_" + metric + "_ms"] = milliseconds(distribution ? distribution->mean : 0);
  json["median_" + metric + "_ms"] = milliseconds(distribution ? distribution->p50 : 0);
  json["std_" + metric + "_ms"] = milliseconds(distribution ? distribution->stddev * std::sqrt((n - 1) / n) : 0);
  for (const double p : inputs.percentiles) {
    const std::string name = p == std::trunc(p) ? fmt::format("{:.0f}", p) : fmt::format("{}", p);
    json["p" + name + "_" + metric + "_ms"] = milliseconds(distribution ? stats::Quantile(samples_s, p / 100) : 0);
  }
}

void WriteAllStatistics(const std::vector<Output>& outputs, const VllmBenchInputs& inputs, Json& json) {
  std::vector<double> ttft, tpot, itl, e2e, queue, e2e_with_queue;
  for (const Output& output : outputs) {
    if (!output.view) continue;
    if (output.view->ttft_s) ttft.push_back(*output.view->ttft_s);
    if (output.view->tpot_s) tpot.push_back(*output.view->tpot_s);
    itl.insert(itl.end(), output.view->itl_s.begin(), output.view->itl_s.end());
    e2e.push_back(output.view->e2e_s);
    queue.push_back(output.QueueTime());
    e2e_with_queue.push_back(output.view->e2e_s + output.QueueTime());
  }
  WriteStatistics("ttft", std::move(ttft), inputs, json);
  WriteStatistics("tpot", std::move(tpot), inputs, json);
  WriteStatistics("itl", std::move(itl), inputs, json);
  WriteStatistics("e2el", std::move(e2e), inputs, json);
  if (!inputs.max_concurrency) return;
  WriteStatistics("client_queue_time", std::move(queue), inputs, json);
  if (inputs.request_rate) WriteStatistics("e2el_including_client_queue", std::move(e2e_with_queue), inputs, json);
}

Status CheckInputs(const VllmBenchInputs& inputs) {
  for (const std::string& metric : inputs.percentile_metrics) {
    if (std::ranges::find(kMetrics, metric) == std::end(kMetrics))
      return BadInput(fmt::format("there is no percentile metric '{}'; known are {}", metric, fmt::join(kMetrics, ", ")));
  }
  for (const double p : inputs.percentiles) {
    if (!(p >= 0 && p <= 100)) return BadInput(fmt::format("percentile {} must lie between 0 and 100", p));
  }
  return {};
}

}  // namespace

Result<Json> VllmBenchJson(std::span<const RequestRecord> requests, const VllmBenchInputs& inputs) {
  RETURN_IF_ERROR(CheckInputs(inputs));
  ASSIGN_OR_RETURN(const metrics::ToolView totals, metrics::ViewAs(kTool, requests));
  std::vector<Output> outputs;
  int64_t good = 0;
  for (const RequestRecord& request : requests) {
    Output output;
    output.request = &request;
    ASSIGN_OR_RETURN(output.view, metrics::ViewRequestAs(kTool, request));
    if (output.view && IsGood(*output.view, inputs.goodput)) ++good;
    outputs.push_back(std::move(output));
  }
  Json json = Json::object();
  json["date"] = inputs.date;
  json["endpoint_type"] = inputs.backend;
  json["backend"] = inputs.backend;
  json["label"] = inputs.label.empty() ? Json(nullptr) : Json(inputs.label);
  json["model_id"] = inputs.model_id;
  json["tokenizer_id"] = nullptr;
  json["num_prompts"] = requests.size();
  json["request_rate"] = inputs.request_rate ? Json(*inputs.request_rate) : Json("inf");
  const bool regular = inputs.burstiness && std::isinf(*inputs.burstiness);
  json["burstiness"] = regular ? Json("inf") : OrNull(inputs.burstiness);
  json["max_concurrency"] = inputs.max_concurrency ? Json(*inputs.max_concurrency) : Json(nullptr);
  json["duration"] = totals.duration_s;
  json["completed"] = totals.completed;
  json["failed"] = totals.failed;
  json["total_input_tokens"] = totals.input_tokens;
  json["total_output_tokens"] = totals.output_tokens;
  json["request_throughput"] = OrNull(totals.requests_per_s);
  const bool has_goodput = inputs.goodput.Any() && totals.duration_s > 0;
  json["request_goodput"] = has_goodput ? Json(static_cast<double>(good) / totals.duration_s) : Json(nullptr);
  json["output_throughput"] = OrNull(totals.output_tokens_per_s);
  json["total_token_throughput"] = OrNull(totals.total_tokens_per_s);
  if (inputs.save_detailed) WriteDetails(outputs, json);
  Json latencies = Json::array(), starts = Json::array(), queues = Json::array();
  for (const Output& output : outputs) {
    latencies.push_back(output.view ? output.view->e2e_s : 0.0);
    starts.push_back(output.request->send_s);
    queues.push_back(output.QueueTime());
  }
  json["latencies"] = std::move(latencies);
  if (inputs.save_detailed) json["start_times"] = std::move(starts);
  json["queue_times"] = std::move(queues);
  if (inputs.save_detailed) WriteTexts(outputs, json);
  json["max_output_tokens_per_s"] = MostChunksInASecond(outputs);
  json["max_concurrent_requests"] = MostAtOnce(outputs);
  json["rtfx"] = 0.0;  // seconds of audio heard per second: none
  WriteAllStatistics(outputs, inputs, json);
  return json;
}

std::string VllmBackend(std::string_view api, std::string_view server) {
  // The keys of vLLM's ASYNC_REQUEST_FUNCS, by what is said to whom; the first row that fits counts.
  struct Backend {
    std::string_view api, server, backend;
  };
  constexpr Backend kRows[] = {
      {"completions", "vLLM", "vllm"},
      {"completions", "", "openai"},
      {"chat", "", "openai-chat"},
      {"sglang", "", "sglang"},
      {"tgi", "", "tgi"},
      {"llama-server", "", "llama.cpp"},
      {"", "llama", "llama.cpp"},
      {"", "", "openai-chat"},
  };
  const auto fits = [&](const Backend& row) { return (row.api.empty() || row.api == api) && server.starts_with(row.server); };
  return std::string(std::ranges::find_if(kRows, fits)->backend);
}

std::string VllmBenchFileName(const VllmBenchInputs& inputs) {
  const std::string model = inputs.model_id.substr(inputs.model_id.rfind('/') + 1);
  const std::string concurrency = inputs.max_concurrency ? fmt::format("-concurrency{}", *inputs.max_concurrency) : "";
  return fmt::format("{}-{}qps{}-{}-{}.json", inputs.label.empty() ? inputs.backend : inputs.label, RateText(inputs),
                     concurrency, model, inputs.date);
}

}  // namespace moecap::report
