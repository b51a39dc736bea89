#include "load/load_loop.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <queue>
#include <thread>
#include <utility>

#include "base/real_time_priority.h"
#include "base/wall_clock.h"
#include "load/event_log.h"
#include "load/recorder.h"

namespace moecap::load {
namespace {

// Not longer between two looks at stop_requested.
constexpr int64_t kLongestWaitNs = 100'000'000;
constexpr int64_t kLeastRequestsToJudge = 20;
constexpr int64_t kReportStillnessNs = 1'000'000'000;

int64_t Nanoseconds(double seconds) { return static_cast<int64_t>(std::llround(seconds * 1e9)); }

class Loop {
 public:
  Loop(SystemUnderTest& system, Source& source, const LoadOptions& options, int64_t origin_ns, const Clock& clock)
      : system_(system),
        source_(source),
        options_(options),
        clock_(clock),
        origin_ns_(origin_ns),
        recorder_(options.cell, origin_ns, options.events, options.logged_only),
        counters_(options.counters != nullptr ? *options.counters : own_counters_),
        last_send_ns_(options.duration_s ? origin_ns + Nanoseconds(*options.duration_s) : kNever) {
    source_.Begin(origin_ns);
  }

  Result<LoadResult> Run() {
    const int64_t start_ns = clock_.NowNs(), start_cpu_ns = ThreadCpuNs();
    int64_t until_ns = start_ns, longest_stall_ns = 0;
    while (true) {
      RETURN_IF_ERROR(SendWhatIsDue());
      CancelWhatIsDue();
      if (stopped_ && InFlight() == 0) break;
      const int64_t now_ns = clock_.NowNs();
      longest_stall_ns = std::max(longest_stall_ns, now_ns - until_ns);
      until_ns = std::min(NextEventNs(), now_ns + kLongestWaitNs);
      RETURN_IF_ERROR(system_.Advance(recorder_, until_ns));
      until_ns = std::max(until_ns, now_ns);
      RETURN_IF_ERROR(recorder_.FlushEvents(clock_.NowNs()));
      NoteEnds();
      NoteStillness();
      if (Interrupted() || TooManyFailed()) break;
    }
    if (InFlight() > 0) system_.CancelAll();
    LoadResult result = std::move(recorder_).Finish();
    result.ended_by = ended_by_;
    result.interrupted = ended_by_ == EndedBy::kInterrupt;
    result.held_back = held_back_;
    result.cpu_s = static_cast<double>(ThreadCpuNs() - start_cpu_ns) * 1e-9;
    result.loop_s = static_cast<double>(clock_.NowNs() - start_ns) * 1e-9;
    result.began_s = static_cast<double>(start_ns - origin_ns_) * 1e-9;
    result.longest_stall_s = static_cast<double>(longest_stall_ns) * 1e-9;
    return result;
  }

 private:
  int64_t InFlight() const { return recorder_.sent() - recorder_.ended(); }
  bool IsFull() const { return options_.most_in_flight > 0 && InFlight() >= options_.most_in_flight; }

  // A request that was meant to be sent before the end is sent, however late the client is; unless the limit holds it back.
  bool IsDueWithinDuration(const DueRequest& next) const { return next.at_ns && *next.at_ns <= last_send_ns_ && !IsFull(); }

  Status SendWhatIsDue() {
    while (!stopped_) {
      const DueRequest* next = source_.Next();
      const int64_t now_ns = clock_.NowNs();
      if (source_.IsExhausted() || (next == nullptr && InFlight() == 0)) {
        Stop(EndedBy::kAllSent);
      } else if (now_ns > last_send_ns_ && (next == nullptr || !IsDueWithinDuration(*next))) {
        Stop(EndedBy::kDuration);
      }
      if (stopped_ || next == nullptr) return {};
      const int64_t intended_ns = next->at_ns.value_or(now_ns);
      if (now_ns < intended_ns) return {};
      if (IsFull()) {
        if (!std::exchange(is_held_back_, true)) ++held_back_;
        return {};
      }
      is_held_back_ = false;
      RETURN_IF_ERROR(Send(*next, intended_ns, now_ns));
    }
    return {};
  }

