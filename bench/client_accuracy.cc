// How exactly a client sees what a server did. The mock writes tokens at drawn times and logs when each write began; a client
// drives it with Poisson arrivals at so many streams of 20 tokens/s; its stamps are joined with the log by request and token.
// Both processes read CLOCK_MONOTONIC, the server on core 0 and the client on core 1.
//
//   client_accuracy [SECONDS [STREAMS...]]      default 10 64 1000 5000
//   client_accuracy peer [SECONDS [STREAMS]]    default 10 1000; the same test with aiohttp (bench/aiohttp_client.py, needs
//                                               python3-aiohttp), and what either takes of a server that never waits
//
// With s the client's stamp before it sends a request, a(k) its stamp of token k, r when the server had read the request and
// t(k) when the write with token k began:
//   TTFT error   |(a(0) - s) - (t(0) - r)|              what the client reports, less what the server did: the way there and
//                                                       the delay of the first token
//   ITL error    |(a(k) - a(k-1)) - (t(k) - t(k-1))|
//   way there    r - s                                  the client's write, the kernel, the wait for the server and its read
//   delay        a(k) - t(k)                            never negative: it holds the kernel's write, its read, and the wait for
//                                                       the client
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "base/table.h"
#include "load/open_loop.h"
#include "mock_process.h"
#include "workload/arrivals.h"

