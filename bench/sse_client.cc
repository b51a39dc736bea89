// CPU per event and events per second of our client against the least any client can do: a raw epoll loop that reads, stamps
// and discards. One scripted server process on core 0 feeds each contender on core 1 the same bytes, one event a write and 64 a
// write. "moecap" reads and counts the tokens; "recorded" is the whole of it, a load::RunClosedLoop whose records hold each
// token's time and id. Beside them a bare Boost.Asio read loop with a buffer per connection. A core that is not 100 % busy
// waited for the server: that contender takes more events a second than were measured.
//
//   sse_client [STREAMS [EVENTS_PER_STREAM [ROUNDS]]]        default 1000 512 5
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "load/closed_loop.h"
#include "mock_process.h"
#include "net/stream_parser.h"
#include "system/openai/openai_system.h"

namespace moecap {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;

struct Shape {
  int streams, events, coalesced;  // events of each stream; events a write
};

struct Cost {
  double cpu_us_per_event = 0, events_per_s = 0;
  double CoreShare() const { return cpu_us_per_event * 1e-6 * events_per_s; }
};

std::string Chunk(const std::string& body) { return fmt::format("{:x}\r\n{}\r\n", body.size(), body); }

std::string Event() {
  return "data: {\"id\":\"cmpl-8f14e45fceea167a5a36dedd4bea2543\",\"object\":\"text_completion\",\"created\":1769817600,"
         "\"model\":\"qwen3-30b-a3b\",\"choices\":[{\"index\":0,\"text\":\" token\",\"logprobs\":null,\"finish_reason\":null,"
         "\"stop_reason\":null,\"token_ids\":[3974]}]}\n\n";
}

std::string LastEvents() {
  return "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";
}

void SendAll(int fd, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t size = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (size <= 0) std::exit(1);
    sent += static_cast<size_t>(size);
  }
}

// The server: takes every stream's request, then sends round-robin as fast as it can.
[[noreturn]] void Serve(int listener, const Shape& shape) {
  std::vector<int> streams;
  std::array<char, 4096> request;
  while (static_cast<int>(streams.size()) < shape.streams) {
    streams.push_back(::accept(listener, nullptr, nullptr));
    const int one = 1;
    ::setsockopt(streams.back(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  for (const int stream : streams) {
    if (::recv(stream, request.data(), request.size(), 0) <= 0) std::exit(1);
  }
  for (const int stream : streams)
    SendAll(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string piece;
  for (int i = 0; i < shape.coalesced; ++i) piece += Chunk(Event());
  for (int round = 0; round < shape.events / shape.coalesced; ++round) {
    for (const int stream : streams) SendAll(stream, piece);
  }
  for (const int stream : streams) SendAll(stream, Chunk(LastEvents()) + "0\r\n\r\n");
  // The client hangs up first, so that its ports are free again at once here.
  for (const int stream : streams) {
    while (::recv(stream, request.data(), request.size(), 0) > 0) {
    }
  }
  std::exit(0);
}

// A server process for one measurement.
class Server {
 public:
  explicit Server(const Shape& shape) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address_), sizeof address_) == 0 && ::listen(listener_, 4096) == 0);
    CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size) == 0);
    std::fflush(nullptr);
    process_ = ::fork();
    if (process_ == 0) {
      bench::PinTo(0);
      Serve(listener_, shape);
    }
    ::close(listener_);
  }
  ~Server() {
    int status = 0;
    ::waitpid(process_, &status, 0);
    CHECK(status == 0);
  }
  uint16_t port() const { return ntohs(address_.sin_port); }
  int Connect() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    CHECK(::connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) == 0);
    return fd;
  }

 private:
  sockaddr_in address_{};
  int listener_;
  pid_t process_;
};

const SteadyClock kClock;

// CPU of this thread and wall time from construction to Stop.
class Meter {
 public:
  Cost Stop(int64_t events) const {
    const double cpu_s = CpuSeconds() - cpu_s_, wall_s = kClock.NowS() - wall_s_;
    return {cpu_s * 1e6 / static_cast<double>(events), static_cast<double>(events) / wall_s};
  }

 private:
  static double CpuSeconds() {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  }
  double cpu_s_ = CpuSeconds(), wall_s_ = kClock.NowS();
};

