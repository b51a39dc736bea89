#include "load/open_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <queue>

#include "load/recorder.h"

namespace moecap::load {
namespace {

// Not longer between two looks at stop_requested.
constexpr int64_t kLongestWaitNs = 100'000'000;

class OpenLoop {
 public:
  OpenLoop(SystemUnderTest& system, std::span<const PlannedRequest> plan, std::vector<std::string> ids,
           const OpenLoopOptions& options, const Clock& clock)
      : system_(system),
        plan_(plan),
        options_(options),
        clock_(clock),
        origin_ns_(options.origin_ns.value_or(clock.NowNs())),
        recorder_(std::move(ids), options.cell, origin_ns_, options.events) {}

  Result<LoadResult> Run() {
    while (!Done()) {
      if (options_.stop_requested && options_.stop_requested()) {
        interrupted_ = true;
        system_.CancelAll();
        break;
      }
      RETURN_IF_ERROR(SendWhatIsDue());
      CancelWhatIsDue();
      if (Done()) break;
      RETURN_IF_ERROR(system_.Advance(recorder_, std::min(NextEventNs(), clock_.NowNs() + kLongestWaitNs)));
      RETURN_IF_ERROR(recorder_.FlushEvents(clock_.NowNs()));
      const bool some_ended = !recorder_.TakeFinished().empty();
      if (some_ended && options_.on_progress) options_.on_progress(recorder_.finished());
    }
    LoadResult result = std::move(recorder_).Finish(interrupted_ ? sent_ : plan_.size(), interrupted_);
    result.held_back = held_back_;
    return result;
  }

 private:
  int64_t At(double at_s) const { return origin_ns_ + static_cast<int64_t>(std::llround(at_s * 1e9)); }
  int64_t InFlight() const { return static_cast<int64_t>(sent_) - recorder_.finished(); }
  bool AllSent() const { return sent_ == plan_.size(); }
  bool Done() const { return AllSent() && InFlight() == 0; }
  bool IsFull() const { return options_.most_in_flight > 0 && InFlight() >= options_.most_in_flight; }

  Status SendWhatIsDue() {
    while (!AllSent()) {
      const PlannedRequest& next = plan_[sent_];
      const int64_t intended_ns = At(next.at_s);
      const int64_t now_ns = clock_.NowNs();
      if (now_ns < intended_ns) return {};
      if (IsFull()) {
        if (!is_held_back_) ++held_back_;
        is_held_back_ = true;
        return {};
      }
      is_held_back_ = false;
      const uint64_t ticket = sent_++;
      recorder_.OnSend(ticket, 0, intended_ns, now_ns);
      if (next.cancel_after_s) cancellations_.push({now_ns + At(*next.cancel_after_s) - origin_ns_, ticket});
      if (AllSent() && options_.drain_s) drained_ns_ = now_ns + At(*options_.drain_s) - origin_ns_;
      RETURN_IF_ERROR(system_.Submit(*next.spec, ticket));
    }
    return {};
  }

  void CancelWhatIsDue() {
    const int64_t now_ns = clock_.NowNs();
    while (!cancellations_.empty() && cancellations_.top().at_ns <= now_ns) {
      GiveUp(cancellations_.top().ticket, record::RequestError::kCancelledByClient, "the user gave up, as planned");
      cancellations_.pop();
    }
    if (now_ns < drained_ns_) return;
    for (uint64_t ticket = 0; ticket < sent_; ++ticket) {
      GiveUp(ticket, record::RequestError::kTotalTimeout, "it had not ended when the time to drain was over");
    }
  }

  void GiveUp(uint64_t ticket, record::RequestError kind, const char* why) {
    if (recorder_.IsFinished(ticket)) return;
    system_.Cancel(ticket);
    recorder_.OnGivenUp(ticket, kind, why);
  }

  int64_t NextEventNs() const {
    int64_t next_ns = drained_ns_;
    if (!AllSent() && !IsFull()) next_ns = std::min(next_ns, At(plan_[sent_].at_s));
    if (!cancellations_.empty()) next_ns = std::min(next_ns, cancellations_.top().at_ns);
    return next_ns;
  }

  struct Cancellation {
    int64_t at_ns;
    uint64_t ticket;
    bool operator>(const Cancellation& other) const { return at_ns > other.at_ns; }
  };

  SystemUnderTest& system_;
  std::span<const PlannedRequest> plan_;
  const OpenLoopOptions& options_;
  const Clock& clock_;
  int64_t origin_ns_;
  Recorder recorder_;
  size_t sent_ = 0;
  int64_t held_back_ = 0;
  bool is_held_back_ = false;
  int64_t drained_ns_ = kNever;
  bool interrupted_ = false;
  std::priority_queue<Cancellation, std::vector<Cancellation>, std::greater<>> cancellations_;
};

}  // namespace

Result<LoadResult> RunOpenLoop(SystemUnderTest& system, std::span<const PlannedRequest> plan, const OpenLoopOptions& options,
                               const Clock& clock) {
  if (!std::ranges::is_sorted(plan, {}, &PlannedRequest::at_s)) return BadInput("the times of an open loop must ascend");
  std::vector<std::string> ids;
  for (const PlannedRequest& request : plan) {
    RETURN_IF_ERROR(system.Validate(*request.spec));
    ids.push_back(request.spec->id);
  }
  return OpenLoop(system, plan, std::move(ids), options, clock).Run();
}

}  // namespace moecap::load