namespace moecap::bench {
namespace {

constexpr double kTtftS = 0.2, kTpotS = 0.05;
constexpr int64_t kTokens = 100;  // of a request
constexpr double kRequestS = kTtftS + kTpotS * (kTokens - 1);
constexpr double kStartUpS = 3;  // for a client to begin and to open its connections

struct Plan {
  std::vector<load::RequestSpec> requests;
  std::vector<double> at_s;
  int64_t origin_ns = 0;
  size_t connections = 0;
};

struct SeenRequest {
  int64_t send_ns = 0;
  std::vector<int64_t> token_ns;
};

// What a client says of itself and of its requests, which it names by their salts.
struct Report {
  double cpu_s = 0;  // from the first request to the last
  std::map<std::string, SeenRequest> requests;
};

// A client in a process of its own: sends the plan to `url` and writes a report.
using ClientMain = void (*)(const Plan& plan, const std::string& url, const std::filesystem::path& folder);

// A report is a line "NAME SEND_NS TOKEN_NS..." for each request, then "cpu_s SECONDS".
Report ReadReport(const std::filesystem::path& file) {
  Report report;
  std::ifstream lines(file);
  bool ended = false;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    fields >> name;
    if (name == "cpu_s") {
      fields >> report.cpu_s;
      ended = true;
      continue;
    }
    SeenRequest request;
    fields >> request.send_ns;
    for (int64_t time_ns = 0; fields >> time_ns;) request.token_ns.push_back(time_ns);
    report.requests.emplace(std::move(name), std::move(request));
  }
  CHECK(ended);
  return report;
}

void RunOurs(const Plan& plan, const std::string& url, const std::filesystem::path& folder) {
  const SteadyClock clock;
  RaiseFileLimit();
  const auto system = ConnectTo(url, plan.connections, clock);
  CHECK(clock.NowNs() < plan.origin_ns);
  std::vector<load::PlannedRequest> planned;
  for (size_t i = 0; i < plan.requests.size(); ++i) planned.push_back({&plan.requests[i], plan.at_s[i], {}});
  load::OpenLoopOptions options;
  options.origin_ns = plan.origin_ns;
  const double cpu_before_s = CpuSeconds();
  const auto result = load::RunOpenLoop(*system, planned, options, clock);
  const double cpu_s = CpuSeconds() - cpu_before_s;
  CHECK(result.ok() && result->held_back == 0);
  std::ofstream report(folder / "report");
  const auto absolute = [&](double time_s) { return plan.origin_ns + std::llround(time_s * 1e9); };
  for (const record::RequestRecord& request : result->requests) {
    CHECK(request.ok());
    report << request.id << ' ' << absolute(request.send_s);
    for (const double token_s : request.token_s) report << ' ' << absolute(token_s);
    report << '\n';
  }
  report << "cpu_s " << cpu_s << '\n';
}

void RunAiohttp(const Plan& plan, const std::string& url, const std::filesystem::path& folder) {
  const std::string file = folder / "plan";
  {
    std::ofstream lines(file);
    for (size_t i = 0; i < plan.requests.size(); ++i) {
      const load::RequestSpec& request = plan.requests[i];
      lines << fmt::format(R"({{"at_ns":{},"body":{{"model":"mock","prompt":[{}],"max_tokens":{},"ignore_eos":true,)"
                           R"("stream":true,"return_token_ids":true,"cache_salt":"{}"}}}})",
                           plan.origin_ns + std::llround(plan.at_s[i] * 1e9), fmt::join(request.prompt_token_ids, ","),
                           request.max_output_tokens, request.cache_salt)
            << '\n';
    }
  }
  const std::string script = std::filesystem::path(MOECAP_BENCH_DIR) / "aiohttp_client.py";
  const std::string report = folder / "report";
  RaiseFileLimit();
  ::execl("/usr/bin/python3", "python3", script.c_str(), url.c_str(), file.c_str(), report.c_str(), nullptr);
  CHECK(false);
}

struct Usage {
  double idle_share = 0;  // of the machine
  double server_cores = 0;
};

// Runs a client to its end, and watches the machine from `begin_s` to `end_s` of the plan.
Report Run(ClientMain client, const Plan& plan, const MockProcess& server, const std::filesystem::path& folder, double begin_s,
           double end_s, Usage& usage) {
  std::fflush(nullptr);
  const pid_t process = ::fork();
  CHECK(process >= 0);
  if (process == 0) {
    PinTo(1);
    client(plan, server.url(), folder);
    ::_exit(0);
  }
  const auto at = [&](double time_s) { return plan.origin_ns + std::llround(time_s * 1e9); };
  SleepUntil(at(begin_s));
  const MachineTime machine = MachineTimeNow();
  const double server_cpu_s = CpuSecondsOf(server.pid());
  SleepUntil(at(end_s));
  const MachineTime machine_then = MachineTimeNow();
  usage.idle_share = (machine_then.idle_s - machine.idle_s) / (machine_then.total_s - machine.total_s);
  usage.server_cores = (CpuSecondsOf(server.pid()) - server_cpu_s) / (end_s - begin_s);
  int status = 0;
  CHECK(::waitpid(process, &status, 0) == process && status == 0);
  return ReadReport(folder / "report");
}

struct Errors {
  std::vector<double> ttft_us, itl_us, there_us, delay_us;
};

// Of what happened between two instants, while all streams ran.
Errors Compare(const Report& report, const std::map<std::string, TrueRequest>& truth, int64_t begin_ns, int64_t end_ns) {
  const auto within = [&](int64_t time_ns) { return time_ns >= begin_ns && time_ns < end_ns; };
  const auto us = [](int64_t ns) { return static_cast<double>(ns) * 1e-3; };
  CHECK(report.requests.size() == truth.size());
  Errors errors;
  for (const auto& [name, seen] : report.requests) {
    const TrueRequest& real = truth.at(name);
    const std::vector<int64_t>&a = seen.token_ns, &t = real.token_ns;
    CHECK(a.size() == kTokens && t.size() == kTokens && seen.send_ns < real.arrival_ns);
    if (within(seen.send_ns)) {
      errors.there_us.push_back(us(real.arrival_ns - seen.send_ns));
      errors.ttft_us.push_back(us(std::abs((a[0] - seen.send_ns) - (t[0] - real.arrival_ns))));
    }
    for (size_t k = 0; k < a.size(); ++k) {
      CHECK(a[k] >= t[k]);
      if (!within(t[k])) continue;
      errors.delay_us.push_back(us(a[k] - t[k]));
      if (k > 0) errors.itl_us.push_back(us(std::abs((a[k] - a[k - 1]) - (t[k] - t[k - 1]))));
    }
  }
  return errors;
}

std::string Figure(double value, int decimals = 0) { return fmt::format("{:.{}f}", value, decimals); }

// A row of the table of accuracy.
std::vector<std::string> Measure(const std::string& name, ClientMain client, int streams, double seconds) {
  const ScratchFolder folder;
  const double window_end_s = kRequestS + seconds;
  workload::ArrivalProcess arrivals;
  arrivals.rate_per_s = streams / kRequestS;
  arrivals.seed = static_cast<uint64_t>(streams);
  Plan plan;
  const auto count = static_cast<int64_t>(arrivals.rate_per_s * window_end_s);
  plan.at_s = workload::ScheduleArrivals(arrivals, count).value();
  plan.requests = NamedRequests(count, kTokens);
  plan.connections = static_cast<size_t>(streams + 6 * std::sqrt(streams));
  mock::ServerOptions options;
  options.timed.ttft_s = {kTtftS, 0.3};
  options.timed.tpot_s = {kTpotS, 0.1};
  options.log_file = folder.path() / "truth.jsonl";
  MockProcess server(options);
  plan.origin_ns = SteadyClock().NowNs() + std::llround(kStartUpS * 1e9);
  Usage usage;
  const Report report = Run(client, plan, server, folder.path(), kRequestS, window_end_s, usage);
  server.Stop();
  const auto truth = ReadTruth(options.log_file);
  const Errors errors =
      Compare(report, truth, plan.origin_ns + std::llround(kRequestS * 1e9), plan.origin_ns + std::llround(window_end_s * 1e9));
  const auto tokens = static_cast<double>(count * kTokens);
  std::vector<std::string> row{name, fmt::format("{}", streams), Figure(static_cast<double>(errors.delay_us.size()) / seconds)};
  for (const auto* values : {&errors.ttft_us, &errors.itl_us, &errors.there_us, &errors.delay_us}) {
    for (const double q : {0.5, 0.99}) row.push_back(Figure(QuantileOf(*values, q), 1));
  }
  row.push_back(Figure(report.cpu_s * 1e6 / tokens, 2));
  row.push_back(Figure(usage.server_cores * 100));
  row.push_back(Figure(usage.idle_share * 100));
  return row;
}

void PrintAccuracy(const std::vector<std::vector<std::string>>& rows) {
  const std::vector<TableColumn> columns = {{"", "client", Align::kLeft, true},
                                            {"", "streams", Align::kRight, true},
                                            {"", "tokens/s"},
                                            {"TTFT error, us", "p50"},
                                            {"TTFT error, us", "p99"},
                                            {"ITL error, us", "p50"},
                                            {"ITL error, us", "p99"},
                                            {"way there, us", "p50"},
                                            {"way there, us", "p99"},
                                            {"delay, us", "p50"},
                                            {"delay, us", "p99"},
                                            {"CPU", "us/token"},
                                            {"CPU", "server %"},
                                            {"CPU", "machine idle %"}};
  fmt::print("{}", RenderTable(columns, rows, {.width = 128, .unicode = false}));
}

// How many tokens a client takes, one a write, of a server that always has the next one ready.
std::vector<std::string> Saturate(const std::string& name, ClientMain client, int streams, int64_t tokens) {
  const ScratchFolder folder;
  mock::ServerOptions options;
  options.null_server = true;
  const MockProcess server(options);
  Plan plan;
  plan.requests = NamedRequests(streams, tokens);
  plan.at_s.assign(static_cast<size_t>(streams), 0);
  plan.connections = static_cast<size_t>(streams);
  plan.origin_ns = SteadyClock().NowNs() + std::llround(kStartUpS * 1e9);
  Usage usage;
  const Report report = Run(client, plan, server, folder.path(), 0, 0.1, usage);
  int64_t last_ns = 0;
  CHECK(report.requests.size() == static_cast<size_t>(streams));
  for (const auto& [request, seen] : report.requests) {
    CHECK(seen.token_ns.size() == static_cast<size_t>(tokens));
    last_ns = std::max(last_ns, seen.token_ns.back());
  }
  const auto events = static_cast<double>(streams * tokens);
  const double wall_s = static_cast<double>(last_ns - plan.origin_ns) * 1e-9;
  return {name, fmt::format("{}", streams), Figure(events / wall_s), Figure(report.cpu_s * 1e6 / events, 2)};
}

int Main(int argc, char** argv) {
  const bool peer = argc > 1 && std::string_view(argv[1]) == "peer";
  const int first = peer ? 2 : 1;
  const double seconds = argc > first ? std::atof(argv[first]) : 10;
  std::vector<int> streams;
  for (int i = first + 1; i < argc; ++i) streams.push_back(std::atoi(argv[i]));
  if (streams.empty()) streams = peer ? std::vector{1000} : std::vector{64, 1000, 5000};
  if (seconds < 1 || std::ranges::any_of(streams, [](int count) { return count < 1; }) || (peer && streams.size() > 1)) {
    fmt::print(stderr, "usage: client_accuracy [SECONDS [STREAMS...]] | client_accuracy peer [SECONDS [STREAMS]]\n");
    return 2;
  }
  std::vector<std::vector<std::string>> rows;
  for (const int count : streams) {
    rows.push_back(Measure("moecap", RunOurs, count, seconds));
    if (peer) rows.push_back(Measure("aiohttp", RunAiohttp, count, seconds));
  }
  PrintAccuracy(rows);
  if (!peer) return 0;
  const std::vector<std::vector<std::string>> most = {Saturate("moecap", RunOurs, streams[0], 500),
                                                      Saturate("aiohttp", RunAiohttp, streams[0], 50)};
  fmt::print("\nAt most, one event a write, of a server that never waits:\n{}",
             RenderTable({{"", "client", Align::kLeft, true}, {"", "streams"}, {"", "events/s"}, {"", "CPU us/event"}}, most,
                         {.width = 128, .unicode = false}));
  return 0;
}

}  // namespace
}  // namespace moecap::bench

int main(int argc, char** argv) { return moecap::bench::Main(argc, argv); }
