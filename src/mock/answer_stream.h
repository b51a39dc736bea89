// The bytes of one HTTP answer, from status line to last chunk, with its faults in them. No IO: what comes out is handed to a
// writer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mock/api_request.h"
#include "mock/faults.h"
#include "mock/format.h"

namespace moecap::mock {

// What the writer does next, in this order: write `bytes` with the pauses of `cuts`, then `filler_bytes` of filler, then
// `after`.
struct AnswerBytes {
  struct Cut {
    size_t offset = 0;  // into bytes; the pause comes before this byte
    int64_t pause_ns = 0;
  };
  enum class After { kGoOn, kDone, kClose, kReset };

  std::string bytes;
  std::vector<Cut> cuts;               // ascending
  std::optional<int64_t> byte_gap_ns;  // every byte in a write of its own, so far apart
  std::string filler;                  // repeated
  int64_t filler_bytes = 0;
  After after = After::kGoOn;
  int64_t tokens = 0;  // carried by `bytes`

  void Clear();
  void Append(AnswerBytes&& other);
};

struct AnswerOptions {
  int64_t tokens_per_chunk = 1;  // tokens of an event
  int64_t events_per_write = 1;  // events handed out together
  bool keep_alive = true;        // the connection may serve another request
  bool chunked = true;           // false for HTTP/1.0: the answer ends with the connection
};

class AnswerStream {
 public:
  // `routed` gives the encoded routed experts when the answer ends; null: it carries none.
  AnswerStream(Dialect dialect, ApiRequest request, AnswerFacts facts, FaultSet faults, const AnswerOptions& options,
               std::function<std::string()> routed = nullptr);

  // Status line and headers of a stream; nothing yet of an answer that is not streamed.
  void Begin(AnswerBytes& out);
  // The next token. `finish` is empty unless it is the last. Requires !ended().
  void Token(int32_t id, std::string_view finish, const Progress& progress, AnswerBytes& out);
  // Nothing more comes: complete, or cut short by a fault.
  bool ended() const { return ended_; }
  // Whether it ended as the protocol says.
  bool complete() const { return ended_ && !broken_; }

 private:
  void BeginStream();
  void EmitRole();
  void EmitTokens(std::string_view finish, const Progress& progress);
  void Emit(const std::string& json);
  void EmitChunk(std::string_view payload);
  void EmitFinish(std::string_view finish, const Progress& progress);
  void EmitEnd(std::string_view finish, const Progress& progress);
  void EmitWhole(std::string_view finish, const Progress& progress, AnswerBytes& out);
  void Break(AnswerBytes::After after);
  // Faults that strike once `tokens_` tokens are written.
  void Strike(const Progress& progress);
  void StrikeWhole(AnswerBytes& out);
  bool StrikesNow(FaultKind kind) const;
  void HandOut(AnswerBytes& out);
  std::string Headers(std::string_view content_type) const;

  // At an address that stays, since the format refers to it.
  struct Subject {
    ApiRequest request;
    AnswerFacts facts;
  };

  Dialect dialect_;
  std::unique_ptr<const Subject> subject_;
  FaultSet faults_;
  AnswerOptions options_;
  std::function<std::string()> routed_;
  std::unique_ptr<Format> format_;

  std::vector<int32_t> pending_;  // tokens of the next event
  std::vector<int32_t> all_;      // of an answer that is not streamed
  int64_t tokens_ = 0;            // given so far
  AnswerBytes held_;              // until events_per_write events are there
  int64_t held_events_ = 0;
  bool role_sent_ = false;
  bool progress_sent_ = false;
  bool stall_next_ = false;  // before the next event
  bool ended_ = false;
  bool broken_ = false;
  std::string json_, event_;  // scratch
};

// A complete answer with `Content-Length`. `extra_headers` are whole lines.
std::string PlainAnswer(int status, std::string_view content_type, std::string_view body, bool keep_alive,
                        std::string_view extra_headers = {});
std::string_view ReasonPhrase(int status);

}  // namespace moecap::mock
