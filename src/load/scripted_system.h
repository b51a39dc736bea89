// A system for the tests of this folder, in fake time.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "base/clock.h"
#include "load/system_under_test.h"

namespace moecap::load {

// Steps of 10 ms: each gives one token to every request in flight, and ends where one begins. Submitting and waiting cost no
// time.
class ScriptedSystem final : public SystemUnderTest {
 public:
  explicit ScriptedSystem(FakeClock& clock) : clock_(clock) {}

  Status Validate(const RequestSpec& request) override {
    if (request.prompt == "too long") return BadInput("the prompt is too long");
    return {};
  }
  Status Submit(const RequestSpec& request, uint64_t ticket) override {
    in_flight_.push_back({ticket, request.max_output_tokens});
    most_in_flight = std::max(most_in_flight, in_flight_.size());
    return {};
  }
  Status Advance(Observer& observer, int64_t until_ns) override {
    if (in_flight_.empty() || until_ns < step_end_ns_) {
      clock_.AdvanceNs(std::max<int64_t>(0, until_ns - clock_.NowNs()));
      if (in_flight_.empty()) step_end_ns_ = clock_.NowNs() + kStepNs;
      return {};
    }
    ++steps;
    const int64_t start_ns = step_end_ns_ - kStepNs;
    clock_.AdvanceNs(step_end_ns_ - clock_.NowNs());
    step_end_ns_ += kStepNs;
    record::PassRecord pass;
    pass.latency_s = 0.01;
    observer.OnPass(pass, start_ns);
    std::deque<Entry> still_running;
    for (Entry entry : in_flight_) {
      const auto token_id = static_cast<int32_t>(entry.left);
      observer.OnChunk(entry.ticket, {.arrival_ns = clock_.NowNs(), .token_ids = {&token_id, 1}});
      if (--entry.left > 0) {
        still_running.push_back(entry);
      } else {
        observer.OnFinish(entry.ticket, {record::FinishReason::kStop, 5, "text", ""});
      }
    }
    in_flight_ = still_running;
    return {};
  }
  void Cancel(uint64_t ticket) override {
    std::erase_if(in_flight_, [&](const Entry& entry) { return entry.ticket == ticket; });
    cancelled.push_back(ticket);
  }
  void CancelAll() override { in_flight_.clear(); }

  size_t most_in_flight = 0;
  int steps = 0;
  std::vector<uint64_t> cancelled;

 private:
  struct Entry {
    uint64_t ticket;
    int64_t left;
  };
  static constexpr int64_t kStepNs = 10'000'000;

  FakeClock& clock_;
  int64_t step_end_ns_ = kStepNs;
  std::deque<Entry> in_flight_;
};

inline std::vector<RequestSpec> Requests(const std::vector<int64_t>& lengths) {
  std::vector<RequestSpec> requests;
  for (size_t i = 0; i < lengths.size(); ++i) {
    RequestSpec request;
    request.id = "p" + std::to_string(i);
    request.max_output_tokens = lengths[i];
    requests.push_back(request);
  }
  return requests;
}

}  // namespace moecap::load
