// One replica: an epoll loop with its engine and its connections. Private to server.cc.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <vector>

#include "mock/connection.h"
#include "mock/counters.h"
#include "mock/http_request.h"
#include "mock/info_routes.h"
#include "mock/lateness.h"
#include "mock/server.h"

namespace moecap::mock {

// What the loops of a server have in common.
struct Shared {
  ServerOptions options;
  std::unique_ptr<TlsContext> tls;  // null: plain
  std::unique_ptr<ServerLog> log;
  PassQueue passes;
  std::vector<Counters*> counters;  // of all loops
  int64_t epoch_ns = 0;             // time 0 of the engines
  std::atomic<int64_t> first_request_ns{0};
  std::atomic<uint64_t> next_answer{1};
  std::atomic<bool> stop{false};
};

// Request ids carry the file descriptor of their connection.
uint64_t RequestId(int fd, uint64_t number);
int FdOf(uint64_t request);

class EventLoop {
 public:
  // `listener` is -1 for loops that only get connections handed over. `hand_over` takes a new connection to its loop.
  EventLoop(Shared& shared, int replica, std::unique_ptr<Engine> engine, const EngineModel* simulated, int listener,
            std::function<void(int fd)> hand_over);
  ~EventLoop();

  void Run();  // until shared.stop
  void Wake();
  // From any thread: serve this accepted connection.
  void Adopt(int fd);

  Counters& counters() { return counters_; }
  const LatenessHistogram& lateness() const { return lateness_; }  // when Run has returned

 private:
  struct Timer {
    int64_t time_ns;
    int fd;
    uint64_t serial;
    bool operator>(const Timer& other) const { return time_ns > other.time_ns; }
  };

  int64_t Now() const { return clock_.NowNs(); }
  int64_t EngineTime(int64_t now_ns) const { return now_ns - shared_.epoch_ns - stalled_ns_; }
  int64_t HostTime(int64_t engine_ns) const { return engine_ns + shared_.epoch_ns + stalled_ns_; }

  void MaybeStall();
  void AdvanceEngine();
  void TakeAdmissions();
  void TakePasses();
  void DispatchTokens();
  void DispatchToken(const TokenEvent& event);
  void FireTimers();
  void PumpCanned();
  void Poll();
  int64_t WaitNs() const;
  void HandleEvent(const epoll_event& event);

  void Accept();
  void AddConnection(int fd);
  void TakeAdopted();
  Connection* Find(int fd, uint64_t serial);
  void OnReadable(Connection& connection);
  void ServeReceived(Connection& connection, int64_t arrival_ns);
  void Close(Connection& connection);
  void SetWantsWrite(Connection& connection, bool wants);

  // event_loop_requests.cc
  void HandleRequest(Connection& connection, const HttpRequest& request, int64_t arrival_ns);
  bool Refused(Connection& connection, const HttpRequest& request);
  void HandleGeneration(Connection& connection, const HttpRequest& request, Route route, int64_t arrival_ns);
  void StartExchange(Connection& connection, const HttpRequest& request, ApiRequest api, const KnownAnswer* known,
                     const FaultSet& faults, int64_t arrival_ns);
  AnswerFacts FactsOf(const ApiRequest& api) const;
  // What the file has for the request; null where there is no file.
  const KnownText* KnownTextOf(const ApiRequest& api, const KnownAnswer* answer) const;
  void BeginExchange(Connection& connection);
  EngineRequest PlanRequest(const ApiRequest& api, const KnownText* known, int64_t arrival_ns) const;
  std::function<std::string()> RoutedProvider(const ApiRequest& api, const EngineRequest& planned) const;
  FaultSet FaultsOf(const HttpRequest& request, const ApiRequest& api);
  void AnswerPlain(Connection& connection, int status, std::string_view content_type, std::string body, bool keep_alive,
                   std::string_view extra_headers = {});
  void AnswerError(Connection& connection, int status, std::string_view message, bool keep_alive);
  bool ServeCanned(Connection& connection, const HttpRequest& request, Route route);
  std::unique_ptr<CannedAnswer> MakeCanned(const HttpRequest& request, Route route) const;
  void StartCanned(Connection& connection, const CannedAnswer& answer);
  bool WriteCanned(Connection& connection);

  void Send(Connection& connection, AnswerBytes& bytes);
  void Pump(Connection& connection, int64_t now_ns);
  void StampTokens(Connection& connection, int64_t count, int64_t now_ns);
  void EndExchange(Connection& connection, std::string_view outcome);
  // True when the connection is gone.
  bool AfterAnswer(Connection& connection, AnswerBytes::After after);

  Shared& shared_;
  const ServerOptions& options_;
  int replica_;
  std::unique_ptr<Engine> engine_;
  const EngineModel* simulated_;  // engine_, or null
  int listener_;
  std::function<void(int)> hand_over_;
  SteadyClock clock_;
  int epoll_ = -1;
  int wake_ = -1;
  InfoContext info_;
  Counters counters_;
  LatenessHistogram lateness_;
  Rng fault_rng_;

  std::vector<std::unique_ptr<Connection>> connections_;  // by file descriptor
  uint64_t next_serial_ = 1;
  uint64_t next_request_ = 1;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::mutex adopted_mutex_;
  std::vector<int> adopted_;

  EngineOutput out_;
  size_t next_token_ = 0;      // of out_.tokens
  bool wrote_tokens_ = false;  // in this turn
  int64_t last_poll_ns_ = 0;
  int64_t last_submit_ns_ = 0;
  int64_t stalled_ns_ = 0;  // how long the engine's time has stood still
  bool stall_over_ = false;
  AnswerBytes bytes_;  // scratch
  std::vector<char> buffer_;
  std::vector<std::unique_ptr<CannedAnswer>> canned_;
  std::deque<std::pair<int, uint64_t>> canned_ready_;
  std::vector<std::pair<int, uint64_t>> received_more_;  // answered, with another request in the buffer
};

}  // namespace moecap::mock
