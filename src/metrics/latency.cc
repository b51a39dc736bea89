#include "metrics/latency.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "metrics/pooled_latencies.h"

namespace moecap::metrics {
namespace {

using record::RequestRecord;

constexpr double kQuantiles[] = {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};

// Where the server's clock starts: opening a connection is the network's time, not its.
double ServiceStart(const RequestRecord& request) { return request.send_s + request.connect_s.value_or(0); }

bool HasTokens(const RequestRecord& request) { return request.ok() && !request.token_s.empty(); }

int64_t FirstChunkTokens(const RequestRecord& request) {
  for (const int32_t tokens : request.chunk_tokens) {
    if (tokens > 0) return tokens;
  }
  return 1;
}

int64_t TokensOf(std::span<const RequestRecord> requests) {
  int64_t tokens = 0;
  for (const RequestRecord& request : requests) tokens += std::ssize(request.token_s);
  return tokens;
}

// The samples of every figure.
class LatencySamples {
 public:
  // The vector of millions is not copied while it grows.
  explicit LatencySamples(int64_t tokens) { Of("itl_s").reserve(static_cast<size_t>(tokens)); }

  void Add(const RequestRecord& request) {
    const RequestLatency latency = LatencyOf(request);
    Append("send_lag_s", latency.send_lag_s);
    Append("connect_s", latency.connect_s);
    if (!HasTokens(request)) return;
    Append("ttft_s", latency.ttft_s);
    if (request.reasoning_tokens > 0) Append("ttfo_s", latency.ttfo_s);
    Append("tpot_s", latency.tpot_s);
    AddGaps(request);
    Append("e2e_s", latency.e2e_s);
    Append("normalised_s", latency.normalised_s);
    Append("request_output_tokens_per_s", latency.output_tokens_per_s);
    Append("user_ttft_s", latency.user_ttft_s);
    Append("user_e2e_s", latency.user_e2e_s);
    Append("user_time_per_token_s", latency.user_time_per_token_s);
  }

  std::vector<LatencyFigure> Describe() && {
    std::vector<LatencyFigure> figures;
    for (auto& [name, samples] : samples_) {
      std::vector<double> own = std::exchange(samples, {});  // not longer than needed: a token each
      auto figure = DescribeLatency(std::string(name), own);
      if (!figure) continue;
      figures.push_back(*std::move(figure));
      if (name != "itl_s" || !gaps_are_alike_) continue;
      figures.push_back(figures.back());
      figures.back().name = "icl_s";
    }
    return figures;
  }

 private:
  std::vector<double>& Of(std::string_view name) { return std::ranges::find(samples_, name, &Samples::first)->second; }
  void Append(std::string_view name, const std::optional<double>& value) {
    if (value) Of(name).push_back(*value);
  }
  // Where each chunk brings one token, both kinds of gaps are the same numbers, which are kept once, as itl_s.
  void AddGaps(const RequestRecord& request) {
    std::vector<double>&tokens = Of("itl_s"), &chunks = Of("icl_s");
    const auto before = std::ssize(tokens);
    inter_chunk_s_.clear();
    AppendGaps(request, inter_chunk_s_, tokens);
    if (gaps_are_alike_ && !std::ranges::equal(inter_chunk_s_, std::span(tokens).subspan(static_cast<size_t>(before)))) {
      gaps_are_alike_ = false;
      chunks.assign(tokens.begin(), tokens.begin() + before);
    }
    if (!gaps_are_alike_) chunks.insert(chunks.end(), inter_chunk_s_.begin(), inter_chunk_s_.end());
  }

