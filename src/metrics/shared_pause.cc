#include "metrics/shared_pause.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "metrics/latency.h"
#include "stats/summary.h"

namespace moecap::metrics {
namespace {

constexpr size_t kLeastGaps = 10;
constexpr double kGaps = 10, kFirstTokens = 3, kLeastS = 0.25;
constexpr double kMostShare = 0.01;

using record::RequestRecord;

// Its tokens came in pieces, whose times are known.
bool Streams(const RequestRecord& request) {
  return request.ok() && request.timing_gap == record::TimingGap::kNone && request.token_s.size() > 1;
}

int64_t RunningThrough(std::span<const RequestRecord> requests, double begin_s, double end_s) {
  return std::ranges::count_if(requests, [&](const RequestRecord& request) {
    return Streams(request) && request.token_s.front() <= begin_s && request.token_s.back() >= end_s;
  });
}

// Of the gaps between the tokens of an answer; null for too few.
std::optional<double> UsualGap(std::span<const RequestRecord> requests, size_t tokens) {
  std::vector<double> gaps_s;
  gaps_s.reserve(tokens);
  for (const RequestRecord& request : requests) {
    if (!Streams(request)) continue;
    for (size_t i = 1; i < request.token_s.size(); ++i) {
      const double gap_s = request.token_s[i] - request.token_s[i - 1];
      if (gap_s > 0) gaps_s.push_back(gap_s);  // tokens of one piece have none
    }
  }
  if (gaps_s.size() < kLeastGaps) return std::nullopt;
  std::ranges::sort(gaps_s);
  return stats::Quantile(gaps_s, 0.5);
}

}  // namespace

std::optional<SharedPauses> FindSharedPauses(std::span<const RequestRecord> requests) {
  size_t tokens = 0;
  double first_send_s = std::numeric_limits<double>::infinity();
  std::vector<double> ttft_s;
  for (const RequestRecord& request : requests) {
    if (!Streams(request)) continue;
    tokens += request.token_s.size();
    first_send_s = std::min(first_send_s, request.send_s);
    if (const auto ttft = LatencyOf(request).ttft_s) ttft_s.push_back(*ttft);
  }
  const std::optional<double> usual_s = UsualGap(requests, tokens);
  if (!usual_s) return std::nullopt;
  std::vector<double> arrivals_s;
  arrivals_s.reserve(tokens);  // after the gaps: there may be hundreds of millions of each
  for (const RequestRecord& request : requests) {
    if (Streams(request)) arrivals_s.insert(arrivals_s.end(), request.token_s.begin(), request.token_s.end());
  }
  std::ranges::sort(arrivals_s);
  SharedPauses found;
  found.bound_s = std::max({kLeastS, kGaps * *usual_s, kFirstTokens * stats::Median(ttft_s)});
  double lost_s = 0;
  for (size_t i = 1; i < arrivals_s.size(); ++i) {
    const SharedPause pause{arrivals_s[i - 1], arrivals_s[i], 0};
    if (pause.end_s - pause.begin_s <= found.bound_s) continue;
    const int64_t streams = RunningThrough(requests, pause.begin_s, pause.end_s);
    if (streams == 0) continue;  // nobody waited for a next token
    found.pauses.push_back({pause.begin_s, pause.end_s, streams});
    lost_s += pause.end_s - pause.begin_s - *usual_s;
  }
  found.share = lost_s / (arrivals_s.back() - first_send_s);
  return found;
}

Gate SharedPauseGate(std::span<const RequestRecord> requests) {
  const Gate gate = MakeGate("pause of all streams", kMostShare, "share");
  const auto found = FindSharedPauses(requests);
  if (!found) return NotMeasured(gate, "too few answers came in pieces");
  double longest_s = 0;
  for (const SharedPause& pause : found->pauses) longest_s = std::max(longest_s, pause.end_s - pause.begin_s);
  return Judge(
      gate, found->share,
      fmt::format("{} time{} no stream brought a token, for up to {:.2f} s: the server stood still (compiling for a new "
                  "batch size?); warm it up longer (--warmup, --warmup-bursts), its log may say why",
                  found->pauses.size(), found->pauses.size() == 1 ? "" : "s", longest_s));
}

}  // namespace moecap::metrics
