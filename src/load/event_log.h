// A log (events/*.bin): everything that a load generator observed, as it happened, so that every figure can be recomputed and a
// killed run loses at most its last moments. Format: docs/formats/events.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "load/load_result.h"
#include "load/system_under_test.h"

namespace moecap::load {

struct EventLogHeader {
  record::CellId cell;
  int64_t origin_ns = 0;   // time 0 of the records, on the steady clock of that boot
  std::string started_at;  // wall clock at the origin, UTC, ISO 8601: joins the log with a server's
};

// Appends to a buffer in memory (16 bytes a chunk, 24 with a receive delay; no allocation) and writes it out in checksummed
// frames. For one thread.
class EventLogWriter {
 public:
  // Events wait at most this long in memory, as long as Flush is called; then they survive the process (though not the
  // machine).
  static constexpr int64_t kFlushNs = 500'000'000;

  // Error: kBadInput when the file cannot be made; an existing one is replaced.
  static Result<EventLogWriter> Create(const std::filesystem::path& path, const EventLogHeader& header, const Clock& clock);
  EventLogWriter(EventLogWriter&& other) noexcept;
  EventLogWriter& operator=(EventLogWriter&&) = delete;
  ~EventLogWriter();  // writes what is left, ignoring errors; call Close to see them

  // Tickets count from 0 in the order of these two calls. An id keeps its first 4096 bytes, as does an error's message.
  void OnSend(uint64_t ticket, std::string_view id, int client, int64_t intended_ns, int64_t now_ns);
  void OnNotIssued(uint64_t ticket, std::string_view id, int client, int64_t intended_ns);
  void OnGivenUp(uint64_t ticket, record::RequestError kind);
  void OnChunk(uint64_t ticket, const Chunk& chunk);
  void OnFinish(uint64_t ticket, const Completion& completion);

  // Writes the buffer out when it is due. Cheap otherwise. Error: kFailed when the disk is full; the file then ends in a
  // damaged frame, which readers skip.
  Status Flush(int64_t now_ns);
  Status Close();

 private:
  EventLogWriter(int fd, std::string name, int64_t now_ns);
  template <typename Event>
  void Append(const Event& event);
  void AppendText(std::string_view text);
  void AppendDetails(uint64_t ticket, const Completion& completion);
  Status WriteFrame(uint32_t type, std::string_view payload);

  int fd_;
  std::string name_;
  std::string buffer_;
  int64_t flushed_ns_;
};

struct EventLog {
  EventLogHeader header;
  // As the load's own recorder made them, without token ids, texts, scores and passes; of the result's other fields the receive
  // delays. Requests that had not ended are cancelled.
  LoadResult result;
  uint64_t damaged_bytes = 0;  // at the end of the file, of a frame that was not written to its end
};

// Tokens of a log beyond one an event: so many at most. Bounds what a small hostile file can make the reader allocate: 800 MB.
inline constexpr int64_t kMostUnseenTokens = 100'000'000;

// Errors: kBadInput for a file that is no event log, of a newer version, with events that make no sense, or with more than
// `most_unseen` such tokens.
Result<EventLog> ParseEventLog(std::string_view bytes, int64_t most_unseen = kMostUnseenTokens);
// The same of a file; errors name it.
Result<EventLog> ReadEventLog(const std::filesystem::path& path);

// Shows `visit` each request of a file when it has ended, and last those that had not; no more than what was in flight is in
// memory. Errors: as ReadEventLog.
Status VisitRequests(const std::filesystem::path& path, const std::function<void(const record::RequestRecord&)>& visit);

}  // namespace moecap::load
