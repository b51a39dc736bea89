// Whether a server's standing still shows in the latencies as its users felt it. The mock stands still for a while under an
// open loop at a constant rate; what users must then have waited follows from the schedule alone and is printed beside what was
// measured from the intended times. Below, what a closed loop of clients that wait for their answers makes of the same server.
//
//   client_stall [REQUESTS_PER_S [SECONDS [STALL_S]]]      default 1000 10 2
//
// The server stands still from `begin` to `end`, and what is due later comes end - begin later. A request sent at s whose
// answer takes L is then felt as
//   s + L <= begin      L
//   s < begin           L + end - begin
//   s < end             L + end - s
//   else                L
// "server's log" is when the server really wrote: after the standstill it has to read what has come meanwhile.
#include <fmt/format.h>

#include <cstdlib>

#include "base/check.h"
#include "base/table.h"
#include "load/closed_loop.h"
#include "load/open_loop.h"
#include "mock_process.h"
#include "workload/arrivals.h"

namespace moecap::bench {
namespace {

constexpr double kTtftS = 0.02, kTpotS = 0.01;
constexpr int64_t kTokens = 4;
constexpr double kAnswerS = kTtftS + kTpotS * (kTokens - 1);
constexpr int kClosedClients = 32;

struct Latencies {
  std::vector<double> first_token_s, answer_s;
};

struct Stall {
  double begin_s, end_s;
};

double Felt(double send_s, double answer_s, const Stall& stall) {
  if (send_s + answer_s <= stall.begin_s || send_s >= stall.end_s) return answer_s;
  return send_s < stall.begin_s ? answer_s + stall.end_s - stall.begin_s : answer_s + stall.end_s - send_s;
}

mock::ServerOptions StallingServer(const Stall& stall) {
  mock::ServerOptions options;
  options.timed.ttft_s = {kTtftS, 0};
  options.timed.tpot_s = {kTpotS, 0};
  options.stall_at_s = stall.begin_s;
  options.stall_for_s = stall.end_s - stall.begin_s;
  return options;
}

Latencies FromIntended(const load::LoadResult& result) {
  Latencies latencies;
  for (const record::RequestRecord& request : result.requests) {
    CHECK(request.ok() && request.output_tokens == kTokens);
    latencies.first_token_s.push_back(request.token_s.front() - request.intended_send_s);
    latencies.answer_s.push_back(request.token_s.back() - request.intended_send_s);
  }
  return latencies;
}

// From the intended times to when the server really wrote the tokens.
Latencies InTruth(const load::LoadResult& result, const std::map<std::string, TrueRequest>& truth, int64_t origin_ns) {
  Latencies latencies;
  for (const record::RequestRecord& request : result.requests) {
    const std::vector<int64_t>& token_ns = truth.at(request.id).token_ns;
    const auto felt = [&](int64_t time_ns) {
      return static_cast<double>(time_ns - origin_ns) * 1e-9 - request.intended_send_s;
    };
    latencies.first_token_s.push_back(felt(token_ns.front()));
    latencies.answer_s.push_back(felt(token_ns.back()));
  }
  return latencies;
}

struct OpenLoopLatencies {
  Latencies measured, truth;
};

OpenLoopLatencies MeasureOpen(const std::vector<double>& at_s, const Stall& stall) {
  const SteadyClock clock;
  const ScratchFolder folder;
  mock::ServerOptions server_options = StallingServer(stall);
  server_options.log_file = folder.path() / "truth.jsonl";
  MockProcess server(server_options);
  PinTo(1);
  const auto requests = NamedRequests(static_cast<int64_t>(at_s.size()), kTokens);
  std::vector<load::PlannedRequest> plan;
  for (size_t i = 0; i < at_s.size(); ++i) plan.push_back({&requests[i], at_s[i], {}});
  // Enough for all that come while nothing is answered.
  const double rate_per_s = static_cast<double>(at_s.size()) / at_s.back();
  const auto connections = static_cast<size_t>(1.2 * rate_per_s * (stall.end_s - stall.begin_s + kAnswerS)) + 16;
  const auto system = ConnectTo(server.url(), connections, clock);
  load::OpenLoopOptions options;
  options.origin_ns = clock.NowNs();
  const auto result = load::RunOpenLoop(*system, plan, options, clock);
  server.Stop();
  CHECK(result.ok() && result->held_back == 0 && result->requests.size() == at_s.size());
  return {FromIntended(*result), InTruth(*result, ReadTruth(server_options.log_file), *options.origin_ns)};
}

Latencies MeasureClosed(size_t count, const Stall& stall) {
  const SteadyClock clock;
  const MockProcess server(StallingServer(stall));
  PinTo(1);
  const auto requests = NamedRequests(static_cast<int64_t>(count), kTokens);
  const auto system = ConnectTo(server.url(), kClosedClients, clock);
  load::ClosedLoopOptions options;
  options.clients = kClosedClients;
  const auto result = load::RunClosedLoop(*system, requests, options, clock);
  CHECK(result.ok() && result->requests.size() == count);
  return FromIntended(*result);
}

void Print(const char* title, const std::vector<double>& computed, const std::vector<double>& truth,
           const std::vector<double>& measured, const std::vector<double>& closed) {
  std::vector<std::vector<std::string>> rows;
  for (const double q : {0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0}) {
    const double computed_s = QuantileOf(computed, q), measured_s = QuantileOf(measured, q);
    rows.push_back({fmt::format("p{:g}", q * 100), fmt::format("{:.4f}", computed_s), fmt::format("{:.4f}", measured_s),
                    fmt::format("{:+.2f}", (measured_s / computed_s - 1) * 100), fmt::format("{:.4f}", QuantileOf(truth, q)),
                    fmt::format("{:.4f}", QuantileOf(closed, q))});
  }
  fmt::print("{}\n{}", title,
             RenderTable({{"", "", Align::kLeft, true},
                          {"open loop", "computed, s"},
                          {"open loop", "measured, s"},
                          {"open loop", "difference, %"},
                          {"open loop", "server's log, s"},
                          {"closed loop", "measured, s"}},
                         rows, {.width = 128, .unicode = false}));
}

int Main(int argc, char** argv) {
  const double rate_per_s = argc > 1 ? std::atof(argv[1]) : 1000;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 10;
  const double stall_s = argc > 3 ? std::atof(argv[3]) : 2;
  if (!(rate_per_s * seconds >= 100) || !(stall_s > 0) || seconds < 2 * stall_s) {
    fmt::print(stderr, "usage: client_stall [REQUESTS_PER_S [SECONDS [STALL_S]]]; SECONDS at least twice STALL_S\n");
    return 2;
  }
  RaiseFileLimit();
  workload::ArrivalProcess arrivals;
  arrivals.gaps = workload::GapShape::kConstant;
  arrivals.rate_per_s = rate_per_s;
  const std::vector<double> at_s = workload::ScheduleArrivals(arrivals, static_cast<int64_t>(rate_per_s * seconds)).value();
  const Stall stall{at_s.front() + seconds / 3, at_s.front() + seconds / 3 + stall_s};
  Latencies computed;
  for (const double send_s : at_s) {
    computed.first_token_s.push_back(Felt(send_s, kTtftS, stall));
    computed.answer_s.push_back(Felt(send_s, kAnswerS, stall));
  }
  const OpenLoopLatencies open = MeasureOpen(at_s, stall);
  const Latencies closed = MeasureClosed(at_s.size(), stall);
  fmt::print("{:g} requests/s for {:g} s, the server stands still for {:g} s; from the intended time\n", rate_per_s, seconds,
             stall_s);
  Print("to the first token", computed.first_token_s, open.truth.first_token_s, open.measured.first_token_s,
        closed.first_token_s);
  Print("to the last token", computed.answer_s, open.truth.answer_s, open.measured.answer_s, closed.answer_s);
  return 0;
}

}  // namespace
}  // namespace moecap::bench

int main(int argc, char** argv) { return moecap::bench::Main(argc, argv); }
