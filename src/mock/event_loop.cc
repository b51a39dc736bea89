#include "mock/event_loop.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <ctime>

#include "base/check.h"
#include "base/epoll.h"

namespace moecap::mock {
namespace {

constexpr size_t kReadBuffer = 64 << 10;
constexpr int kEventsPerPoll = 256;
constexpr size_t kTokensPerTurn = 64;  // so that arrivals are seen while a large batch is written
constexpr int64_t kLongestWaitNs = 1'000'000'000;
constexpr int64_t kPollEveryNs = 20'000;  // while tokens are written
constexpr int64_t kStallWatchNs = 20'000'000;

uint64_t Tag(int fd, uint64_t serial) { return static_cast<uint64_t>(fd) | serial << 32; }

void SleepUntil(int64_t time_ns) {
  const timespec time{time_ns / 1'000'000'000, time_ns % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

}  // namespace

EventLoop::EventLoop(Shared& shared, int replica, std::unique_ptr<Engine> engine, const EngineModel* simulated, int listener,
                     std::function<void(int fd)> hand_over)
    : shared_(shared),
      options_(shared.options),
      replica_(replica),
      engine_(std::move(engine)),
      simulated_(simulated),
      listener_(listener),
      hand_over_(std::move(hand_over)),
      fault_rng_(Mix(shared.options.seed, 0x6661756c74 + static_cast<uint64_t>(replica))),
      buffer_(kReadBuffer) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CHECK(epoll_ >= 0 && wake_ >= 0);
  for (const int fd : {listener_, wake_}) {
    if (fd < 0) continue;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = Tag(fd, 0);
    CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
  }
  info_ = {options_.dialect,
           options_.model_name,
           options_.model.vocab,
           options_.model.max_context.value_or(0),
           options_.simulated ? options_.simulated->max_running : options_.timed.max_running,
           options_.simulated ? options_.simulated->roofline.devices : 1,
           options_.routed_experts};
  out_.Clear();
}

EventLoop::~EventLoop() {
  connections_.clear();
  for (const int fd : adopted_) ::close(fd);
  ::close(wake_);
  ::close(epoll_);
}

void EventLoop::Run() {
  // OpenSSL writes to connections that the other side has closed without saying MSG_NOSIGNAL.
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  // Sleeps may otherwise be 50 us longer than asked for.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  while (!shared_.stop.load(std::memory_order_relaxed)) {
    MaybeStall();
    AdvanceEngine();
    DispatchTokens();
    FireTimers();
    PumpCanned();
    Poll();
  }
  for (auto& connection : connections_) {
    if (connection && connection->exchange) EndExchange(*connection, "server-stopped");
  }
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  // A full counter wakes as well.
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void EventLoop::Adopt(int fd) {
  {
    const std::lock_guard lock(adopted_mutex_);
    adopted_.push_back(fd);
  }
  Wake();
}

void EventLoop::TakeAdopted() {
  std::vector<int> fds;
  {
    const std::lock_guard lock(adopted_mutex_);
    fds.swap(adopted_);
  }
  for (const int fd : fds) AddConnection(fd);
}

void EventLoop::MaybeStall() {
  const int64_t first_ns = shared_.first_request_ns.load(std::memory_order_relaxed);
  if (!options_.stall_at_s || stall_over_ || first_ns == 0) return;
  const int64_t begin_ns = first_ns + std::llround(*options_.stall_at_s * 1e9);
  if (Now() < begin_ns) return;
  stall_over_ = true;
  const int64_t end_ns = begin_ns + std::llround(options_.stall_for_s * 1e9);
  // In steps, so that the program can be stopped meanwhile.
  while (Now() < end_ns && !shared_.stop.load(std::memory_order_relaxed)) SleepUntil(std::min(end_ns, Now() + 100'000'000));
  stalled_ns_ += end_ns - begin_ns;
  shared_.log->AddLine(
      fmt::format(R"({{"record":"stall","replica":{},"start_ns":{},"end_ns":{}}})", replica_, begin_ns, end_ns));
}

void EventLoop::AdvanceEngine() {
  if (next_token_ < out_.tokens.size()) return;
  out_.Clear();
  next_token_ = 0;
  engine_->Advance(EngineTime(Now()), out_);
  if (!out_.admissions.empty()) TakeAdmissions();
  if (!out_.passes.empty()) TakePasses();
  const EngineState state = engine_->State();
  counters_.running.Set(state.running);
  counters_.waiting.Set(state.waiting);
  counters_.kv_used_ppm.Set(std::llround(state.kv_used_share * 1e6));
  counters_.kv_used_tokens.Set(state.kv_used_tokens);
  counters_.kv_capacity_tokens.Set(state.kv_capacity_tokens);
  counters_.passes.Set(state.passes);
}

uint64_t RequestId(int fd, uint64_t number) { return static_cast<uint64_t>(fd) << 40 | (number & ((uint64_t{1} << 40) - 1)); }
int FdOf(uint64_t request) { return static_cast<int>(request >> 40); }

void EventLoop::TakeAdmissions() {
  for (const Admission& admission : out_.admissions) {
    const auto slot = static_cast<size_t>(FdOf(admission.request));
    Connection* connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
    if (connection == nullptr || !connection->exchange || connection->exchange->id != admission.request) continue;
    Exchange& exchange = *connection->exchange;
    exchange.admission_ns = admission.time_ns;
    exchange.log.admission_ns = HostTime(admission.time_ns);
    exchange.log.cached_tokens = exchange.progress.cached_tokens = admission.cached_tokens;
    exchange.progress.queue_s = static_cast<double>(admission.time_ns - exchange.arrival_ns) * 1e-9;
    counters_.cached_tokens.Add(admission.cached_tokens);
  }
}

void EventLoop::TakePasses() {
  for (record::PassRecord& pass : out_.passes) {
    const auto ns = std::llround(pass.latency_s * 1e9);
    const bool decode = pass.kind == record::PassKind::kDecode;
    (decode ? counters_.generation_ns : counters_.prompt_ns).Add(ns);
    PassSummary summary{pass.pass, pass.latency_s * 1e3, pass.SequenceCount(), 0, 0, 0};
    for (const record::SequenceSlice& slice : pass.sequences) {
      const bool context = slice.new_tokens > 1 || pass.kind == record::PassKind::kPrefill;
      (context ? summary.context_requests : summary.generation_requests) += slice.count;
      if (context) summary.context_tokens += slice.new_tokens * slice.count;
    }
    counters_.busy_sequences.Add(summary.active_requests);
    counters_.ObservePass(pass.NewTokens());
    counters_.prefill_passes.Add(decode ? 0 : 1);
    counters_.decode_rows.Add(summary.generation_requests);
    if (options_.dialect == Dialect::kTrtllm) shared_.passes.Push(summary);
    pass.replica = replica_;
    pass.clock_monotonic_s = static_cast<double>(HostTime(std::llround(pass.start_s * 1e9))) * 1e-9;
    shared_.log->Add(std::move(pass));
  }
}

void EventLoop::DispatchTokens() {
  wrote_tokens_ = next_token_ < out_.tokens.size();
  const size_t end = std::min(out_.tokens.size(), next_token_ + kTokensPerTurn);
  while (next_token_ < end) DispatchToken(out_.tokens[next_token_++]);
}

void EventLoop::DispatchToken(const TokenEvent& event) {
  const auto slot = static_cast<size_t>(FdOf(event.request));
  Connection* connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
  if (connection == nullptr || !connection->exchange || connection->exchange->id != event.request) return;
  Exchange& exchange = *connection->exchange;
  if (exchange.stream.ended()) return;
  if (event.index == 0) {
    exchange.first_token_ns = event.due_ns;
    exchange.progress.prefill_s = static_cast<double>(event.due_ns - exchange.admission_ns) * 1e-9;
    counters_.ttft.Observe(event.due_ns - exchange.arrival_ns);
    counters_.prompt_tokens.Add(exchange.log.prompt_tokens);
  } else {
    counters_.inter_token.Observe(event.due_ns - exchange.last_token_ns);
  }
  counters_.generation_tokens.Add(1);
  exchange.last_token_ns = event.due_ns;
  exchange.progress.completion_tokens = event.index + 1;
  exchange.progress.decode_s = static_cast<double>(event.due_ns - exchange.first_token_ns) * 1e-9;
  exchange.log.due_ns.push_back(HostTime(event.due_ns));
  const std::string_view finish = !event.last ? "" : event.token == kEosToken ? "stop" : "length";
  const auto index = static_cast<size_t>(event.index);
  const bool is_known = exchange.known != nullptr && index < exchange.known->ids.size();
  exchange.stream.Token(is_known ? exchange.known->ids[index] : event.token, finish, exchange.progress, bytes_);
  if (exchange.stream.ended() && !event.last) engine_->Cancel(event.request, EngineTime(Now()));
  if (!bytes_.bytes.empty() || exchange.stream.ended()) Send(*connection, bytes_);
}

void EventLoop::FireTimers() {
  while (!timers_.empty() && timers_.top().time_ns <= Now()) {
    const Timer timer = timers_.top();
    timers_.pop();
    Connection* connection = Find(timer.fd, timer.serial);
    if (connection == nullptr) continue;
    if (connection->stalled) {
      connection->stalled = false;
      BeginExchange(*connection);
    } else if (!connection->outbox.empty()) {
      Pump(*connection, Now());
    }
  }
}

void EventLoop::PumpCanned() {
  for (size_t turns = canned_ready_.size(); turns > 0; --turns) {
    const auto [fd, serial] = canned_ready_.front();
    canned_ready_.pop_front();
    Connection* connection = Find(fd, serial);
    if (connection != nullptr && connection->canned != nullptr && WriteCanned(*connection))
      canned_ready_.emplace_back(fd, serial);
  }
  // Requests that came before the answer to the one before them was written.
  const auto more = std::exchange(received_more_, {});
  for (const auto& [fd, serial] : more) {
    if (Connection* connection = Find(fd, serial)) ServeReceived(*connection, Now());
  }
}

int64_t EventLoop::WaitNs() const {
  if (next_token_ < out_.tokens.size() || !canned_ready_.empty() || !received_more_.empty()) return 0;
  const int64_t now_ns = Now();
  int64_t next_ns = now_ns + (options_.stall_at_s && !stall_over_ ? kStallWatchNs : kLongestWaitNs);
  if (const auto due = engine_->NextNs()) next_ns = std::min(next_ns, HostTime(*due));
  if (!timers_.empty()) next_ns = std::min(next_ns, timers_.top().time_ns);
  if (options_.stall_at_s && !stall_over_ && shared_.first_request_ns != 0) {
    next_ns = std::min<int64_t>(next_ns, shared_.first_request_ns + std::llround(*options_.stall_at_s * 1e9));
  }
  return std::max<int64_t>(0, next_ns - now_ns - options_.spin_ns);
}

void EventLoop::Poll() {
  std::array<epoll_event, kEventsPerPoll> events;
  const int64_t wait_ns = WaitNs();
  const int64_t now_ns = Now();
  // Looking for arrivals after each token would cost a tenth of the token's time.
  if (wait_ns == 0 && wrote_tokens_ && now_ns - last_poll_ns_ < kPollEveryNs) return;
  last_poll_ns_ = now_ns;
  const int count =
      wait_ns == 0 ? ::epoll_wait(epoll_, events.data(), kEventsPerPoll, 0) : WaitForEvents(epoll_, events, wait_ns);
  for (int i = 0; i < count; ++i) HandleEvent(events[static_cast<size_t>(i)]);
}

void EventLoop::HandleEvent(const epoll_event& event) {
  const int fd = static_cast<int>(event.data.u64 & 0xffffffff);
  if (fd == listener_) return Accept();
  if (fd == wake_) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t size = ::read(wake_, &count, sizeof count);
    return TakeAdopted();
  }
  const uint64_t serial = event.data.u64 >> 32;
  Connection* connection = Find(fd, serial);
  if (connection == nullptr) return;
  if ((event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    OnReadable(*connection);
    connection = Find(fd, serial);
    if (connection == nullptr) return;
  }
  if ((event.events & EPOLLOUT) == 0) return;
  if (connection->canned != nullptr) {
    SetWantsWrite(*connection, false);
    canned_ready_.emplace_back(fd, serial);
  } else {
    Pump(*connection, Now());
  }
}

void EventLoop::Accept() {
  for (int i = 0; i < 64; ++i) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    hand_over_(fd);
  }
}

void EventLoop::AddConnection(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connections_.size() <= static_cast<size_t>(fd)) connections_.resize(static_cast<size_t>(fd) + 1);
  auto connection = std::make_unique<Connection>(fd, shared_.tls.get());
  std::vector<Fault> at_accept;
  std::copy_if(options_.faults.begin(), options_.faults.end(), std::back_inserter(at_accept),
               [](const Fault& fault) { return fault.kind == FaultKind::kRefuse; });
  if (!DrawFaults(at_accept, fault_rng_).empty()) {
    connection->transport.ResetOnClose();
    return;
  }
  connection->serial = next_serial_;
  next_serial_ = next_serial_ % 0xffffffff + 1;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = Tag(fd, connection->serial);
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return;
  connections_[static_cast<size_t>(fd)] = std::move(connection);
}

