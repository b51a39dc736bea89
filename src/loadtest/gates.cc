#include "loadtest/gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "stats/summary.h"
#include "workload/request_set.h"

namespace moecap::loadtest {
namespace {

using metrics::Gate;
using record::RequestRecord;

constexpr double kMostSendLagS = 1e-3;
constexpr double kMostReceiveDelayS = 0.5e-3;
constexpr double kMostCpuShare = 0.7;
constexpr double kLeastAchievedShare = 0.99;
constexpr double kLeastHeadRoom = 5;
constexpr double kMostErrorShare = 0.01;

Gate MakeGate(std::string name, double bound, std::string unit, bool at_least = false) {
  Gate gate;
  gate.name = std::move(name);
  gate.bound = bound;
  gate.unit = std::move(unit);
  gate.at_least = at_least;
  return gate;
}

Gate Judge(Gate gate, double value, std::string when_tripped) {
  gate.value = value;
  const bool passed = gate.at_least ? value >= gate.bound : value <= gate.bound;
  gate.state = passed ? Gate::State::kPassed : Gate::State::kTripped;
  if (!passed) gate.explanation = std::move(when_tripped);
  return gate;
}

Gate NotMeasured(Gate gate, std::string why) {
  gate.explanation = std::move(why);
  return gate;
}

template <typename T>
double P99(std::vector<T> samples) {
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  return stats::Quantile(sorted, 0.99);
}

bool IsOpen(LoadKind kind) { return kind == LoadKind::kRate || kind == LoadKind::kReplay; }

Gate PacingGate(const GateFacts& facts) {
  Gate gate = MakeGate("pacing lag p99", kMostSendLagS, "s");
  if (facts.kind == LoadKind::kClients) return NotMeasured(gate, "a closed loop has no schedule to keep");
  if (facts.records.held_back > 0) return NotMeasured(gate, "requests were held back by most_in_flight");
  std::vector<double> lags_s;
  for (const RequestRecord& request : facts.records.requests) {
    if (request.error_kind != record::RequestError::kNotIssued) lags_s.push_back(request.send_s - request.intended_send_s);
  }
  if (lags_s.empty()) return NotMeasured(gate, "nothing was sent");
  return Judge(gate, P99(std::move(lags_s)),
               "the client sends late: give it more --threads or an idle core; latencies from the intended send hold the lag");
}

Gate ReceiveGate(const GateFacts& facts) {
  Gate gate = MakeGate("receive delay p99", kMostReceiveDelayS, "s");
  if (facts.records.receive_delay_s.empty())
    return NotMeasured(gate, "the kernel stamps no arrivals on these connections (TLS, or a proxy)");
  return Judge(gate, P99(facts.records.receive_delay_s),
               "the client reads late what the kernel has: give it more --threads or an idle core");
}

Gate CpuGate(const GateFacts& facts) {
  Gate gate = MakeGate("client CPU per thread", kMostCpuShare, "share");
  if (facts.records.loop_s <= 0) return NotMeasured(gate, "the measurement took no time");
  return Judge(gate, facts.records.cpu_s / facts.records.loop_s, "the client's threads are nearly busy: add --threads");
}

Gate AchievedGate(const GateFacts& facts) {
  Gate gate = MakeGate("achieved of offered", kLeastAchievedShare, "share", true);
  if (!IsOpen(facts.kind)) return NotMeasured(gate, "a closed loop offers what it sends");
  if (facts.records.requests.empty()) return NotMeasured(gate, "nothing was offered");
  const auto unsent = std::ranges::count(facts.records.requests, record::RequestError::kNotIssued, &RequestRecord::error_kind);
  const auto offered = std::ssize(facts.records.requests);
  return Judge(gate, static_cast<double>(offered - unsent) / static_cast<double>(offered),
               "requests that were due were not sent: raise most_in_flight or lower the rate");
}

Gate HeldBackGate(const GateFacts& facts) {
  Gate gate = MakeGate("held back", 0, "requests");
  if (!IsOpen(facts.kind)) return NotMeasured(gate, "a closed loop holds nothing back");
  return Judge(gate, static_cast<double>(facts.records.held_back),
               "most_in_flight was reached, so this was not an open loop: raise it");
}

Gate HeadRoomGate(const GateFacts& facts) {
  Gate gate = MakeGate("head-room", kLeastHeadRoom, "x", true);
  if (!facts.head_room) return NotMeasured(gate, "no null server was measured on this machine");
  if (facts.cell.whole.output_tokens_per_s <= 0) return NotMeasured(gate, "no token arrived");
  return Judge(gate, facts.head_room->tokens_per_s / facts.cell.whole.output_tokens_per_s,
               "against a server that does nothing this client is not much faster: the figures may be the client's");
}

Gate ErrorGate(const GateFacts& facts) {
  Gate gate = MakeGate("errors", kMostErrorShare, "share");
  if (facts.cell.whole.offered == 0) return NotMeasured(gate, "nothing was offered");
  const auto failed = std::ranges::count_if(facts.records.requests, &RequestRecord::failed);
  return Judge(gate, static_cast<double>(failed) / static_cast<double>(facts.cell.whole.offered),
               "latencies are those of the requests that succeeded, which is not what users see");
}

// Requests that ended well, each with its plan.
class PlannedRequests {
 public:
  explicit PlannedRequests(const GateFacts& facts) {
    std::unordered_map<std::string_view, const PlanEntry*> plan;
    for (const PlanEntry& entry : facts.plan) plan.emplace(entry.id, &entry);
    for (const RequestRecord& request : facts.records.requests) {
      const auto found = plan.find(request.id);
      if (request.ok() && found != plan.end()) mismatches_.push_back(CompareToPlan(request, *found->second));
    }
  }

