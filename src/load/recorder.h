// Turns what a system observes into records. Internal to load/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/closed_loop.h"

namespace moecap::load {

// Tickets are indices into the ids, which are those of the requests. Times are recorded since `origin_ns`.
class Recorder final : public Observer {
 public:
  // `events` may be null; it must outlive the recorder.
  Recorder(std::vector<std::string> ids, const record::CellId& cell, int64_t origin_ns, EventLogWriter* events = nullptr);

  void OnSend(uint64_t ticket, int client, int64_t intended_ns, int64_t now_ns);
  // Ends a request in flight that the client gave up, or that was never sent.
  void OnGivenUp(uint64_t ticket, record::RequestError kind, std::string why);

  void OnChunk(uint64_t ticket, const Chunk& chunk) override;
  void OnFinish(uint64_t ticket, Completion completion) override;
  void OnPass(record::PassRecord pass, int64_t start_ns) override;

  int64_t finished() const { return finished_; }
  bool IsFinished(uint64_t ticket) const { return is_finished_[ticket]; }
  // Requests that ended since the last call, in that order.
  std::vector<uint64_t> TakeFinished();
  int client_of(uint64_t ticket) const { return result_.requests[ticket].client; }

  // Writes logged events out when they are due.
  Status FlushEvents(int64_t now_ns);

  // The first `kept` requests; those among them that did not finish are cancelled.
  LoadResult Finish(size_t kept, bool interrupted) &&;

 private:
  double SinceOrigin(int64_t now_ns) const { return static_cast<double>(now_ns - origin_ns_) * 1e-9; }
  std::optional<double> InstantSinceOrigin(int64_t now_ns) const;
  void CopyTimings(const Timings& timings, record::RequestRecord& request) const;
  void End(uint64_t ticket);

  record::CellId cell_;
  int64_t origin_ns_;
  EventLogWriter* events_;
  int64_t finished_ = 0;
  std::vector<bool> is_finished_;
  std::vector<uint64_t> newly_finished_;
  LoadResult result_;
};

}  // namespace moecap::load
