// One client: what it sent, the answer it gets, and what of it is still to be written.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mock/answer_stream.h"
#include "mock/engine.h"
#include "mock/server_log.h"
#include "mock/transport.h"

namespace moecap::mock {

// A request that is being answered.
struct Exchange {
  uint64_t id = 0;
  AnswerStream stream;
  RequestLog log;
  Progress progress;
  int64_t arrival_ns = 0;  // times of the engine, as in engine.h
  int64_t admission_ns = 0;
  int64_t first_token_ns = 0;
  int64_t last_token_ns = 0;
  bool ends_with_eos = false;
  const KnownText* known = nullptr;      // what it says; null: what the engine's tokens read
  std::optional<EngineRequest> planned;  // until it is submitted
};

// A finished answer that is sent again and again (null server).
struct CannedAnswer {
  std::string key;  // path and body that it answers
  std::string bytes;
  std::vector<size_t> write_ends;  // one write ends at each
  bool keep_alive = true;
};

enum class WriteState { kIdle, kWaiting, kDone, kFailed };

// Bytes on their way out, with the pauses and the filler of faults.
class Outbox {
 public:
  bool empty() const {
    return queue_.bytes.size() == position_ && filler_left_ == 0 && queue_.after == AnswerBytes::After::kGoOn;
  }
  void Add(AnswerBytes&& bytes) {
    queue_.Append(std::move(bytes));
    filler_left_ += queue_.filler_bytes;
    queue_.filler_bytes = 0;
  }
  // Writes what can be written at `now_ns`. kWaiting: either the socket is full (resume_ns() null) or a pause ends at
  // resume_ns(). kDone: everything is written; `after` says what is next.
  WriteState Write(Transport& transport, int64_t now_ns);
  std::optional<int64_t> resume_ns() const { return resume_ns_; }
  AnswerBytes::After after() const { return queue_.after; }
  int64_t tokens() const { return queue_.tokens; }  // carried by what is queued
  // Forgets what has been written.
  void Clear();

 private:
  WriteState WriteBytes(Transport& transport, int64_t now_ns);
  WriteState WriteFiller(Transport& transport);

  AnswerBytes queue_;
  size_t position_ = 0;
  size_t next_cut_ = 0;
  int64_t filler_left_ = 0;
  std::optional<int64_t> resume_ns_;
};

struct Connection {
  Connection(int fd, const TlsContext* tls) : transport(fd, tls) {}

  Transport transport;
  uint64_t serial = 0;  // of the connections of a loop; file descriptors are used again
  std::string received;
  std::unique_ptr<Exchange> exchange;
  Outbox outbox;
  bool wants_write = false;              // EPOLLOUT is on
  bool stalled = false;                  // an answer waits for its fault's silence to end
  const CannedAnswer* canned = nullptr;  // being sent
  size_t canned_write = 0;
  size_t canned_position = 0;
};

}  // namespace moecap::mock