  bool gaps_are_alike_ = true;
  std::vector<double> inter_chunk_s_;  // of one request
  using Samples = std::pair<std::string_view, std::vector<double>>;
  std::vector<Samples> samples_ = {{"ttft_s", {}},
                                   {"ttfo_s", {}},
                                   {"tpot_s", {}},
                                   {"itl_s", {}},
                                   {"icl_s", {}},
                                   {"e2e_s", {}},
                                   {"normalised_s", {}},
                                   {"request_output_tokens_per_s", {}},
                                   {"user_ttft_s", {}},
                                   {"user_e2e_s", {}},
                                   {"user_time_per_token_s", {}},
                                   {"send_lag_s", {}},
                                   {"connect_s", {}}};
};

void Count(const RequestRecord& request, ServingFigures& figures) {
  ++figures.offered;
  if (request.finish == record::FinishReason::kCancelled) ++figures.cancelled;
  if (request.failed()) ++figures.failed;
  if (!HasTokens(request)) return;
  ++figures.completed;
  if (request.timing_gap != record::TimingGap::kNone) ++figures.without_token_times;
  figures.input_tokens += request.input_tokens;
  figures.output_tokens += request.output_tokens;
  figures.reasoning_tokens += request.reasoning_tokens;
  figures.cached_input_tokens += request.cached_input_tokens.value_or(0);
}

}  // namespace

RequestLatency LatencyOf(const RequestRecord& request) {
  RequestLatency latency;
  latency.send_lag_s = request.send_s - request.intended_send_s;
  latency.connect_s = request.connect_s;
  if (!HasTokens(request)) return latency;
  const double start_s = ServiceStart(request);
  const double first_s = request.token_s.front();
  const double last_s = request.token_s.back();
  latency.e2e_s = last_s - start_s;
  latency.user_e2e_s = last_s - request.intended_send_s;
  const auto tokens = std::ssize(request.token_s);
  latency.normalised_s = *latency.e2e_s / static_cast<double>(tokens);
  latency.user_time_per_token_s = *latency.user_e2e_s / static_cast<double>(tokens);
  if (request.came_whole()) return latency;
  latency.ttft_s = first_s - start_s;
  if (request.first_answer_s) latency.ttfo_s = *request.first_answer_s - start_s;
  latency.user_ttft_s = first_s - request.intended_send_s;
  if (request.timing_gap != record::TimingGap::kNone) return latency;
  if (const int64_t later = tokens - FirstChunkTokens(request); later > 0 && last_s > first_s) {
    latency.tpot_s = (last_s - first_s) / static_cast<double>(later);
    if (*latency.tpot_s > 0) latency.output_tokens_per_s = 1 / *latency.tpot_s;
  }
  return latency;
}

std::vector<ChunkArrival> ChunksOf(const RequestRecord& request) {
  std::vector<ChunkArrival> chunks;
  if (request.chunk_tokens.empty()) {
    for (const double at_s : request.token_s) chunks.push_back({at_s, 1});
    return chunks;
  }
  size_t token = 0;
  for (const int32_t tokens : request.chunk_tokens) {
    if (tokens <= 0) continue;
    if (token >= request.token_s.size()) break;
    chunks.push_back({request.token_s[token], tokens});
    token += static_cast<size_t>(tokens);
  }
  return chunks;
}

void AppendGaps(const RequestRecord& request, std::vector<double>& inter_chunk_s, std::vector<double>& inter_token_s) {
  if (request.came_whole() || request.timing_gap == record::TimingGap::kOneBurst) return;
  const bool uneven = request.timing_gap == record::TimingGap::kUnevenChunks;
  // More chunks than tokens: those without one are not in the record.
  if (uneven && std::ranges::count(request.chunk_tokens, 0) > 0) return;
  const std::vector<ChunkArrival> chunks = ChunksOf(request);
  for (size_t i = 1; i < chunks.size(); ++i) {
    const double gap_s = chunks[i].at_s - chunks[i - 1].at_s;
    inter_chunk_s.push_back(gap_s);
    if (uneven) continue;
    inter_token_s.insert(inter_token_s.end(), static_cast<size_t>(chunks[i].tokens), gap_s / chunks[i].tokens);
  }
}

std::optional<LatencyFigure> DescribeLatency(std::string name, std::vector<double>& samples) {
  std::ranges::sort(samples);
  const auto distribution = stats::DescribeSorted(samples);
  if (!distribution) return std::nullopt;
  LatencyFigure figure{std::move(name), *distribution, {}};
  for (const double q : kQuantiles) figure.quantiles.push_back(stats::EstimateQuantile(samples, q));
  return figure;
}

std::optional<bool> MeetsObjectives(const RequestRecord& request, const LatencyObjectives& objectives) {
  if (!HasTokens(request)) return false;
  const RequestLatency latency = LatencyOf(request);
  const bool user = objectives.from_intended_send;
  bool known = true, kept = true;
  const auto judge = [&](const std::optional<double>& value, const std::optional<double>& limit) {
    if (!limit) return;
    known = known && value;
    kept = kept && (!value || *value <= *limit);
  };
  judge(user ? latency.user_ttft_s : latency.ttft_s, objectives.ttft_s);
  if (request.token_s.size() > 1) judge(latency.tpot_s, objectives.tpot_s);
  judge(user ? latency.user_e2e_s : latency.e2e_s, objectives.e2e_s);
  if (!kept) return false;
  return known ? std::optional(true) : std::nullopt;
}

double ShareOfObjectives(const RequestRecord& request, const LatencyObjectives& objectives) {
  if (!HasTokens(request)) return std::numeric_limits<double>::infinity();
  const RequestLatency latency = LatencyOf(request);
  const auto share = [](const std::optional<double>& value, const std::optional<double>& limit) {
    return value && limit ? *value / *limit : 0;
  };
  const bool user = objectives.from_intended_send;
  return std::max({share(user ? latency.user_ttft_s : latency.ttft_s, objectives.ttft_s),
                   share(latency.tpot_s, objectives.tpot_s),
                   share(user ? latency.user_e2e_s : latency.e2e_s, objectives.e2e_s)});
}

std::optional<Window> WholeRun(std::span<const RequestRecord> requests) {
  if (requests.empty()) return std::nullopt;
  Window window{requests.front().intended_send_s, requests.front().intended_send_s};
  for (const RequestRecord& request : requests) {
    window.from_s = std::min(window.from_s, request.intended_send_s);
    const double end_s = request.token_s.empty() ? request.send_s : request.token_s.back();
    window.to_s = std::max(window.to_s, end_s);
  }
  return window;
}

ServingFigures DescribeServing(std::span<const RequestRecord> requests, const Window& window,
                               const LatencyObjectives& objectives) {
  ServingFigures figures;
  figures.window = window;
  const auto inside = [&](double time_s) { return time_s >= window.from_s && time_s <= window.to_s; };
  LatencySamples samples(TokensOf(requests));
  int64_t sent_inside = 0, tokens_inside = 0, ended_inside = 0, met = 0;
  for (const RequestRecord& request : requests) {
    if (HasTokens(request)) {
      tokens_inside += std::ranges::count_if(request.token_s, inside);
      if (inside(request.token_s.back())) ++ended_inside;
    }
    if (!inside(request.intended_send_s)) continue;
    Count(request, figures);
    samples.Add(request);
    if (request.send_s <= window.to_s) ++sent_inside;
    const std::optional<bool> meets = MeetsObjectives(request, objectives);
    if (!meets) ++figures.unjudged;
    if (meets.value_or(false)) ++met;
  }
  figures.latencies = std::move(samples).Describe();
  if (figures.offered > 0) figures.achieved_share = static_cast<double>(sent_inside) / static_cast<double>(figures.offered);
  const bool judged = objectives.Any() && (figures.unjudged == 0 || figures.unjudged < figures.completed);
  if (judged) figures.met = met;
  if (judged && figures.offered > 0) figures.good_share = static_cast<double>(met) / static_cast<double>(figures.offered);
  if (window.Seconds() <= 0) return figures;
  const auto rate = [&](int64_t count) { return static_cast<double>(count) / window.Seconds(); };
  figures.offered_per_s = rate(figures.offered);
  figures.completed_per_s = rate(ended_inside);
  figures.output_tokens_per_s = rate(tokens_inside);
  if (judged) figures.goodput_per_s = rate(met);
  return figures;
}

std::vector<LatencyFigure> PooledLatencies(std::span<const std::span<const RequestRecord>> parts) {
  int64_t tokens = 0;
  for (const auto& part : parts) tokens += TokensOf(part);
  LatencySamples samples(tokens);
  for (const auto& part : parts) {
    for (const RequestRecord& request : part) samples.Add(request);
  }
  return std::move(samples).Describe();
}

}  // namespace moecap::metrics