  Status Send(const DueRequest& due, int64_t intended_ns, int64_t now_ns) {
    const RequestSpec& spec = *due.spec;
    const uint64_t ticket = recorder_.OnSend(spec.id, spec.max_output_tokens, due.client, intended_ns, now_ns);
    if (due.cancel_after_s) cancellations_.push({now_ns + Nanoseconds(*due.cancel_after_s), ticket});
    source_.Take();
    return system_.Submit(spec, ticket);
  }

  // Nothing more is sent. What a schedule had planned until now counts as offered.
  void Stop(EndedBy reason) {
    stopped_ = true;
    ended_by_ = reason;
    const int64_t until_ns = std::min(clock_.NowNs(), last_send_ns_);
    if (options_.drain_s) drained_ns_ = until_ns + Nanoseconds(*options_.drain_s);
    if (reason == EndedBy::kAllSent) return;
    for (const DueRequest* next = source_.Next(); next != nullptr && next->at_ns && *next->at_ns <= until_ns;
         next = source_.Next()) {
      recorder_.OnNotIssued(next->spec->id, next->client, *next->at_ns);
      source_.Take();
    }
    for (const uint64_t ticket : recorder_.TakeEnded()) ForgetIfLogged(ticket);
  }

  void CancelWhatIsDue() {
    const int64_t now_ns = clock_.NowNs();
    while (!cancellations_.empty() && cancellations_.top().at_ns <= now_ns) {
      GiveUp(cancellations_.top().ticket, record::RequestError::kCancelledByClient);
      cancellations_.pop();
    }
    if (now_ns >= drained_ns_) {
      for (int64_t ticket = 0; ticket < recorder_.sent(); ++ticket)
        GiveUp(static_cast<uint64_t>(ticket), record::RequestError::kTotalTimeout);
    }
    NoteEnds();  // before the loop finds nothing in flight
  }

  void GiveUp(uint64_t ticket, record::RequestError kind) {
    if (recorder_.HasEnded(ticket)) return;
    system_.Cancel(ticket);
    recorder_.OnGivenUp(ticket, kind);
  }

  void NoteEnds() {
    const std::vector<uint64_t> ended = recorder_.TakeEnded();
    if (ended.empty()) return;
    const int64_t now_ns = clock_.NowNs();
    for (const uint64_t ticket : ended) {
      const record::RequestRecord& request = recorder_.request(ticket);
      source_.OnEnded(request.client, request, now_ns);
      if (request.failed()) ++counters_.failed;
      ForgetIfLogged(ticket);
    }
    const int64_t all = counters_.ended += std::ssize(ended);
    if (options_.on_progress) options_.on_progress({all, 0, 0});
  }

  void ForgetIfLogged(uint64_t ticket) {
    if (options_.logged_only) recorder_.Forget(ticket);
  }

  // A stream that hangs is said, not waited for in silence.
  void NoteStillness() {
    if (!options_.on_progress || InFlight() == 0) return;
    const int64_t now_ns = clock_.NowNs();
    const int64_t still_ns = now_ns - recorder_.last_event_ns();
    if (still_ns < Nanoseconds(kStillS) || now_ns - told_ns_ < kReportStillnessNs) return;
    told_ns_ = now_ns;
    options_.on_progress({counters_.ended, InFlight(), static_cast<double>(still_ns) * 1e-9});
  }

  bool Interrupted() {
    if (!options_.stop_requested || !options_.stop_requested()) return false;
    Stop(EndedBy::kInterrupt);
    return true;
  }

  bool TooManyFailed() {
    const int64_t ended = counters_.ended, failed = counters_.failed;
    if (!options_.most_error_share || ended < kLeastRequestsToJudge) return false;
    if (static_cast<double>(failed) <= *options_.most_error_share * static_cast<double>(ended)) return false;
    Stop(EndedBy::kErrorShare);
    return true;
  }

  int64_t NextEventNs() {
    int64_t next_ns = stopped_ || last_send_ns_ == kNever ? drained_ns_ : std::min(drained_ns_, last_send_ns_ + 1);
    const DueRequest* next = stopped_ || IsFull() ? nullptr : source_.Next();
    if (next != nullptr && next->at_ns) next_ns = std::min(next_ns, *next->at_ns);
    if (!cancellations_.empty()) next_ns = std::min(next_ns, cancellations_.top().at_ns);
    return next_ns;
  }

