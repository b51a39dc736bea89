// Decodes answers with routed experts on a thread of its own, in the order in which they are handed over. Internal to
// route_capture.cc.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "system/openai/route_capture.h"

namespace moecap::openai {

// What an answer says beside its experts that must stay the same from answer to answer.
struct AnswerOrigin {
  std::string model, fingerprint;
};

class RouteDecoder {
 public:
  // `answers` answers are expected; `capture` and `clock` must outlive the decoder.
  RouteDecoder(size_t answers, const CaptureOptions& capture, const Clock& clock);
  ~RouteDecoder();  // what waits is not decoded

  // The whole answer of request `index`. Called by one thread, as are the next two.
  void Push(size_t index, std::string body);
  // Request `index` brought none, with that status (0 = no response).
  void Miss(size_t index, std::string why, int http_status = 0);
  // Whether little waits, so that more may be asked for.
  bool HasRoom() const;
  // Whether the experts take as much as may be kept.
  bool is_full() const { return kept_bytes_.load(std::memory_order_relaxed) >= capture_.max_kept_bytes; }

  // Waits until everything is decoded; then the results are the caller's. Once.
  struct Results {
    std::vector<CapturedAnswer> answers;
    std::vector<AnswerOrigin> origins;
    int64_t decode_ns = 0;
  };
  Results Finish();

 private:
  struct Waiting {
    size_t index;
    std::string body;
  };

  void Work();
  void Decode(size_t index, const std::string& body);

  const CaptureOptions& capture_;
  const Clock& clock_;
  Results results_;  // the worker's, but for answers that are missed
  std::atomic<size_t> waiting_bytes_{0}, kept_bytes_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Waiting> queue_;
  bool finish_ = false, give_up_ = false;
  std::thread worker_;
};

}  // namespace moecap::openai