Connection* EventLoop::Find(int fd, uint64_t serial) {
  const auto slot = static_cast<size_t>(fd);
  if (slot >= connections_.size() || !connections_[slot] || connections_[slot]->serial != serial) return nullptr;
  return connections_[slot].get();
}

void EventLoop::SetWantsWrite(Connection& connection, bool wants) {
  if (connection.wants_write == wants) return;
  connection.wants_write = wants;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | (wants ? EPOLLOUT : 0u);
  event.data.u64 = Tag(connection.transport.fd(), connection.serial);
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.transport.fd(), &event);
}

void EventLoop::OnReadable(Connection& connection) {
  long count = 0;
  for (;;) {
    count = connection.transport.Read(buffer_.data(), buffer_.size());
    if (count <= 0) break;
    connection.received.append(buffer_.data(), static_cast<size_t>(count));
    if (connection.received.size() > kMostBodyBytes + kMostHeaderBytes) return Close(connection);
    // A short read of a plain socket has emptied it.
    if (static_cast<size_t>(count) < buffer_.size() && !shared_.tls) break;
  }
  const int64_t arrival_ns = Now();
  const int fd = connection.transport.fd();
  const uint64_t serial = connection.serial;
  if (!connection.received.empty()) ServeReceived(connection, arrival_ns);
  if (count != Transport::kClosed && count != Transport::kFailed) return;
  if (Connection* still = Find(fd, serial)) Close(*still);
}

