// Turns what a system observes into records. Internal to load/.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "load/load_result.h"
#include "load/system_under_test.h"

namespace moecap::load {

class EventLogWriter;

// Times are recorded since `origin_ns`.
class Recorder final : public Observer {
 public:
  // `events` may be null; it must outlive the recorder. `logged_only`: see LoadOptions; receive delays are not kept.
  Recorder(const record::CellId& cell, int64_t origin_ns, EventLogWriter* events = nullptr, bool logged_only = false);

  // Returns the request's ticket: how many were sent before it. `expected_tokens` only reserves memory.
  uint64_t OnSend(std::string id, int64_t expected_tokens, int client, int64_t intended_ns, int64_t now_ns);
  // A request that was due and will not be sent. It takes a ticket too.
  void OnNotIssued(std::string id, int client, int64_t intended_ns);
  // Ends a request in flight that the client gave up.
  void OnGivenUp(uint64_t ticket, record::RequestError kind);

  void OnChunk(uint64_t ticket, const Chunk& chunk) override;
  void OnFinish(uint64_t ticket, Completion completion) override;
  void OnPass(record::PassRecord pass, int64_t start_ns) override;

  int64_t sent() const { return static_cast<int64_t>(requests_.size()); }
  int64_t ended() const { return ended_; }
  bool HasEnded(uint64_t ticket) const { return has_ended_[ticket]; }
  // When something was last sent or arrived; the origin before.
  int64_t last_event_ns() const { return last_event_ns_; }
  // Requests that ended since the last call, in that order.
  std::vector<uint64_t> TakeEnded();
  // Of one that was not forgotten.
  const record::RequestRecord& request(uint64_t ticket) const { return Kept(ticket); }
  // Of a request that ended nothing stays but what the log holds; nothing more may be told of it.
  void Forget(uint64_t ticket) { requests_[ticket].reset(); }

  // Writes logged events out when they are due.
  Status FlushEvents(int64_t now_ns);

  // Requests that did not end are cancelled; those that were forgotten are absent.
  LoadResult Finish() &&;

 private:
  double SinceOrigin(int64_t now_ns) const { return static_cast<double>(now_ns - origin_ns_) * 1e-9; }
  std::optional<double> InstantSinceOrigin(int64_t now_ns) const;
  void CopyTimings(const Timings& timings, record::RequestRecord& request) const;
  record::RequestRecord& Add(std::string id, int client, int64_t intended_ns);
  record::RequestRecord& Kept(uint64_t ticket) const {
    CHECK(requests_[ticket] != nullptr);
    return *requests_[ticket];
  }
  void End(uint64_t ticket);

  record::CellId cell_;
  int64_t origin_ns_;
  int64_t last_event_ns_;
  EventLogWriter* events_;
  bool logged_only_;
  int64_t ended_ = 0;
  std::vector<bool> has_ended_;
  std::vector<uint64_t> newly_ended_;
  // Grow without ever being copied, which would stop the loop for milliseconds.
  std::deque<std::unique_ptr<record::RequestRecord>> requests_;
  std::deque<float> receive_delay_s_;
  std::vector<record::PassRecord> passes_;
};

}  // namespace moecap::load
