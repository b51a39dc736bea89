#include "metrics/compat.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "metrics/latency.h"
#include "stats/summary.h"

namespace moecap::metrics {
namespace {

using record::RequestRecord;

enum class Start { kConnected, kSend, kIntended };
enum class First { kToken, kEvent };                         // what ends the TTFT
enum class PerToken { kAfterFirstChunk, kAllButOne, kAll };  // what TPOT divides by, and whether the TTFT is in it
enum class End { kLastToken, kResponse };                    // what ends the E2E
enum class Gaps { kTokens, kChunks, kRequestMean, kNone };   // the samples of ITL
enum class Percentile { kLinear, kNextHigher };              // numpy's default; sorted[n p]
enum class Deviation { kSample, kPopulation };

struct Definition {
  std::string_view tool;
  Start start;
  First first;
  End end;
  PerToken per_token;
  Gaps gaps;
  Percentile percentile;
  Deviation deviation;
  std::string_view why;
};

constexpr Definition kDefinitions[] = {
    {"moecap", Start::kConnected, First::kToken, End::kLastToken, PerToken::kAfterFirstChunk, Gaps::kTokens,
     Percentile::kLinear, Deviation::kSample,
     "the clock starts when the connection is open; a chunk of k tokens counts k times"},
    // vllm/benchmarks/serve.py and lib/endpoint_request_func.py, 009e6d4a and 02cfb534: comments are skipped, and the first
    // event with a choice ends the TTFT.
    {"vllm", Start::kSend, First::kEvent, End::kLastToken, PerToken::kAllButOne, Gaps::kChunks, Percentile::kLinear,
     Deviation::kPopulation,
     "opening the connection and the first, possibly empty, chunk are in TTFT; TPOT divides by n - 1; ITL is one gap a chunk"},
    // sglang/benchmark/serving.py, 00f9ec47, with its OpenAI backend.
    {"sglang", Start::kSend, First::kToken, End::kResponse, PerToken::kAllButOne, Gaps::kChunks, Percentile::kLinear,
     Deviation::kPopulation,
     "opening the connection is in TTFT; E2E, and so TPOT, ends with [DONE]; TPOT divides by n - 1; ITL is one gap a chunk"},
    // AIPerf's metric reference, 3788415a, and its HTTP client: the clock starts before the request is handed to it.
    {"aiperf", Start::kSend, First::kToken, End::kLastToken, PerToken::kAllButOne, Gaps::kRequestMean, Percentile::kLinear,
     Deviation::kPopulation,
     "opening the connection is in TTFT; inter-token latency is one mean a request, (E2E - TTFT) / (n - 1); it has no other "
     "TPOT"},
    // GuideLLM, ee7a7745.
    {"guidellm", Start::kSend, First::kToken, End::kLastToken, PerToken::kAll, Gaps::kRequestMean, Percentile::kLinear,
     Deviation::kPopulation, "TPOT is E2E / n, so the TTFT and opening the connection are in it; ITL is one mean a request"},
    // mlcommons/inference loadgen, b66003e1.
    {"mlperf", Start::kIntended, First::kToken, End::kLastToken, PerToken::kAllButOne, Gaps::kNone, Percentile::kNextHigher,
     Deviation::kPopulation, "latencies count from the scheduled time; percentiles are sorted[n p]; there is no ITL"},
};

double StartOf(const RequestRecord& request, Start start) {
  switch (start) {
    case Start::kConnected:
      return request.send_s + request.connect_s.value_or(0);
    case Start::kSend:
      return request.send_s;
    case Start::kIntended:
      return request.intended_send_s;
  }
  return request.send_s;
}

bool Counts(const RequestRecord& request) { return request.ok() && !request.token_s.empty(); }

ToolRequest ViewOf(const RequestRecord& request, const Definition& definition) {
  ToolRequest view;
  view.start_s = StartOf(request, definition.start);
  // Records of version 0.1 have the first byte only.
  const std::optional<double>& event_s = request.first_event_s ? request.first_event_s : request.first_byte_s;
  const bool by_event = definition.first == First::kEvent && event_s;
  const double first_s = by_event ? *event_s : request.token_s.front();
  const double last_s = request.token_s.back();
  const double end_s = definition.end == End::kResponse ? std::max(last_s, request.end_s.value_or(last_s)) : last_s;
  const auto tokens = static_cast<double>(request.token_s.size());
  view.e2e_s = end_s - view.start_s;
  if (request.came_whole()) return view;
  view.ttft_s = first_s - view.start_s;
  if (definition.per_token == PerToken::kAll) view.tpot_s = view.e2e_s / tokens;
  if (definition.per_token == PerToken::kAllButOne && tokens > 1) view.tpot_s = (end_s - first_s) / (tokens - 1);
  if (definition.per_token == PerToken::kAfterFirstChunk) view.tpot_s = LatencyOf(request).tpot_s;

  if (definition.gaps == Gaps::kRequestMean && tokens > 1)
    view.itl_s.push_back((last_s - request.token_s.front()) / (tokens - 1));
  if (definition.gaps == Gaps::kRequestMean || definition.gaps == Gaps::kNone) return view;
  std::vector<double> inter_chunk, inter_token;
  // A first chunk without tokens starts the first gap.
  if (by_event && request.token_s.front() > first_s) view.itl_s.push_back(request.token_s.front() - first_s);
  AppendGaps(request, inter_chunk, inter_token);
  const auto& gaps = definition.gaps == Gaps::kChunks ? inter_chunk : inter_token;
  view.itl_s.insert(view.itl_s.end(), gaps.begin(), gaps.end());
  return view;
}

Result<const Definition*> FindDefinition(std::string_view tool) {
  const auto* definition = std::ranges::find(kDefinitions, tool, &Definition::tool);
  if (definition == std::end(kDefinitions))
    return BadInput(fmt::format("there is no view of '{}'; known are {}", tool, fmt::join(CompatTools(), ", ")));
  return definition;
}

double PercentileOf(const std::vector<double>& sorted, double q, Percentile percentile) {
  if (percentile == Percentile::kLinear) return stats::Quantile(sorted, q);
  const auto index = static_cast<size_t>(std::floor(q * static_cast<double>(sorted.size())));
  return sorted[std::min(index, sorted.size() - 1)];
}

void AppendFigure(const char* name, std::vector<double> samples, const Definition& definition, ToolView& view) {
  const auto distribution = stats::Describe(samples);
  if (!distribution) return;
  std::ranges::sort(samples);
  ToolFigure figure;
  figure.name = name;
  figure.mean_s = distribution->mean;
  figure.median_s = PercentileOf(samples, 0.5, definition.percentile);
  figure.p99_s = PercentileOf(samples, 0.99, definition.percentile);
  const auto n = static_cast<double>(samples.size());
  const bool population = definition.deviation == Deviation::kPopulation;
  figure.stddev_s = distribution->stddev * (population ? std::sqrt((n - 1) / n) : 1);
  figure.samples_s = std::move(samples);
  view.figures.push_back(std::move(figure));
}

void FillTotals(std::span<const RequestRecord> requests, ToolView& view) {
  std::optional<double> begin_s, end_s;
  for (const RequestRecord& request : requests) {
    if (request.error_kind == record::RequestError::kNotIssued) {  // never sent: it has no time
      ++view.failed;
      continue;
    }
    begin_s = std::min(begin_s.value_or(request.send_s), request.send_s);
    const double last_s = request.end_s.value_or(request.token_s.empty() ? request.send_s : request.token_s.back());
    end_s = std::max(end_s.value_or(last_s), last_s);
    if (!Counts(request)) {
      ++view.failed;
      continue;
    }
    ++view.completed;
    view.input_tokens += request.input_tokens;
    view.output_tokens += request.output_tokens;
  }
  if (!begin_s || *end_s <= *begin_s) return;
  view.duration_s = *end_s - *begin_s;
  const auto rate = [&](int64_t count) { return static_cast<double>(count) / view.duration_s; };
  view.requests_per_s = rate(view.completed);
  view.output_tokens_per_s = rate(view.output_tokens);
  view.total_tokens_per_s = rate(view.input_tokens + view.output_tokens);
}

}  // namespace

const ToolFigure* ToolView::Find(std::string_view name) const {
  const auto found = std::ranges::find(figures, name, &ToolFigure::name);
  return found == figures.end() ? nullptr : &*found;
}

std::vector<std::string> CompatTools() {
  std::vector<std::string> tools;
  for (const Definition& definition : kDefinitions) tools.emplace_back(definition.tool);
  return tools;
}

Result<ToolView> ViewAs(std::string_view tool, std::span<const RequestRecord> requests) {
  ASSIGN_OR_RETURN(const Definition* definition, FindDefinition(tool));
  ToolView view;
  view.tool = definition->tool;
  view.why = definition->why;
  FillTotals(requests, view);
  std::vector<double> ttft, tpot, itl, e2e;
  for (const RequestRecord& request : requests) {
    if (!Counts(request)) continue;
    const ToolRequest one = ViewOf(request, *definition);
    if (one.ttft_s) ttft.push_back(*one.ttft_s);
    e2e.push_back(one.e2e_s);
    if (one.tpot_s) tpot.push_back(*one.tpot_s);
    itl.insert(itl.end(), one.itl_s.begin(), one.itl_s.end());
  }
  AppendFigure("ttft", std::move(ttft), *definition, view);
  AppendFigure("tpot", std::move(tpot), *definition, view);
  AppendFigure("itl", std::move(itl), *definition, view);
  AppendFigure("e2el", std::move(e2e), *definition, view);
  return view;
}

Result<std::optional<ToolRequest>> ViewRequestAs(std::string_view tool, const RequestRecord& request) {
  ASSIGN_OR_RETURN(const Definition* definition, FindDefinition(tool));
  if (!Counts(request)) return std::optional<ToolRequest>();
  return std::optional<ToolRequest>(ViewOf(request, *definition));
}

}  // namespace moecap::metrics