int64_t TotalEvents(const Shape& shape) { return static_cast<int64_t>(shape.streams) * shape.events; }

// Bytes a stream must have had when nothing was lost.
int64_t StreamBytes(const Shape& shape) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  return static_cast<int64_t>(head.size() + Chunk(Event()).size() * static_cast<size_t>(shape.events) +
                              Chunk(LastEvents()).size() + 5);
}

const std::string kRequest = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";

Cost MeasureRaw(const Shape& shape) {
  const Server server(shape);
  std::vector<int> streams;
  const int poller = ::epoll_create1(0);
  for (int i = 0; i < shape.streams; ++i) {
    streams.push_back(server.Connect());
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = streams.back();
    CHECK(::epoll_ctl(poller, EPOLL_CTL_ADD, streams.back(), &event) == 0);
  }
  const Meter meter;
  for (const int stream : streams) SendAll(stream, kRequest);
  std::vector<char> buffer(kReadBytes);
  std::array<epoll_event, 512> ready;
  int64_t bytes = 0;
  int64_t last_stamp_ns = 0;
  while (bytes < StreamBytes(shape) * shape.streams) {
    const int count = ::epoll_wait(poller, ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < count; ++i) {
      const ssize_t size = ::recv(ready[static_cast<size_t>(i)].data.fd, buffer.data(), buffer.size(), 0);
      last_stamp_ns = kClock.NowNs();
      CHECK(size > 0);
      bytes += size;
    }
  }
  const Cost cost = meter.Stop(TotalEvents(shape));
  CHECK(last_stamp_ns > 0);
  for (const int stream : streams) ::close(stream);
  ::close(poller);
  return cost;
}

namespace asio = boost::asio;

struct AsioStream {
  asio::ip::tcp::socket socket;
  std::vector<char> buffer = std::vector<char>(16384);
  int64_t* bytes = nullptr;
  int64_t stamp_ns = 0;

  void Read() {
    socket.async_read_some(asio::buffer(buffer), [this](boost::system::error_code error, size_t size) {
      stamp_ns = kClock.NowNs();
      if (error) return;
      *bytes += static_cast<int64_t>(size);
      Read();
    });
  }
};

