#include "run/request_figures.h"

#include <algorithm>

namespace moecap::run {

bool Counts(const record::RequestRecord& request) { return request.ok() && !request.token_s.empty(); }

std::optional<double> TtftOf(const record::RequestRecord& request) {
  if (!Counts(request)) return std::nullopt;
  return request.token_s.front() - request.send_s;
}

std::optional<double> TpotOf(const record::RequestRecord& request) {
  if (!Counts(request) || request.token_s.size() < 2) return std::nullopt;
  return (request.token_s.back() - request.token_s.front()) / static_cast<double>(request.token_s.size() - 1);
}

std::optional<double> E2eOf(const record::RequestRecord& request) {
  if (!Counts(request)) return std::nullopt;
  return request.token_s.back() - request.send_s;
}

bool Keeps(const record::RequestRecord& request, const cap::ServiceLevel& level) {
  const auto keeps = [](std::optional<double> value, std::optional<double> limit) {
    return !limit || !value || *value <= *limit;
  };
  return Counts(request) && keeps(TtftOf(request), level.ttft_s) && keeps(TpotOf(request), level.tpot_s) &&
         keeps(E2eOf(request), level.e2e_s);
}

std::map<int, RepeatTotals> TotalsByRepeat(std::span<const record::RequestRecord* const> requests,
                                           const cap::ServiceLevel& level) {
  std::map<int, RepeatTotals> repeats;
  for (const auto* request : requests) {
    const auto [entry, is_new] = repeats.try_emplace(request->cell.repeat);
    RepeatTotals& totals = entry->second;
    totals.first_send_s = is_new ? request->send_s : std::min(totals.first_send_s, request->send_s);
    if (!Counts(*request)) continue;
    totals.last_token_s = std::max(totals.last_token_s, request->token_s.back());
    totals.input_tokens += static_cast<double>(request->input_tokens);
    totals.output_tokens += static_cast<double>(request->output_tokens);
    totals.requests += 1;
    totals.good_requests += Keeps(*request, level) ? 1 : 0;
  }
  return repeats;
}

}  // namespace moecap::run
