// How exactly requests go out at their times: an open loop against a mock that answers at once with one token. Server on core
// 0, client on core 1. Lags are from the intended time: to the instant the client turned to the request, to the instant the
// kernel had its last byte, and, of the server's own log, to the instant the server had read it.
//
//   client_pacing [REQUESTS_PER_S [SECONDS]]      default 5000 5
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/check.h"
#include "base/table.h"
#include "load/open_loop.h"
#include "mock_process.h"
#include "workload/arrivals.h"

namespace moecap::bench {
namespace {

struct Lags {
  std::vector<double> begun_us, written_us, arrived_us;
  double cpu_share = 0;   // of the client's core
  double idle_share = 0;  // of the machine
};

std::vector<double> Schedule(workload::GapShape gaps, double rate_per_s, double seconds) {
  workload::ArrivalProcess arrivals;
  arrivals.gaps = gaps;
  arrivals.rate_per_s = rate_per_s;
  return workload::ScheduleArrivals(arrivals, static_cast<int64_t>(rate_per_s * seconds)).value();
}

Lags Measure(workload::GapShape gaps, double rate_per_s, double seconds) {
  const SteadyClock clock;
  const ScratchFolder folder;
  mock::ServerOptions server_options;
  server_options.log_file = folder.path() / "truth.jsonl";
  MockProcess server(server_options);
  PinTo(1);
  const std::vector<double> at_s = Schedule(gaps, rate_per_s, seconds);
  const std::vector<load::RequestSpec> requests = NamedRequests(static_cast<int64_t>(at_s.size()), 1);
  std::vector<load::PlannedRequest> plan;
  for (size_t i = 0; i < at_s.size(); ++i) plan.push_back({&requests[i], at_s[i], {}});
  const auto system = ConnectTo(server.url(), 256, clock);
  load::OpenLoopOptions options;
  options.origin_ns = clock.NowNs() + 200'000'000;
  const MachineTime machine = MachineTimeNow();
  const double cpu_s = CpuSeconds(), begin_s = clock.NowS();
  const auto result = load::RunOpenLoop(*system, plan, options, clock);
  Lags lags;
  lags.cpu_share = (CpuSeconds() - cpu_s) / (clock.NowS() - begin_s);
  const MachineTime then = MachineTimeNow();
  lags.idle_share = (then.idle_s - machine.idle_s) / (then.total_s - machine.total_s);
  server.Stop();
  CHECK(result.ok() && result->held_back == 0 && result->requests.size() == at_s.size());
  const auto truth = ReadTruth(server_options.log_file);
  CHECK(truth.size() == at_s.size());
  for (size_t i = 0; i < at_s.size(); ++i) {
    const record::RequestRecord& request = result->requests[i];
    CHECK(request.ok() && request.output_tokens == 1 && std::abs(request.intended_send_s - at_s[i]) < 1e-9);
    const double arrival_s = static_cast<double>(truth.at(request.id).arrival_ns - *options.origin_ns) * 1e-9;
    CHECK(request.send_s >= request.intended_send_s && *request.sent_s >= request.send_s && arrival_s > request.send_s);
    lags.begun_us.push_back((request.send_s - at_s[i]) * 1e6);
    lags.written_us.push_back((*request.sent_s - at_s[i]) * 1e6);
    lags.arrived_us.push_back((arrival_s - at_s[i]) * 1e6);
  }
  return lags;
}

int Main(int argc, char** argv) {
  const double rate_per_s = argc > 1 ? std::atof(argv[1]) : 5000;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  if (!(rate_per_s * seconds >= 100)) {
    fmt::print(stderr, "usage: client_pacing [REQUESTS_PER_S [SECONDS]]; at least 100 requests\n");
    return 2;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, gaps] :
       {std::pair("constant", workload::GapShape::kConstant), std::pair("Poisson", workload::GapShape::kExponential)}) {
    const Lags lags = Measure(gaps, rate_per_s, seconds);
    std::vector<std::string> row = {name, fmt::format("{}", lags.begun_us.size())};
    for (const auto* values : {&lags.begun_us, &lags.written_us, &lags.arrived_us}) {
      for (const double q : {0.5, 0.99, 1.0}) row.push_back(fmt::format("{:.1f}", QuantileOf(*values, q)));
    }
    row.push_back(fmt::format("{:.0f}", lags.cpu_share * 100));
    row.push_back(fmt::format("{:.0f}", lags.idle_share * 100));
    rows.push_back(std::move(row));
  }
  std::vector<TableColumn> columns = {{"", "gaps", Align::kLeft, true}, {"", "requests"}};
  for (const char* group : {"send begun, us", "written, us", "read by server, us"}) {
    for (const char* quantile : {"p50", "p99", "max"}) columns.push_back({group, quantile});
  }
  columns.push_back({"CPU", "client %"});
  columns.push_back({"CPU", "machine idle %"});
  fmt::print("lag of {:g} requests/s behind the schedule\n{}", rate_per_s,
             RenderTable(columns, rows, {.width = 128, .unicode = false}));
  return 0;
}

}  // namespace
}  // namespace moecap::bench

int main(int argc, char** argv) { return moecap::bench::Main(argc, argv); }