Cost MeasureAsio(const Shape& shape) {
  const Server server(shape);
  asio::io_context loop(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  int64_t bytes = 0;
  std::vector<std::unique_ptr<AsioStream>> streams;
  for (int i = 0; i < shape.streams; ++i) {
    streams.push_back(
        std::make_unique<AsioStream>(AsioStream{asio::ip::tcp::socket(loop, asio::ip::tcp::v4(), server.Connect())}));
    streams.back()->bytes = &bytes;
  }
  const Meter meter;
  for (const auto& stream : streams) {
    SendAll(stream->socket.native_handle(), kRequest);
    stream->Read();
  }
  while (bytes < StreamBytes(shape) * shape.streams) loop.run_one();
  return meter.Stop(TotalEvents(shape));
}

class Counter final : public load::Observer {
 public:
  void OnChunk(uint64_t, const load::Chunk& chunk) override { tokens += chunk.tokens; }
  void OnFinish(uint64_t, load::Completion completion) override {
    CHECK(completion.error.empty());
    ++finished;
  }
  void OnPass(record::PassRecord, int64_t) override {}
  int64_t tokens = 0;
  int finished = 0;
};

std::unique_ptr<openai::OpenAiSystem> ConnectTo(const Server& server, int streams) {
  openai::OpenAiOptions options;
  options.http.urls = {net::ParseUrl(fmt::format("http://127.0.0.1:{}", server.port())).value()};
  options.profile = {openai::Api::kCompletions, openai::ServerKind::kVllm, "m", ""};
  auto system = openai::OpenAiSystem::Create(std::move(options), kClock).value();
  CHECK(system->WarmUp(static_cast<size_t>(streams), 60'000'000'000).ok());
  return system;
}

load::RequestSpec Request(const Shape& shape) {
  load::RequestSpec request;
  request.prompt = "hi";
  request.max_output_tokens = shape.events;
  request.deadlines = {.first_token_ns = 60'000'000'000, .idle_ns = 60'000'000'000, .total_ns = 600'000'000'000};
  return request;
}

Cost MeasureOurs(const Shape& shape) {
  const Server server(shape);
  const auto system = ConnectTo(server, shape.streams);
  const load::RequestSpec request = Request(shape);
  Counter counter;
  const Meter meter;
  for (int i = 0; i < shape.streams; ++i) CHECK(system->Submit(request, static_cast<uint64_t>(i)).ok());
  while (counter.finished < shape.streams) CHECK(system->Advance(counter, load::kNever).ok());
  const Cost cost = meter.Stop(TotalEvents(shape));
  CHECK(counter.tokens == TotalEvents(shape));
  return cost;
}

Cost MeasureRecorded(const Shape& shape) {
  const Server server(shape);
  const auto system = ConnectTo(server, shape.streams);
  const std::vector<load::RequestSpec> requests(static_cast<size_t>(shape.streams), Request(shape));
  load::ClosedLoopOptions options;
  options.clients = shape.streams;
  const Meter meter;
  const auto result = load::RunClosedLoop(*system, requests, options, kClock);
  const Cost cost = meter.Stop(TotalEvents(shape));
  CHECK(result.ok());
  for (const record::RequestRecord& request : result->requests) {
    CHECK(request.ok() && request.token_s.size() == static_cast<size_t>(shape.events));
  }
  return cost;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string WithRange(const std::vector<double>& values) {
  return fmt::format("{:.2f} ({:.2f}-{:.2f})", Median(values), *std::ranges::min_element(values),
                     *std::ranges::max_element(values));
}

double PeakMegabytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

struct Contender {
  const char* name;
  Cost (*measure)(const Shape&);
};
constexpr Contender kContenders[] = {
    {"raw epoll", MeasureRaw}, {"moecap", MeasureOurs}, {"recorded", MeasureRecorded}, {"bare Asio", MeasureAsio}};

// Rounds interleave the contenders, so that a slow drift of the machine touches all alike; ratios are taken within a round.
void Compare(const Shape& shape, int rounds) {
  constexpr size_t kCount = std::size(kContenders);
  std::array<std::vector<double>, kCount> cpu, rate, core, cpu_ratio, rate_ratio;
  std::array<double, kCount> memory_mb{};  // the most so far, after the contender's first round
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < kCount; ++i) {
      const Cost cost = kContenders[i].measure(shape);
      if (round == 0) memory_mb[i] = PeakMegabytes();
      cpu[i].push_back(cost.cpu_us_per_event);
      rate[i].push_back(cost.events_per_s);
      core[i].push_back(100 * cost.CoreShare());
      cpu_ratio[i].push_back(cost.cpu_us_per_event / cpu[0].back());
      rate_ratio[i].push_back(cost.events_per_s / rate[0].back());
    }
  }
  fmt::print("{} streams, {} events a write; median of {} rounds, of ratios also least and most\n", shape.streams,
             shape.coalesced, rounds);
  fmt::print("  {:<10} {:>12} {:>18} {:>12} {:>18} {:>12} {:>12}\n", "", "CPU us/event", "ratio", "events/s", "ratio",
             "core busy %", "peak MB then");
  for (size_t i = 0; i < kCount; ++i) {
    fmt::print("  {:<10} {:>12.3f} {:>18} {:>12.0f} {:>18} {:>12.0f} {:>12.0f}\n", kContenders[i].name, Median(cpu[i]),
               WithRange(cpu_ratio[i]), Median(rate[i]), WithRange(rate_ratio[i]), Median(core[i]), memory_mb[i]);
  }
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  const int streams = argc > 1 ? std::atoi(argv[1]) : 1000;
  const int events = argc > 2 ? std::atoi(argv[2]) : 512;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  if (streams < 1 || events < 64 || events % 64 != 0 || rounds < 1) {
    fmt::print(stderr, "usage: sse_client [STREAMS [EVENTS_PER_STREAM [ROUNDS]]]; events a multiple of 64\n");
    return 2;
  }
  moecap::bench::RaiseFileLimit();
  moecap::bench::PinTo(1);
  moecap::Compare({streams, events, 1}, rounds);
  moecap::Compare({streams, events * 8, 64}, rounds);
  return 0;
}