  struct Cancellation {
    int64_t at_ns;
    uint64_t ticket;
    bool operator>(const Cancellation& other) const { return at_ns > other.at_ns; }
  };

  SystemUnderTest& system_;
  Source& source_;
  const LoadOptions& options_;
  const Clock& clock_;
  int64_t origin_ns_;
  Recorder recorder_;
  LoadCounters own_counters_;
  LoadCounters& counters_;
  int64_t last_send_ns_;
  int64_t drained_ns_ = kNever;
  int64_t told_ns_ = 0;
  bool stopped_ = false;
  EndedBy ended_by_ = EndedBy::kAllSent;
  int64_t held_back_ = 0;
  bool is_held_back_ = false;
  std::priority_queue<Cancellation, std::vector<Cancellation>, std::greater<>> cancellations_;
};

Status ValidateAll(SystemUnderTest& system, const Source& source) {
  for (const RequestSpec* spec : source.Specs()) RETURN_IF_ERROR(system.Validate(*spec));
  return {};
}

}  // namespace

std::string_view Name(EndedBy reason) {
  switch (reason) {
    case EndedBy::kAllSent:
      return "all requests sent";
    case EndedBy::kDuration:
      return "duration";
    case EndedBy::kErrorShare:
      return "error share";
    case EndedBy::kInterrupt:
      return "interrupt";
  }
  return {};
}

LoadResult JoinParts(std::vector<LoadResult> parts) {
  LoadResult whole = std::move(parts.front());
  for (size_t i = 1; i < parts.size(); ++i) {
    LoadResult& part = parts[i];
    std::ranges::move(part.requests, std::back_inserter(whole.requests));
    std::ranges::move(part.passes, std::back_inserter(whole.passes));
    whole.receive_delay_s.insert(whole.receive_delay_s.end(), part.receive_delay_s.begin(), part.receive_delay_s.end());
    if (whole.ended_by == EndedBy::kAllSent) whole.ended_by = part.ended_by;
    whole.interrupted = whole.interrupted || part.interrupted;
    whole.held_back += part.held_back;
    whole.cpu_s += part.cpu_s;
    whole.loop_s += part.loop_s;
    whole.began_s = std::max(whole.began_s, part.began_s);
    whole.longest_stall_s = std::max(whole.longest_stall_s, part.longest_stall_s);
    whole.ran_ahead = whole.ran_ahead && part.ran_ahead;
  }
  std::ranges::stable_sort(whole.requests, {}, &record::RequestRecord::send_s);
  return whole;
}

Result<LoadResult> RunLoad(SystemUnderTest& system, Source& source, const LoadOptions& options, const Clock& clock) {
  RETURN_IF_ERROR(ValidateAll(system, source));
  return Loop(system, source, options, options.origin_ns.value_or(clock.NowNs()), clock).Run();
}

Result<LoadResult> RunLoadOnThreads(std::span<const LoadShard> shards, const LoadOptions& options, const Clock& clock) {
  CHECK(!shards.empty());
  for (const LoadShard& shard : shards) RETURN_IF_ERROR(ValidateAll(*shard.system, *shard.source));
  const int64_t origin_ns = options.origin_ns.value_or(clock.NowNs());
  LoadCounters counters;
  std::atomic<bool> failed = false;
  std::vector<std::optional<Result<LoadResult>>> parts(shards.size());
  const auto run = [&](size_t index) {
    LoadOptions own = options;
    own.events = shards[index].events;
    own.counters = &counters;
    own.stop_requested = [&] { return failed || (options.stop_requested && options.stop_requested()); };
    if (index > 0) own.on_progress = nullptr;
    std::optional<RealTimePriority> priority;
    if (options.ahead_of_others) priority.emplace();
    SleepUntil(clock, origin_ns, own.stop_requested);
    parts[index] = Loop(*shards[index].system, *shards[index].source, own, origin_ns, clock).Run();
    if (!parts[index]->ok()) {
      failed = true;
    } else {
      (*parts[index])->ran_ahead = priority && priority->granted();
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < shards.size(); ++i) threads.emplace_back(run, i);
  run(0);
  for (std::thread& thread : threads) thread.join();
  std::vector<LoadResult> results;
  for (auto& part : parts) {
    ASSIGN_OR_RETURN(results.emplace_back(), *std::move(part));
  }
  return JoinParts(std::move(results));
}

}  // namespace moecap::load
