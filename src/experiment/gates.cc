#include "experiment/gates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "experiment/shard_gates.h"
#include "load/quirks.h"
#include "metrics/quiet_gates.h"
#include "metrics/shared_pause.h"
#include "stats/summary.h"
#include "workload/request_set.h"

namespace moecap::experiment {
namespace {

using metrics::Gate;
using metrics::Judge;
using metrics::MakeGate;
using metrics::NotMeasured;
using record::RequestRecord;

// The client's share of a latency may be this much, and is never judged below what clocks and kernels show on an idle machine.
constexpr double kMostLagShare = 0.05;
constexpr double kLeastSendLagS = 1e-3;
constexpr double kLeastReceiveDelayS = 0.5e-3;
constexpr double kMostCpuShare = 0.7;
constexpr double kLeastAchievedShare = 0.99;
constexpr double kLeastHeadRoom = 5;
constexpr double kMostErrorShare = 0.01;
constexpr double kMostCountDifference = 0.05;
constexpr double kLeastSameTokens = 0.95;
// Remedies name the key of a configuration and, where there is one, the flag of `moecap load`.
constexpr const char* kMoreThreads = "more client threads (client_threads, --threads)";

template <typename T>
double QuantileOf(const std::vector<T>& samples, double q) {
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  return stats::Quantile(sorted, q);
}

bool IsOpen(const GateFacts& facts) { return record::IsOpenLoop(facts.measurement.level.kind); }

// The shorter of the two times that a late stamp distorts: to the first token, and from the first to the last. Null: no answer
// came in pieces.
std::optional<double> ShortestLatency(const std::vector<RequestRecord>& requests) {
  std::vector<double> ttft_s, decode_s;
  for (const RequestRecord& request : requests) {
    const metrics::RequestLatency latency = metrics::LatencyOf(request);
    if (latency.ttft_s) ttft_s.push_back(*latency.ttft_s);
    if (latency.tpot_s) decode_s.push_back(request.token_s.back() - request.token_s.front());
  }
  if (ttft_s.empty() || decode_s.empty()) return std::nullopt;
  return std::min(QuantileOf(ttft_s, 0.5), QuantileOf(decode_s, 0.5));
}

std::optional<double> MedianE2e(const std::vector<RequestRecord>& requests) {
  std::vector<double> e2e_s;
  for (const RequestRecord& request : requests) {
    if (const auto e2e = metrics::LatencyOf(request).e2e_s) e2e_s.push_back(*e2e);
  }
  return e2e_s.empty() ? std::nullopt : std::optional(QuantileOf(e2e_s, 0.5));
}

std::string Remedy(const GateFacts& facts) {
  if (!facts.system.description.on_this_machine) return fmt::format("give it {} or an idle core", kMoreThreads);
  return "server and client share this machine, so more threads cannot help: leave a core to the client (taskset), or run it "
         "on another machine";
}

Gate PacingGate(const GateFacts& facts) {
  const double bound_s = kMostLagShare * ShortestLatency(facts.facts.records.requests).value_or(0);
  Gate gate = MakeGate("pacing lag p99", std::max(kLeastSendLagS, bound_s), "s");
  if (facts.measurement.level.kind == record::LoadKind::kClients)
    return NotMeasured(gate, "a closed loop has no schedule to keep");
  if (facts.facts.records.held_back > 0) return NotMeasured(gate, "requests were held back by most_in_flight");
  std::vector<double> lags_s;
  for (const RequestRecord& request : facts.facts.records.requests) {
    if (request.error_kind != record::RequestError::kNotIssued) lags_s.push_back(request.send_s - request.intended_send_s);
  }
  if (lags_s.empty()) return NotMeasured(gate, "nothing was sent");
  return Judge(gate, QuantileOf(lags_s, 0.99),
               "the client sends late, and latencies from the intended send hold the lag: " + Remedy(facts));
}

Gate ReceiveGate(const GateFacts& facts) {
  const double bound_s = kMostLagShare * MedianE2e(facts.facts.records.requests).value_or(0);
  Gate gate = MakeGate("receive delay p99", std::max(kLeastReceiveDelayS, bound_s), "s");
  if (facts.facts.records.receive_delay_s.empty())
    return NotMeasured(gate, "the kernel stamps no arrivals on these connections (TLS, or a proxy)");
  return Judge(
      gate, QuantileOf(facts.facts.records.receive_delay_s, 0.99),
      fmt::format("the client reads late what the kernel has, by more than {:.0f} % of an answer's time: latencies are the "
                  "kernel's and do not hold it, but the next request of a client goes out as late: {}",
                  100 * kMostLagShare, Remedy(facts)));
}

Gate CpuGate(const GateFacts& facts) {
  Gate gate = MakeGate("client CPU per thread", kMostCpuShare, "share");
  if (facts.facts.records.loop_s <= 0) return NotMeasured(gate, "the measurement took no time");
  return Judge(gate, facts.facts.records.cpu_s / facts.facts.records.loop_s,
               fmt::format("the client's threads are nearly busy: give it {}", kMoreThreads));
}

Gate AchievedGate(const GateFacts& facts) {
  Gate gate = MakeGate("achieved of offered", kLeastAchievedShare, "share", true);
  if (!IsOpen(facts)) return NotMeasured(gate, "a closed loop offers what it sends");
  if (facts.facts.records.requests.empty()) return NotMeasured(gate, "nothing was offered");
  const auto unsent =
      std::ranges::count(facts.facts.records.requests, record::RequestError::kNotIssued, &RequestRecord::error_kind);
  const auto offered = std::ssize(facts.facts.records.requests);
  return Judge(gate, static_cast<double>(offered - unsent) / static_cast<double>(offered),
               "requests that were due were not sent: raise most_in_flight or lower the rate");
}

Gate HeldBackGate(const GateFacts& facts) {
  Gate gate = MakeGate("held back", 0, "requests");
  if (!IsOpen(facts)) return NotMeasured(gate, "a closed loop holds nothing back");
  return Judge(gate, static_cast<double>(facts.facts.records.held_back),
               "most_in_flight was reached, so this was not an open loop: raise it");
}

Gate HeadRoomGate(const GateFacts& facts) {
  Gate gate = MakeGate("head-room", kLeastHeadRoom, "x", true);
  if (!facts.system.head_room) return NotMeasured(gate, "no null server was measured on this machine");
  if (facts.load.whole.output_tokens_per_s <= 0) return NotMeasured(gate, "no token arrived");
  return Judge(gate, facts.system.head_room->tokens_per_s / facts.load.whole.output_tokens_per_s,
               "against a server that does nothing this client is not much faster: the figures may be the client's");
}

Gate ErrorGate(const GateFacts& facts) {
  Gate gate = MakeGate("errors", kMostErrorShare, "share");
  if (facts.load.whole.offered == 0) return NotMeasured(gate, "nothing was offered");
  const auto failed = std::ranges::count_if(facts.facts.records.requests, &RequestRecord::failed);
  return Judge(gate, static_cast<double>(failed) / static_cast<double>(facts.load.whole.offered),
               "latencies are those of the requests that succeeded, which is not what users see");
}

// Tokens that the plan lets a request find in the cache; null where that is not known.
std::optional<int64_t> SharedTokens(const RequestRecord& request, const PlanEntry& entry) {
  if (entry.shared_tokens || !entry.shared_share || request.input_tokens == 0) return entry.shared_tokens;
  return static_cast<int64_t>(std::ceil(*entry.shared_share * static_cast<double>(request.input_tokens)));
}

// Requests that ended well, each with its plan.
class PlannedRequests {
 public:
  explicit PlannedRequests(const GateFacts& facts) {
    std::unordered_map<std::string_view, const PlanEntry*> plan;
    for (const PlanEntry& entry : facts.facts.plan) plan.emplace(entry.id, &entry);
    for (const RequestRecord& request : facts.facts.records.requests) {
      const auto found = plan.find(request.id);
      if (!request.ok() || found == plan.end()) continue;
      mismatches_.push_back(CompareToPlan(request, *found->second));
      const auto shared = SharedTokens(request, *found->second);
      if (!shared) knows_shared_ = false;
      most_cached_tokens_ += static_cast<double>(shared.value_or(0) + workload::kMostChanceTokens);
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

  // What all of them together were planned to find in the cache, at most; null where that is not known.
  std::optional<double> most_cached_tokens() const {
    return knows_shared_ && !mismatches_.empty() ? std::optional(most_cached_tokens_) : std::nullopt;
  }

 private:
  std::vector<PlanMismatch> mismatches_;
  double most_cached_tokens_ = 0;
  bool knows_shared_ = true;
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

// What would make a server tell it; "" = nothing is known.
std::string RemedyOf(const SystemDescription& system, std::string_view capability) {
  const auto found = std::ranges::find(system.capabilities, capability, &ServerCapability::name);
  return found == system.capabilities.end() || found->remedy.empty() ? "" : "; " + found->remedy;
}

// By what each answer tells; else by the server's own counter, of all requests together and of others' beside them.
Gate CacheGate(const GateFacts& facts, const PlannedRequests& requests) {
  constexpr const char* kName = "cached more than planned";
  const std::string meaning =
      "the server answered from what earlier runs left in its prefix cache: set flush_cache (--flush-cache), or salt: unique "
      "(--salt unique) where the server knows cache_salt";
  if (const auto contaminated = requests.Count(&PlanMismatch::cache))
    return Judge(MakeGate(kName, 0, "requests"), *contaminated, meaning);
  const auto planned = requests.most_cached_tokens();
  if (facts.measurement.cached_tokens && planned)
    return Judge(MakeGate(kName, *planned, "tokens"), *facts.measurement.cached_tokens, meaning + " (by its /metrics)");
  return NotMeasured(MakeGate(kName, 0, "requests"), "the server does not tell what it took from its prefix cache" +
                                                         RemedyOf(facts.system.description, "cached tokens"));
}

// What this client saw of a counter, and what the server counted of it.
struct Reconciled {
  const char* what;
  double client = 0;
  std::optional<double> server;
};

double Difference(const Reconciled& pair) {
  return std::abs(*pair.server - pair.client) / std::max({*pair.server, pair.client, 1.0});
}

// Each side's sum over the measurement. Counts of answers that were guessed from chunks are compared with nothing.
Gate ReconciledGate(const GateFacts& facts) {
  Gate gate = MakeGate("counts of client and server", kMostCountDifference, "share");
  const auto& counters = facts.measurement.server_counters;
  if (!facts.measurement.server_change.empty()) return NotMeasured(gate, "the server was not the same one throughout");
  if (!counters) {
    return NotMeasured(gate, "the server has no /metrics with its own counts" + RemedyOf(facts.system.description, "metrics"));
  }
  Reconciled prompt{"prompt tokens", 0, counters->prompt_tokens}, generated{"generated tokens", 0, counters->generated_tokens},
      finished{"finished requests", 0, counters->finished};
  for (const RequestRecord& request : facts.facts.records.requests) {
    if (request.error_kind == record::RequestError::kNotIssued) continue;
    if (!request.ok())
      return NotMeasured(gate, "some requests failed or were given up, and how far the server had come is not told");
    prompt.client += static_cast<double>(request.input_tokens);
    generated.client += static_cast<double>(request.output_tokens);
    finished.client += 1;
    if (request.input_tokens == 0) prompt.server.reset();
    if (request.tokens_source == record::TokensSource::kChunks) generated.server.reset();
  }
  const Reconciled* worst = nullptr;
  for (const Reconciled* pair : {&prompt, &generated, &finished}) {
    if (pair->server && (worst == nullptr || Difference(*pair) > Difference(*worst))) worst = pair;
  }
  if (worst == nullptr) return NotMeasured(gate, "the server's /metrics count nothing that this client counts, too");
  return Judge(
      gate, Difference(*worst),
      fmt::format("the server counted {:.0f} {}, this client {:.0f}: others may use the server, or one side counts wrongly; "
                  "see that nobody else sends requests, and measure again",
                  *worst->server, worst->what, worst->client));
}

// Whether nobody listened at the server's address for a while: a connection was refused, and later ones were served.
bool WasAway(const std::vector<RequestRecord>& requests) {
  std::optional<double> refused_s;
  for (const RequestRecord& request : requests) {
    if (request.error_kind != record::RequestError::kConnectRefused) continue;
    refused_s = std::min(refused_s.value_or(request.send_s), request.send_s);
  }
  return refused_s && std::ranges::any_of(requests, [&](const RequestRecord& r) { return r.ok() && r.send_s > *refused_s; });
}

// Figures of two servers, or of one that had to start over, are nobody's.
Gate SameServerGate(const GateFacts& facts) {
  Gate gate = MakeGate("one server throughout", 0, "changes");
  const std::vector<RequestRecord>& requests = facts.facts.records.requests;
  if (requests.empty()) return NotMeasured(gate, "nothing was sent");
  std::vector<std::string> changes;
  if (!facts.measurement.server_change.empty()) changes.push_back(facts.measurement.server_change);
  for (const RequestRecord& request : requests) {
    const auto other = std::ranges::find_if(request.quirks,
                                            [](const std::string& quirk) { return quirk.starts_with(load::kOtherModelQuirk); });
    if (other == request.quirks.end()) continue;
    changes.push_back(*other);
    break;
  }
  if (changes.empty() && WasAway(requests)) changes.emplace_back("for a while it refused connections, and then answered again");
  return Judge(
      gate, static_cast<double>(changes.size()),
      fmt::format("the server changed during the measurement: {}; measure again when it stays up", fmt::join(changes, "; ")));
}

Gate CountingGate(const GateFacts& facts) {
  Gate gate = MakeGate("tokens counted by the server", 0, "requests");
  const auto ended_well = std::ranges::count_if(facts.facts.records.requests, [](const RequestRecord& r) { return r.ok(); });
  if (ended_well == 0) return NotMeasured(gate, "no request ended well");
  const auto guessed = std::ranges::count_if(facts.facts.records.requests, [](const RequestRecord& request) {
    return request.ok() && request.tokens_source == record::TokensSource::kChunks;
  });
  return Judge(gate, static_cast<double>(guessed), "the server gave no count: each chunk was taken for one token, an estimate");
}

// Near-ties may tip; experts of another computation may not stand for those of the timed one.
Gate ReplayGate(const GateFacts& facts) {
  Gate gate = MakeGate("tokens as in the routing replay", kLeastSameTokens, "share", true);
  const auto& share = facts.measurement.replay_same_tokens;
  if (!share) return NotMeasured(gate, "no replay of its own");
  return Judge(gate, *share,
               "the execution that recorded the experts chose other tokens: its experts may not be those of the timed passes");
}

}  // namespace

PlanMismatch CompareToPlan(const RequestRecord& request, const PlanEntry& entry) {
  PlanMismatch mismatch;
  if (entry.input_tokens && request.input_tokens > 0) mismatch.input = request.input_tokens != *entry.input_tokens;
  if (entry.exact_output && request.tokens_source != record::TokensSource::kChunks)
    mismatch.output = request.output_tokens != entry.output_tokens;
  const std::optional<int64_t> shared = SharedTokens(request, entry);
  if (request.cached_input_tokens && shared)
    mismatch.cache = *request.cached_input_tokens > *shared + workload::kMostChanceTokens;
  return mismatch;
}

std::vector<Gate> JudgeMeasurement(const GateFacts& facts) {
  const SystemDescription& system = facts.system.description;
  const std::vector<hardware::MachineUse> uses = ClientMachines(facts.measurement);
  std::vector<Gate> gates, quiet;
  if (system.in_process) {
    gates = {AchievedGate(facts), HeldBackGate(facts), ErrorGate(facts)};
    if (system.model.MoeLayers() > 0) gates.push_back(ReplayGate(facts));
    const int threads = system.devices.gpus.empty() ? system.threads : 0;
    if (!uses.empty()) quiet = metrics::InProcessQuietGates(uses.front(), threads, facts.facts.records.passes);
  } else {
    const PlannedRequests requests(facts);
    gates = {PacingGate(facts),     ReceiveGate(facts),
             CpuGate(facts),        AchievedGate(facts),
             HeldBackGate(facts),   HeadRoomGate(facts),
             ErrorGate(facts),      InputGate(requests),
             OutputGate(requests),  CacheGate(facts, requests),
             CountingGate(facts),   ReconciledGate(facts),
             SameServerGate(facts), metrics::SharedPauseGate(facts.facts.records.requests)};
    std::ranges::move(JudgeShards(facts.measurement, facts.load.whole.window.Seconds()), std::back_inserter(gates));
    std::vector<std::vector<Gate>> machines;
    for (const hardware::MachineUse& use : uses) machines.push_back(metrics::ClientQuietGates(use, system.on_this_machine));
    quiet = WorstOf(machines);
  }
  std::ranges::move(quiet, std::back_inserter(gates));
  return gates;
}

std::vector<Gate> WorstOf(std::span<const std::vector<Gate>> gates) {
  const auto badness = [](const Gate& gate) {
    const int state = gate.state == Gate::State::kTripped ? 2 : gate.state == Gate::State::kPassed ? 1 : 0;
    return std::pair(state, metrics::Excess(gate));
  };
  std::vector<Gate> worst;
  for (const std::vector<Gate>& measurement : gates) {
    for (const Gate& gate : measurement) {
      const auto found = std::ranges::find(worst, gate.name, &Gate::name);
      if (found == worst.end()) {
        worst.push_back(gate);
      } else if (badness(gate) > badness(*found)) {
        *found = gate;
      }
    }
  }
  return worst;
}

std::optional<Gate> JudgeRepetitions(std::span<const Facts* const> repetitions) {
  if (repetitions.size() < 2) return std::nullopt;
  std::map<std::string_view, const RequestRecord*> first;
  double differing = 0;
  for (const Facts* facts : repetitions) {
    for (const RequestRecord& request : facts->records.requests) {
      if (!request.ok()) continue;
      const auto [entry, is_new] = first.try_emplace(request.id, &request);
      if (!is_new && entry->second->token_ids != request.token_ids) ++differing;
    }
  }
  return Judge(MakeGate("same tokens in every repetition", 0, "requests"), differing,
               "repetitions generated different tokens; greedy decoding of one engine should not");
}

}  // namespace moecap::experiment