void EventLoop::ServeReceived(Connection& connection, int64_t arrival_ns) {
  if (connection.exchange || connection.canned != nullptr || !connection.outbox.empty()) return;
  HttpRequest request;
  const HttpParse parse = ParseHttpRequest(connection.received, request);
  switch (parse.state) {
    case HttpParse::State::kIncomplete:
      return;
    case HttpParse::State::kNeedsContinue:
      bytes_.Clear();
      bytes_.bytes = "HTTP/1.1 100 Continue\r\n\r\n";
      return Send(connection, bytes_);
    case HttpParse::State::kBad:
      connection.received.clear();
      return AnswerError(connection, parse.status, parse.message, false);
    case HttpParse::State::kComplete:
      connection.received.erase(0, parse.consumed);
      return HandleRequest(connection, request, arrival_ns);
  }
}

void EventLoop::Send(Connection& connection, AnswerBytes& bytes) {
  const int64_t now_ns = Now();
  const bool plain = bytes.cuts.empty() && !bytes.byte_gap_ns && bytes.filler_bytes == 0;
  if (connection.outbox.empty() && plain) {
    const long written = connection.transport.Write(bytes.bytes.data(), bytes.bytes.size());
    if (written == Transport::kFailed) {
      bytes.Clear();
      return Close(connection);
    }
    if (std::max(written, 0L) == static_cast<long>(bytes.bytes.size())) {
      StampTokens(connection, bytes.tokens, now_ns);
      const AnswerBytes::After after = bytes.after;
      bytes.Clear();
      AfterAnswer(connection, after);
      return;
    }
    bytes.bytes.erase(0, static_cast<size_t>(std::max(written, 0L)));
  }
  connection.outbox.Add(std::move(bytes));
  bytes.Clear();
  Pump(connection, now_ns);
}

