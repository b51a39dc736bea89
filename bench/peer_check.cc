// Our client against a real llama-server: what we count and time for each request beside what the server itself reports for it.
// docs/howto/peer_check.md defines the columns. Exit code 1 when a count differs or a median is off by more than 3 %.
//
//   peer_check LLAMA_SERVER MODEL.gguf PROBLEMS.jsonl [REQUESTS]        default 256 at 64 clients, a quarter of it at one
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/table.h"
#include "load/closed_loop.h"
#include "net/http_client.h"
#include "peer_wire.h"
#include "stats/summary.h"
#include "system/openai/discovery.h"
#include "system/openai/openai_system.h"

namespace moecap {
namespace {

constexpr double kMostDeviation = 0.03;  // of a median
constexpr int64_t kLimitNs = 120'000'000'000;
constexpr int kManyClients = 64;
constexpr int kSlotTokens = 512;  // the shipped model's context

// A loopback port that nobody uses at the moment.
int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// llama-server with a slot for each of many clients and one compute thread, so that it leaves a core to the client.
class ServerProcess {
 public:
  ServerProcess(const std::string& program, const std::string& model) : port_(FreePort()) {
    const std::vector<std::string> words = {program,
                                            "-m",
                                            model,
                                            "--host",
                                            "127.0.0.1",
                                            "--port",
                                            std::to_string(port_),
                                            "-np",
                                            std::to_string(kManyClients),
                                            "-c",
                                            std::to_string(kManyClients * kSlotTokens),
                                            "-t",
                                            "1",
                                            "-tb",
                                            "1",
                                            "--metrics",
                                            "--offline",
                                            "--no-ui"};
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int nowhere = ::open("/dev/null", O_RDWR);
      for (const int fd : {0, 1, 2}) ::dup2(nowhere, fd);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    CHECK(pid_ > 0);
    command_ = fmt::format("{}", fmt::join(words, " "));
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() {
    if (!running_) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  bool Running() {
    running_ = running_ && ::waitpid(pid_, nullptr, WNOHANG) == 0;
    return running_;
  }
  std::string Url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  const std::string& command() const { return command_; }

 private:
  int port_;
  pid_t pid_ = -1;
  bool running_ = true;
  std::string command_;
};

// Hands everything through and keeps what each request completed with, for the server's own counts.
class CompletionKeeper final : public load::SystemUnderTest, load::Observer {
 public:
  CompletionKeeper(load::SystemUnderTest& system, size_t requests) : system_(system), completions_(requests) {}

  Status Validate(const load::RequestSpec& request) override { return system_.Validate(request); }
  Status Submit(const load::RequestSpec& request, uint64_t ticket) override { return system_.Submit(request, ticket); }
  Status Advance(load::Observer& observer, int64_t until_ns) override {
    observer_ = &observer;
    return system_.Advance(*this, until_ns);
  }
  void Cancel(uint64_t ticket) override { system_.Cancel(ticket); }
  void CancelAll() override { system_.CancelAll(); }

  const load::Completion& completion(size_t ticket) const { return completions_[ticket]; }

 private:
  void OnChunk(uint64_t ticket, const load::Chunk& chunk) override { observer_->OnChunk(ticket, chunk); }
  void OnFinish(uint64_t ticket, load::Completion completion) override {
    completions_[ticket] = completion;
    observer_->OnFinish(ticket, std::move(completion));
  }
  void OnPass(record::PassRecord pass, int64_t start_ns) override { observer_->OnPass(std::move(pass), start_ns); }

  load::SystemUnderTest& system_;
  load::Observer* observer_ = nullptr;
  std::vector<load::Completion> completions_;
};

struct Case {
  openai::Api api = openai::Api::kCompletions;
  bool stream = true;
  int clients = 1;
  bool to_natural_end = false;  // problems of the data set until the model ends; else random prompts, length told
};

// Samples of all requests of a case.
struct Agreement {
  int64_t requests = 0;
  int64_t failed = 0;
  int64_t count_mismatches = 0;
  int64_t resent = 0;  // the server closed the connection as the request went out
  int64_t output_tokens = 0;
  std::vector<double> wait_s;         // from the request sent until the server began with it; streams only
  std::vector<double> prefill_ratio;  // ours to the server's
  std::vector<double> ttft_ratio;
  std::vector<double> tpot_ratio;
  std::vector<double> e2e_ratio;
  std::vector<double> server_s;  // prefill and decode as the server says, of each e2e_ratio
  std::string first_failure;
};

std::vector<load::RequestSpec> MakeRequests(const Case& test, const std::vector<std::string>& problems, size_t count) {
  Rng rng(7);
  std::vector<load::RequestSpec> requests;
  for (size_t i = 0; i < count; ++i) {
    load::RequestSpec request;
    request.id = std::to_string(i);
    request.cache_salt = "off";  // prompt_n is then the whole prompt
    request.stream = test.stream;
    if (test.to_natural_end) {
      request.prompt = problems[i % problems.size()];
      request.max_output_tokens = 240;
    } else {
      // As ids, which cost the server no time before its clock starts; the shipped model's id of a digit is its character.
      const uint64_t prompt_tokens = 256 + rng.Below(65);
      for (uint64_t digit = 0; digit < prompt_tokens; ++digit)
        request.prompt_token_ids.push_back('0' + static_cast<int32_t>(rng.Below(10)));
      request.max_output_tokens = 64 + static_cast<int64_t>(rng.Below(65));
      request.ignore_end_token = true;
    }
    if (openai::IsChat(test.api)) {
      for (const int32_t id : std::exchange(request.prompt_token_ids, {})) request.prompt += static_cast<char>(id);
      request.messages = {{"user", std::exchange(request.prompt, "")}};
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

void Judge(const load::RequestSpec& request, const record::RequestRecord& ours, const load::Completion& server,
           Agreement& agreement) {
  ++agreement.requests;
  agreement.output_tokens += ours.output_tokens;
  agreement.resent += ours.retries;
  if (!ours.ok()) {
    ++agreement.failed;
    if (agreement.first_failure.empty()) agreement.first_failure = ours.error;
    return;
  }
  const auto sent = static_cast<int64_t>(request.prompt_token_ids.size());
  const bool counts_agree = server.output_tokens == ours.output_tokens && ours.input_tokens > 0 &&
                            (sent == 0 || ours.input_tokens == sent) &&
                            static_cast<size_t>(ours.output_tokens) == ours.token_s.size() && ours.cached_input_tokens == 0;
  if (!counts_agree) {
    ++agreement.count_mismatches;
    if (agreement.first_failure.empty()) {
      agreement.first_failure =
          fmt::format("request {}: {} tokens counted, {} stamped, the server says {}; {} prompt tokens, {} cached", ours.id,
                      ours.output_tokens, ours.token_s.size(), server.output_tokens.value_or(-1), ours.input_tokens,
                      ours.cached_input_tokens.value_or(-1));
    }
    return;
  }
  const double prefill_s = ours.server_prefill_s.value_or(NAN);
  const double decode_s = ours.server_decode_s.value_or(NAN);
  const double sent_s = ours.sent_s.value_or(NAN);
  agreement.e2e_ratio.push_back((ours.end_s.value_or(NAN) - sent_s) / (prefill_s + decode_s));
  agreement.server_s.push_back(prefill_s + decode_s);
  const double headers_s = ours.headers_s.value_or(NAN);
  const int32_t first_chunk = ours.chunk_tokens.empty() ? 1 : ours.chunk_tokens.front();
  const auto n = static_cast<double>(ours.output_tokens);
  if (n <= first_chunk) return;
  agreement.wait_s.push_back(headers_s - sent_s);
  agreement.prefill_ratio.push_back((ours.token_s.front() - headers_s) / prefill_s);
  agreement.ttft_ratio.push_back((ours.token_s.front() - sent_s) / prefill_s);
  const double tpot_s = (ours.token_s.back() - ours.token_s.front()) / (n - first_chunk);
  agreement.tpot_ratio.push_back(tpot_s / (decode_s / (n - 1)));
}

Result<Agreement> Run(const Case& test, const net::HttpClientOptions& http, const std::string& model,
                      const std::vector<std::string>& problems, size_t count) {
  const SteadyClock clock;
  openai::OpenAiOptions options;
  options.http = http;
  options.profile.api = test.api;
  options.profile.server = openai::ServerKind::kLlamaServer;
  options.profile.model = model;
  options.default_deadlines.total_ns = kLimitNs;
  ASSIGN_OR_RETURN(const auto system, openai::OpenAiSystem::Create(options, clock));
  RETURN_IF_ERROR(system->WarmUp(static_cast<size_t>(test.clients), kLimitNs));
  const std::vector<load::RequestSpec> requests = MakeRequests(test, problems, count);
  load::ClosedLoopOptions loop;
  loop.clients = test.clients;
  const auto warm_up = std::span(requests).first(static_cast<size_t>(test.clients));
  RETURN_IF_ERROR(load::RunClosedLoop(*system, warm_up, loop, clock));
  CompletionKeeper keeper(*system, requests.size());
  ASSIGN_OR_RETURN(const load::LoadResult result, load::RunClosedLoop(keeper, requests, loop, clock));
  Agreement agreement;
  for (size_t i = 0; i < result.requests.size(); ++i) Judge(requests[i], result.requests[i], keeper.completion(i), agreement);
  return agreement;
}

// The median deviation, "+0.42", and the 99th percentile of the absolute ones, "1.9", in percent; "-" without samples.
std::pair<std::string, std::string> Deviations(const std::vector<double>& ratios) {
  if (ratios.empty()) return {"-", "-"};
  std::vector<double> sorted = ratios, absolute;
  std::ranges::sort(sorted);
  for (const double ratio : sorted) absolute.push_back(std::abs(ratio - 1));
  std::ranges::sort(absolute);
  return {fmt::format("{:+.2f}", 100 * (stats::Quantile(sorted, 0.5) - 1)),
          fmt::format("{:.1f}", 100 * stats::Quantile(absolute, 0.99))};
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return stats::Quantile(values, 0.5);
}

bool WithinBounds(const std::vector<double>& ratios) {
  return !ratios.empty() && std::abs(Median(ratios) - 1) <= kMostDeviation;
}

// What is judged: of a stream, the two spans that the server times too. A whole answer does not show when the server began with
// it: at one client the wait of the streams before it, `wait_s`, stands for that; at 64 the server's spans must fit into ours.
bool Agrees(const Case& test, const Agreement& agreement, double wait_s) {
  if (agreement.failed > 0 || agreement.count_mismatches > 0) return false;
  if (test.stream) return WithinBounds(agreement.prefill_ratio) && WithinBounds(agreement.tpot_ratio);
  if (test.clients > 1) return std::ranges::min(agreement.e2e_ratio) >= 1;
  std::vector<double> ratios;
  for (size_t i = 0; i < agreement.e2e_ratio.size(); ++i)
    ratios.push_back(agreement.e2e_ratio[i] - wait_s / agreement.server_s[i]);
  return WithinBounds(ratios);
}

std::vector<std::string> Row(const Case& test, const Agreement& agreement, bool agrees) {
  std::vector<std::string> row = {
      std::string(openai::Name(test.api)),
      test.stream ? "stream" : "whole",
      test.to_natural_end ? "end token" : "length",
      std::to_string(test.clients),
      std::to_string(agreement.requests),
      std::to_string(agreement.output_tokens),
      std::to_string(agreement.count_mismatches + agreement.failed),
      std::to_string(agreement.resent),
      test.stream && !agreement.wait_s.empty() ? fmt::format("{:.2f}", 1e3 * Median(agreement.wait_s)) : "-"};
  for (const auto* ratios : {&agreement.prefill_ratio, &agreement.tpot_ratio, &agreement.ttft_ratio, &agreement.e2e_ratio}) {
    const auto [median, p99] = Deviations(*ratios);
    row.push_back(median);
    row.push_back(p99);
  }
  row.push_back(agrees ? "yes" : "NO");
  return row;
}

std::vector<TableColumn> Columns() {
  std::vector<TableColumn> columns = {{"", "api", Align::kLeft, true},
                                      {"", "answer", Align::kLeft, true},
                                      {"", "until", Align::kLeft, true},
                                      {"", "clients"},
                                      {"", "requests"},
                                      {"", "tokens"},
                                      {"", "wrong"},
                                      {"", "resent"},
                                      {"", "wait ms"}};
  for (const char* figure : {"prefill", "TPOT", "TTFT", "E2E"}) {
    columns.push_back({figure, "p50 %"});
    columns.push_back({figure, "p99 %"});
  }
  columns.push_back({"", "agrees"});
  return columns;
}

std::vector<Case> Cases() {
  using openai::Api;
  std::vector<Case> cases;
  for (const bool to_natural_end : {false, true}) {
    for (const Api api : {Api::kCompletions, Api::kChat, Api::kLlamaServer}) {
      for (const bool stream : {true, false}) {
        for (const int clients : {1, kManyClients}) {
          if (!to_natural_end || clients == kManyClients) cases.push_back({api, stream, clients, to_natural_end});
        }
      }
    }
  }
  return cases;
}

Result<std::vector<std::string>> ReadProblems(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<std::string> problems;
  for (size_t begin = 0; begin < text.size() && problems.size() < 256;) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ASSIGN_OR_RETURN(const Json line, ParseJson(std::string_view(text).substr(begin, end - begin)));
    problems.push_back("Question: " + line.value("question", "") + "\nAnswer:");
    begin = end + 1;
  }
  if (problems.empty()) return BadInput(path + " holds no problem");
  return problems;
}

// Whether everything agreed.
Result<bool> Main(const std::string& program, const std::string& model, const std::string& problems_path, size_t requests) {
  const SteadyClock clock;
  ServerProcess server(program, model);
  const std::string url = server.Url();
  net::HttpClientOptions http;
  ASSIGN_OR_RETURN(const net::Url parsed, net::ParseUrl(url));
  http.urls = {parsed};
  ASSIGN_OR_RETURN(const std::vector<std::string> problems, ReadProblems(problems_path));
  ASSIGN_OR_RETURN(const auto client, net::HttpClient::Create(http, clock));
  ASSIGN_OR_RETURN(const std::string loading, peer::WaitUntilReady(*client, clock, [&server] { return server.Running(); }));
  ASSIGN_OR_RETURN(const openai::ServerIdentity identity, openai::IdentifyServer(*client, url, kLimitNs));
  fmt::print("{} {}: {}\n\n", openai::Name(identity.kind), identity.version, server.command());
  if (identity.kind != openai::ServerKind::kLlamaServer || identity.models.size() != 1)
    return BadInput(url + " is no llama-server with one model");

  ASSIGN_OR_RETURN(bool all_agree, peer::CheckWire(*client, identity.models.front(), loading));
  std::vector<std::vector<std::string>> rows;
  double wait_s = 0;
  for (const Case& test : Cases()) {
    const size_t count = test.clients == 1 ? std::max<size_t>(requests / 4, 8) : requests;
    ASSIGN_OR_RETURN(const Agreement agreement, Run(test, http, identity.models.front(), problems, count));
    if (test.stream && test.clients == 1 && !agreement.wait_s.empty()) wait_s = Median(agreement.wait_s);
    const bool agrees = Agrees(test, agreement, wait_s);
    all_agree = all_agree && agrees;
    rows.push_back(Row(test, agreement, agrees));
    if (!agreement.first_failure.empty()) fmt::print("{} {}: {}\n", rows.back()[0], rows.back()[1], agreement.first_failure);
    std::fflush(stdout);
  }
  TableOptions table;
  table.width = 200;
  table.unicode = false;
  fmt::print("\n{}", RenderTable(Columns(), rows, table));
  return all_agree;
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: peer_check LLAMA_SERVER MODEL.gguf PROBLEMS.jsonl [REQUESTS]\n");
    return 2;
  }
  const int requests = argc > 4 ? std::atoi(argv[4]) : 256;
  const auto result = moecap::Main(argv[1], argv[2], argv[3], static_cast<size_t>(std::max(requests, moecap::kManyClients)));
  if (!result.ok()) {
    fmt::print(stderr, "peer_check: {}\n", result.error().message);
    return result.error().kind == moecap::ErrorKind::kBadInput ? 2 : 1;
  }
  return *result ? 0 : 1;
}