  // How many of those for which it is known differ; null when none is.
  std::optional<double> Count(std::optional<bool> PlanMismatch::*what) const {
    double count = 0;
    bool known = false;
    for (const PlanMismatch& mismatch : mismatches_) {
      known = known || (mismatch.*what).has_value();
      count += (mismatch.*what).value_or(false) ? 1 : 0;
    }
    return known ? std::optional(count) : std::nullopt;
  }

 private:
  std::vector<PlanMismatch> mismatches_;
};

Gate InputGate(const PlannedRequests& requests) {
  Gate gate = MakeGate("input tokens as planned", 0, "requests");
  const auto differing = requests.Count(&PlanMismatch::input);
  if (!differing) return NotMeasured(gate, "the server does not tell, or the text's length was not known before");
  return Judge(gate, *differing, "prompts did not have the planned length: a tokenizer adds or joins tokens; send token ids");
}

Gate OutputGate(const PlannedRequests& requests) {
  Gate gate = MakeGate("output tokens as planned", 0, "requests");
  const auto differing = requests.Count(&PlanMismatch::output);
  if (!differing) return NotMeasured(gate, "answers were not asked to have an exact length, or the server counts no tokens");
  return Judge(gate, *differing, "answers did not have the planned length: is the context of the server long enough?");
}

Gate CacheGate(const PlannedRequests& requests) {
  Gate gate = MakeGate("cached more than planned", 0, "requests");
  const auto contaminated = requests.Count(&PlanMismatch::cache);
  if (!contaminated) return NotMeasured(gate, "the server does not tell what it took from its prefix cache");
  return Judge(
      gate, *contaminated,
      "the server answered from what earlier runs left in its prefix cache: set flush_cache, or salt: unique where the "
      "server knows cache_salt");
}

Gate CountingGate(const GateFacts& facts) {
  Gate gate = MakeGate("tokens counted by the server", 0, "requests");
  const auto ended_well = std::ranges::count_if(facts.records.requests, [](const RequestRecord& r) { return r.ok(); });
  if (ended_well == 0) return NotMeasured(gate, "no request ended well");
  const auto guessed = std::ranges::count_if(facts.records.requests, [](const RequestRecord& request) {
    return request.ok() && request.tokens_source == record::TokensSource::kChunks;
  });
  return Judge(gate, static_cast<double>(guessed), "the server gave no count: each chunk was taken for one token, an estimate");
}

}  // namespace

PlanMismatch CompareToPlan(const RequestRecord& request, const PlanEntry& entry) {
  PlanMismatch mismatch;
  if (entry.input_tokens && request.input_tokens > 0) mismatch.input = request.input_tokens != *entry.input_tokens;
  if (entry.exact_output && request.tokens_source != record::TokensSource::kChunks)
    mismatch.output = request.output_tokens != entry.output_tokens;
  if (request.cached_input_tokens && entry.shared_tokens)
    mismatch.cache = *request.cached_input_tokens > *entry.shared_tokens + workload::kMostChanceTokens;
  return mismatch;
}

std::vector<metrics::Gate> JudgeGates(const GateFacts& facts) {
  const PlannedRequests requests(facts);
  return {PacingGate(facts),    ReceiveGate(facts),  CpuGate(facts),     AchievedGate(facts),
          HeldBackGate(facts),  HeadRoomGate(facts), ErrorGate(facts),   InputGate(requests),
          OutputGate(requests), CacheGate(requests), CountingGate(facts)};
}

}  // namespace moecap::loadtest