void EventLoop::Pump(Connection& connection, int64_t now_ns) {
  switch (connection.outbox.Write(connection.transport, now_ns)) {
    case WriteState::kFailed:
      return Close(connection);
    case WriteState::kDone: {
      StampTokens(connection, connection.outbox.tokens(), now_ns);
      const AnswerBytes::After after = connection.outbox.after();
      connection.outbox.Clear();
      SetWantsWrite(connection, false);
      AfterAnswer(connection, after);
      return;
    }
    case WriteState::kWaiting:
    case WriteState::kIdle:
      break;
  }
  const auto resume_ns = connection.outbox.resume_ns();
  SetWantsWrite(connection, !resume_ns);
  if (resume_ns) timers_.push({*resume_ns, connection.transport.fd(), connection.serial});
}

void EventLoop::StampTokens(Connection& connection, int64_t count, int64_t now_ns) {
  if (count == 0 || !connection.exchange) return;
  RequestLog& log = connection.exchange->log;
  log.token_ns.insert(log.token_ns.end(), static_cast<size_t>(count), now_ns);
  // Of tokens that are written together only the last was waited for; of a whole answer none is a matter of timing.
  if (log.stream) lateness_.Add(now_ns - log.due_ns[log.token_ns.size() - 1]);
}

bool EventLoop::AfterAnswer(Connection& connection, AnswerBytes::After after) {
  if (after == AnswerBytes::After::kGoOn) return false;
  if (connection.exchange) EndExchange(connection, connection.exchange->stream.complete() ? "complete" : "fault");
  if (after == AnswerBytes::After::kDone) {
    if (!connection.received.empty()) received_more_.emplace_back(connection.transport.fd(), connection.serial);
    return false;
  }
  if (after == AnswerBytes::After::kReset) {
    connection.transport.ResetOnClose();
  } else {
    connection.transport.EndOutput();
  }
  Close(connection);
  return true;
}

void EventLoop::EndExchange(Connection& connection, std::string_view outcome) {
  Exchange& exchange = *connection.exchange;
  exchange.log.end_ns = Now();
  exchange.log.outcome = outcome;
  if (outcome == "complete") {
    const bool length = exchange.progress.completion_tokens == exchange.log.planned_tokens && !exchange.ends_with_eos;
    (length ? counters_.finished_length : counters_.finished_stop).Add(1);
    counters_.e2e.Observe(exchange.last_token_ns - exchange.arrival_ns);
  } else {
    counters_.finished_abort.Add(1);
  }
  shared_.log->Add(std::move(exchange.log));
  connection.exchange.reset();
}

void EventLoop::Close(Connection& connection) {
  if (connection.exchange) {
    engine_->Cancel(connection.exchange->id, EngineTime(Now()));
    EndExchange(connection, "client-gone");
  }
  connections_[static_cast<size_t>(connection.transport.fd())].reset();
}

}  // namespace moecap::mock
