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
enum class First { kToken, kByte };                          // what ends the TTFT
enum class PerToken { kAfterFirstChunk, kAllButOne, kAll };  // what TPOT divides by, and whether the TTFT is in it
enum class Gaps { kTokens, kChunks, kRequestMean };          // the samples of ITL
enum class Percentile { kLinear, kNextHigher };              // numpy's default; sorted[n p]
enum class Deviation { kSample, kPopulation };

struct Definition {
  std::string_view tool;
  Start start;
  First first;
  PerToken per_token;
  Gaps gaps;
  Percentile percentile;
  Deviation deviation;
  std::string_view why;
};

constexpr Definition kDefinitions[] = {
    {"moecap", Start::kConnected, First::kToken, PerToken::kAfterFirstChunk, Gaps::kTokens, Percentile::kLinear,
     Deviation::kSample, "the clock starts when the connection is open; a chunk of k tokens counts k times"},
    // vllm/benchmarks/serve.py and lib/endpoint_request_func.py, 009e6d4a and 02cfb534.
    {"vllm", Start::kSend, First::kByte, PerToken::kAllButOne, Gaps::kChunks, Percentile::kLinear, Deviation::kPopulation,
     "opening the connection and the first, possibly empty, chunk are in TTFT; TPOT divides by n - 1; ITL is one gap a chunk"},
    // sglang/benchmark/serving.py, 00f9ec47.
    {"sglang", Start::kSend, First::kToken, PerToken::kAllButOne, Gaps::kChunks, Percentile::kLinear, Deviation::kPopulation,
     "every request opens its own connection, which is in TTFT; TPOT divides by n - 1; ITL is one gap a chunk"},
    // AIPerf's metric reference, 3788415a.
    {"aiperf", Start::kConnected, First::kToken, PerToken::kAllButOne, Gaps::kRequestMean, Percentile::kLinear,
     Deviation::kPopulation, "inter-token latency is one mean a request, (E2E - TTFT) / (n - 1); gaps of chunks are its ICL"},
    // GuideLLM, ee7a7745.
    {"guidellm", Start::kConnected, First::kToken, PerToken::kAll, Gaps::kRequestMean, Percentile::kLinear,
     Deviation::kPopulation, "TPOT is E2E / n, so the TTFT is in it; ITL is one mean a request"},
    // mlcommons/inference loadgen, b66003e1.
    {"mlperf", Start::kIntended, First::kToken, PerToken::kAllButOne, Gaps::kRequestMean, Percentile::kNextHigher,
     Deviation::kPopulation, "latencies count from the scheduled time; percentiles are sorted[n p]"},
};

struct Samples {
  std::vector<double> ttft, tpot, itl, e2e;
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

void Add(const RequestRecord& request, const Definition& definition, Samples& samples) {
  const double start_s = StartOf(request, definition.start);
  const bool by_byte = definition.first == First::kByte && request.first_byte_s;
  const double first_s = by_byte ? *request.first_byte_s : request.token_s.front();
  const double last_s = request.token_s.back();
  const auto tokens = static_cast<double>(request.token_s.size());
  samples.ttft.push_back(first_s - start_s);
  samples.e2e.push_back(last_s - start_s);

  std::optional<double> per_token;
  if (definition.per_token == PerToken::kAll) per_token = (last_s - start_s) / tokens;
  if (definition.per_token == PerToken::kAllButOne && tokens > 1) per_token = (last_s - first_s) / (tokens - 1);
  if (definition.per_token == PerToken::kAfterFirstChunk) per_token = LatencyOf(request).tpot_s;
  if (per_token) samples.tpot.push_back(*per_token);

  if (definition.gaps == Gaps::kRequestMean) {
    if (tokens > 1) samples.itl.push_back((last_s - request.token_s.front()) / (tokens - 1));
    return;
  }
  std::vector<double> inter_chunk, inter_token;
  AppendGaps(request, inter_chunk, inter_token);
  // A first chunk without tokens starts the first gap.
  if (by_byte && request.token_s.front() > first_s) samples.itl.push_back(request.token_s.front() - first_s);
  const auto& gaps = definition.gaps == Gaps::kChunks ? inter_chunk : inter_token;
  samples.itl.insert(samples.itl.end(), gaps.begin(), gaps.end());
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
    begin_s = std::min(begin_s.value_or(request.send_s), request.send_s);
    const double last_s = request.end_s.value_or(request.token_s.empty() ? request.send_s : request.token_s.back());
    end_s = std::max(end_s.value_or(last_s), last_s);
    if (!request.ok() || request.token_s.empty()) {
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
  const auto definition = std::ranges::find(kDefinitions, tool, &Definition::tool);
  if (definition == std::end(kDefinitions))
    return BadInput(fmt::format("there is no view of '{}'; known are {}", tool, fmt::join(CompatTools(), ", ")));
  ToolView view;
  view.tool = definition->tool;
  view.why = definition->why;
  FillTotals(requests, view);
  Samples samples;
  for (const RequestRecord& request : requests) {
    if (request.ok() && !request.token_s.empty()) Add(request, *definition, samples);
  }
  AppendFigure("ttft", std::move(samples.ttft), *definition, view);
  AppendFigure("tpot", std::move(samples.tpot), *definition, view);
  AppendFigure("itl", std::move(samples.itl), *definition, view);
  AppendFigure("e2el", std::move(samples.e2e), *definition, view);
  return view;
}

}  // namespace moecap::metrics
