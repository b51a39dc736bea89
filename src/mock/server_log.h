// The truth about a run: when each request arrived and each token was really written, and every pass. Written by a thread of
// its own, so that the server never waits for a disk. Format in docs/mock.md.
#pragma once

#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"

namespace moecap::mock {

// Times are CLOCK_MONOTONIC nanoseconds of this host.
struct RequestLog {
  uint64_t id = 0;
  std::string answer_id;  // as the client sees it, without the dialect's prefix
  int replica = 0;
  std::string path;
  bool stream = false;
  std::string cache_salt;    // as the request gave it; empty = none. A client may use it to name its requests
  int64_t arrival_ns = 0;    // after the read that completed it
  int64_t admission_ns = 0;  // 0 = never
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t planned_tokens = 0;
  std::vector<int64_t> due_ns;    // when each token existed
  std::vector<int64_t> token_ns;  // when each was written: right before the write that carried its last byte began
  int64_t end_ns = 0;             // of the answer: the last byte was accepted by the kernel, or it was given up
  std::string outcome;            // "complete", "fault", "client-gone", "status-429", ...
};

class ServerLog {
 public:
  // Empty paths are not written. Error kBadInput when a file cannot be made.
  static Result<std::unique_ptr<ServerLog>> Open(const std::string& requests_file, const std::string& passes_file);
  ~ServerLog();  // writes what is left

  bool wants_requests() const { return requests_ != nullptr; }
  bool wants_passes() const { return passes_ != nullptr; }

  // Thread-safe; never waits for the disk.
  void Add(RequestLog request);
  void Add(record::PassRecord pass);
  // A whole JSON object among the requests.
  void AddLine(std::string json);

 private:
  using Entry = std::variant<RequestLog, record::PassRecord, std::string>;

  ServerLog(std::FILE* requests, std::FILE* passes);
  void Push(Entry entry);
  void Run();
  void Write(const Entry& entry);

  std::FILE* requests_;
  std::FILE* passes_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Entry> entries_;
  bool stop_ = false;
  std::string line_;  // scratch of the thread
  std::thread thread_;
};

}  // namespace moecap::mock
