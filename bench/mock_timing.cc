// How exactly the mock writes tokens at their time, and how fast it answers: a reader process that reads and discards, on a
// core of its own where there is one. Prints JSON lines; nothing is judged.
//   mock_timing [STREAMS] [TOKENS_PER_S] [SECONDS]
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "mock/server.h"

namespace moecap {
namespace {

void PinTo(unsigned core) {
  if (std::thread::hardware_concurrency() < 2) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  ::sched_setaffinity(0, sizeof cores, &cores);
}

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int Connect(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

std::string Request(int64_t tokens) {
  const std::string body = fmt::format(R"({{"prompt":[5,6,7],"max_tokens":{},"stream":true}})", tokens);
  return fmt::format("POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{}", body.size(), body);
}

struct Load {
  int port = 0;
  int streams = 0;
  int64_t tokens = 0;   // of a request
  double ramp_s = 0;    // over which the streams start
  double repeat_s = 0;  // > 0: each stream sends its next request when one ends, until then
};

// What a reader counted; it crosses the pipe between the processes as it is.
struct ReaderResult {
  int64_t reads = 0;
  int64_t bytes = 0;
  int64_t answers = 0;
  double wall_s = 0;
  double cpu_s = 0;
};

// The end of an answer, wherever reads are cut.
class EndFinder {
 public:
  bool Take(const char* data, size_t size) {
    tail_.append(data + (size > 5 ? size - 5 : 0), std::min<size_t>(size, 5));
    if (tail_.size() > 5) tail_.erase(0, tail_.size() - 5);
    return tail_ == "0\r\n\r\n";
  }

 private:
  std::string tail_;
};

ReaderResult Read(const Load& load) {
  const SteadyClock clock;
  const std::string request = Request(load.tokens);
  const int epoll = ::epoll_create1(0);
  std::vector<int> fds;
  std::vector<EndFinder> ends(static_cast<size_t>(load.streams));
  for (int i = 0; i < load.streams; ++i) {
    fds.push_back(Connect(load.port));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<uint64_t>(i);
    CHECK(::epoll_ctl(epoll, EPOLL_CTL_ADD, fds.back(), &event) == 0);
  }
  std::vector<char> buffer(1 << 16);
  std::array<epoll_event, 256> events;
  ReaderResult result;
  const double start = clock.NowS();
  int sent = 0;
  int open = load.streams;
  while (open > 0) {
    const double now = clock.NowS() - start;
    for (; sent < load.streams && load.ramp_s * sent <= now * load.streams; ++sent) {
      CHECK(::send(fds[static_cast<size_t>(sent)], request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    }
    const int count = ::epoll_wait(epoll, events.data(), events.size(), sent < load.streams ? 0 : 100);
    for (int i = 0; i < count; ++i) {
      const size_t stream = events[static_cast<size_t>(i)].data.u64;
      const ssize_t size = ::recv(fds[stream], buffer.data(), buffer.size(), 0);
      CHECK(size > 0);
      ++result.reads;
      result.bytes += size;
      if (!ends[stream].Take(buffer.data(), static_cast<size_t>(size))) continue;
      ++result.answers;
      if (clock.NowS() - start < load.repeat_s) {
        CHECK(::send(fds[stream], request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
      } else {
        --open;
      }
    }
  }
  result.wall_s = clock.NowS() - start;
  for (const int fd : fds) ::close(fd);
  result.cpu_s = CpuSeconds();
  return result;
}

// Runs `load` in a child on the second core against a server of `options` in this process.
void Measure(const std::string& name, mock::ServerOptions options, Load load) {
  options.model.vocab = 32000;
  options.model_name = "mock";
  const double cpu_before = CpuSeconds();
  std::array<int, 2> ports{}, results{};
  CHECK(::pipe(ports.data()) == 0 && ::pipe(results.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    PinTo(1);
    CHECK(::read(ports[0], &load.port, sizeof load.port) == sizeof load.port);
    const ReaderResult result = Read(load);
    CHECK(::write(results[1], &result, sizeof result) == sizeof result);
    ::_exit(0);
  }
  PinTo(0);
  auto server = mock::Server::Start(options);
  CHECK(server.ok());
  const int port = (*server)->port();
  CHECK(::write(ports[1], &port, sizeof port) == sizeof port);
  ReaderResult read;
  CHECK(::read(results[0], &read, sizeof read) == sizeof read);
  ::waitpid(child, nullptr, 0);
  (*server)->Stop();
  const mock::Lateness late = (*server)->lateness();
  const double events = static_cast<double>(read.answers * load.tokens);
  fmt::print(
      R"({{"case":"{}","streams":{},"answers":{},"tokens":{},"wall_s":{:.3f},"tokens_per_s":{:.0f},"answers_per_s":{:.0f},)"
      R"("send_error_p50_us":{:.1f},"send_error_p99_us":{:.1f},"send_error_max_us":{:.1f},"server_cpu_share":{:.3f},)"
      R"("reader_cpu_share":{:.3f},"reads":{},"bytes":{}}})"
      "\n",
      name, load.streams, read.answers, events, read.wall_s, events / read.wall_s,
      static_cast<double>(read.answers) / read.wall_s, late.p50_us, late.p99_us, late.max_us,
      (CpuSeconds() - cpu_before) / read.wall_s, read.cpu_s / read.wall_s, read.reads, read.bytes);
  std::fflush(stdout);
  for (const int fd : {ports[0], ports[1], results[0], results[1]}) ::close(fd);
}

int Main(int argc, char** argv) {
  const int streams = argc > 1 ? std::atoi(argv[1]) : 5000;
  const double rate = argc > 2 ? std::atof(argv[2]) : 20;
  const double seconds = argc > 3 ? std::atof(argv[3]) : 10;
  CHECK(streams > 0 && rate > 0 && seconds > 0);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);

  mock::ServerOptions paced;
  paced.timed.ttft_s = {0.1, 0};
  paced.timed.tpot_s = {1 / rate, 0};
  // No multiple of the time between tokens, so that the streams' tokens spread evenly over it.
  constexpr double kRampS = 1.618034;
  Measure("paced", paced, {0, streams, static_cast<int64_t>(seconds * rate), kRampS, 0});
  mock::ServerOptions instant;
  Measure("requests", instant, {0, 64, 8, 0, seconds / 3});
  mock::ServerOptions null_server;
  null_server.null_server = true;
  Measure("null", null_server, {0, 64, 1000, 0, seconds / 3});
  null_server.events_per_write = 64;
  Measure("null, 64 events a write", null_server, {0, 64, 6400, 0, seconds / 3});
  return 0;
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) { return moecap::Main(argc, argv); }
