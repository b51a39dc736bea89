#include "mock/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/fs.h"
#include "mock/event_loop.h"

namespace moecap::mock {
namespace {

// One listening socket; -1 never comes back.
Result<int> Listen(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), fmt::format("{}", port).c_str(), &hints, &found);
  if (error != 0) return BadInput(fmt::format("--host {}: {}", host, ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed(fmt::format("no socket: {}", std::strerror(errno)));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, 16384) != 0) {
    const int reason = errno;
    ::close(fd);
    const char* remedy = reason == EADDRINUSE ? "; choose another --port, or 0 for any free one" : "";
    return BadInput(fmt::format("cannot listen on {}:{}: {}{}", host, port, std::strerror(reason), remedy));
  }
  return fd;
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  // The port lies at the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

class RunningServer final : public Server {
 public:
  RunningServer(std::unique_ptr<Shared> shared, int listener) : shared_(std::move(shared)), listener_(listener) {}
  ~RunningServer() override {
    Stop();
    ::close(listener_);
  }

  Status AddLoops() {
    const ServerOptions& options = shared_->options;
    for (int i = 0; i < options.threads; ++i) {
      std::unique_ptr<Engine> engine;
      const EngineModel* simulated = nullptr;
      if (options.simulated) {
        ASSIGN_OR_RETURN(auto model, EngineModel::Create(options.model, *options.simulated));
        simulated = model.get();
        engine = std::move(model);
      } else {
        engine = std::make_unique<TimedEngine>(options.timed);
      }
      loops_.push_back(std::make_unique<EventLoop>(*shared_, i, std::move(engine), simulated, i == 0 ? listener_ : -1,
                                                   [this](int fd) { HandOver(fd); }));
      shared_->counters.push_back(&loops_.back()->counters());
    }
    return {};
  }

  void StartThreads() {
    for (const auto& loop : loops_) threads_.emplace_back([&loop] { loop->Run(); });
  }

  int port() const override { return PortOf(listener_); }
  std::string url() const override {
    const bool v6 = shared_->options.host.find(':') != std::string::npos;
    return fmt::format("{}://{}{}{}:{}", shared_->tls ? "https" : "http", v6 ? "[" : "", shared_->options.host, v6 ? "]" : "",
                       port());
  }

  void Stop() override {
    if (threads_.empty()) return;
    shared_->stop = true;
    for (const auto& loop : loops_) loop->Wake();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    const Lateness late = lateness();
    shared_->log->AddLine(
        fmt::format(R"({{"record":"end","tokens":{},"late_p50_us":{:.3f},"late_p99_us":{:.3f},"late_max_us":{:.3f}}})",
                    late.tokens, late.p50_us, late.p99_us, late.max_us));
    shared_->log.reset();
  }

  Lateness lateness() const override {
    LatenessHistogram sum;
    for (const auto& loop : loops_) loop->lateness().AddTo(sum);
    return sum.Summarize();
  }

 private:
  // Round robin; only the first loop's thread calls this.
  void HandOver(int fd) { loops_[next_loop_++ % loops_.size()]->Adopt(fd); }

  std::unique_ptr<Shared> shared_;
  int listener_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::vector<std::thread> threads_;
  size_t next_loop_ = 0;
};

void LogStart(const Shared& shared) {
  const ServerOptions& options = shared.options;
  std::string model;
  AppendJsonString(options.model_name, model);
  shared.log->AddLine(fmt::format(
      R"({{"record":"server","schema":1,"epoch_ns":{},"model":{},"dialect":"{}","threads":{},"seed":{},"engine":"{}",)"
      R"("tokens_per_chunk":{},"events_per_write":{}}})",
      shared.epoch_ns, model, Name(options.dialect), options.threads, options.seed,
      options.simulated     ? "roofline"
      : options.null_server ? "null"
                            : "timed",
      options.tokens_per_chunk, options.events_per_write));
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  CHECK(options.threads >= 1 && options.model.vocab > kFirstWordToken);
  RaiseOpenFileLimit();
  auto shared = std::make_unique<Shared>();
  shared->options = options;
  shared->options.timed.vocab = options.model.vocab;
  if (!options.tls_certificate_file.empty()) {
    ASSIGN_OR_RETURN(shared->tls, TlsContext::Load(options.tls_certificate_file, options.tls_key_file));
  }
  if (options.simulated) {
    // Before anything is opened: does the model fit?
    ASSIGN_OR_RETURN([[maybe_unused]] const auto engine, EngineModel::Create(options.model, *options.simulated));
  }
  ASSIGN_OR_RETURN(const int listener, Listen(options.host, options.port));
  auto log = ServerLog::Open(options.log_file, options.passes_file);
  if (!log.ok()) {
    ::close(listener);
    return log.error();
  }
  shared->log = std::move(log).value();
  shared->epoch_ns = SteadyClock().NowNs();
  LogStart(*shared);
  auto server = std::make_unique<RunningServer>(std::move(shared), listener);
  RETURN_IF_ERROR(server->AddLoops());
  server->StartThreads();
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace moecap::mock
