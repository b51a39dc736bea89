#include "mock_process.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/check.h"
#include "base/json.h"
#include "stats/summary.h"

namespace moecap::bench {

ScratchFolder::ScratchFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "moecap-bench-XXXXXX";
  CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}
ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void PinTo(unsigned core) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) <= static_cast<long>(core)) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  ::sched_setaffinity(0, sizeof cores, &cores);
}

void RaiseFileLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

MockProcess::MockProcess(mock::ServerOptions options) {
  std::array<int, 2> ready{}, stop{};
  CHECK(::pipe(ready.data()) == 0 && ::pipe(stop.data()) == 0);
  std::fflush(nullptr);
  process_ = ::fork();
  CHECK(process_ >= 0);
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(ready[0]);
    ::close(stop[1]);
    PinTo(0);
    options.model.vocab = 32000;
    options.model_name = "mock";
    auto server = mock::Server::Start(options);
    CHECK(server.ok());
    const int port = (*server)->port();
    CHECK(::write(ready[1], &port, sizeof port) == sizeof port);
    char byte = 0;
    while (::read(stop[0], &byte, 1) < 0) {
    }
    (*server)->Stop();
    ::_exit(0);
  }
  ::close(ready[1]);
  ::close(stop[0]);
  stop_pipe_ = stop[1];
  CHECK(::read(ready[0], &port_, sizeof port_) == sizeof port_);
  ::close(ready[0]);
}

MockProcess::~MockProcess() { Stop(); }

void MockProcess::Stop() {
  if (process_ < 0) return;
  ::close(stop_pipe_);
  int status = 0;
  CHECK(::waitpid(process_, &status, 0) == process_ && status == 0);
  process_ = -1;
}

std::string MockProcess::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

std::map<std::string, TrueRequest> ReadTruth(const std::filesystem::path& log) {
  std::map<std::string, TrueRequest> requests;
  std::ifstream file(log);
  CHECK(file.good());
  for (std::string line; std::getline(file, line);) {
    const Json record = ParseJson(line).value();
    if (record["record"] != "request") continue;
    CHECK(record["outcome"] == "complete" && record.contains("cache_salt"));
    TrueRequest request{record["arrival_ns"], record["token_ns"]};
    const bool is_new = requests.emplace(record["cache_salt"], std::move(request)).second;
    CHECK(is_new);
  }
  return requests;
}

std::vector<load::RequestSpec> NamedRequests(int64_t count, int64_t output_tokens) {
  std::vector<load::RequestSpec> requests(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    load::RequestSpec& request = requests[static_cast<size_t>(i)];
    request.id = request.cache_salt = fmt::format("r{}", i);
    request.prompt_token_ids = {static_cast<int32_t>(5 + i % 30000), static_cast<int32_t>(5 + i / 30000)};
    request.max_output_tokens = output_tokens;
    request.ignore_end_token = true;
  }
  return requests;
}

std::unique_ptr<openai::OpenAiSystem> ConnectTo(const std::string& url, size_t connections, const Clock& clock) {
  openai::OpenAiOptions options;
  options.http.urls = {net::ParseUrl(url).value()};
  options.profile.api = openai::Api::kCompletions;
  options.profile.server = openai::ServerKind::kVllm;
  options.profile.model = "mock";
  options.http.idle_discard_ns = net::kNoLimit;
  auto system = openai::OpenAiSystem::Create(std::move(options), clock).value();
  CHECK(system->WarmUp(connections, 60'000'000'000).ok());
  return system;
}

void SleepUntil(int64_t time_ns) {
  const timespec time{time_ns / 1'000'000'000, time_ns % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
  }
}

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

double CpuSecondsOf(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string line;
  std::getline(file, line);
  // The name, in brackets, may hold spaces; user and system time are the 12th and 13th fields behind it.
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  CHECK(fields.good());
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

MachineTime MachineTimeNow() {
  std::ifstream file("/proc/stat");
  std::string name;
  file >> name;
  // user nice system idle iowait irq softirq steal
  std::array<int64_t, 8> ticks{};
  for (int64_t& tick : ticks) file >> tick;
  CHECK(file.good());
  const double hz = static_cast<double>(::sysconf(_SC_CLK_TCK));
  MachineTime time;
  for (const int64_t tick : ticks) time.total_s += static_cast<double>(tick) / hz;
  time.idle_s = static_cast<double>(ticks[3] + ticks[4]) / hz;
  return time;
}

double QuantileOf(std::vector<double> values, double q) {
  CHECK(!values.empty());
  std::ranges::sort(values);
  return stats::Quantile(values, q);
}

}  // namespace moecap::bench
