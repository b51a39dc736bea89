// The interface between the load generator, which owns it, and a serving system. The generator knows neither the model nor how
// answers are scored; the system knows neither schedule nor data set.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"
#include "record/request_record.h"

namespace moecap::load {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// How long each phase of a request may take, in ns; kNever = no limit. Systems without such a phase ignore its limit.
struct Deadlines {
  int64_t connect_ns = kNever;      // opening the connection, TLS included
  int64_t headers_ns = kNever;      // from the request sent to the response's headers
  int64_t first_token_ns = kNever;  // from the request sent to the first token
  int64_t idle_ns = kNever;         // between two tokens
  int64_t total_ns = kNever;        // from Submit to the end
};

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct RequestSpec {
  std::string id;                         // of the problem; copied to the record
  std::string prompt;                     // text, tokenized by the system
  std::vector<int32_t> prompt_token_ids;  // sent instead of `prompt` when not empty
  int64_t max_output_tokens = 256;        // >= 1
  std::vector<std::string> stop;          // generation ends before the first of these; they are not part of the text
  bool ignore_end_token = false;          // generate exactly max_output_tokens
  // Not empty: nothing is generated; the answer's text is LikelihoodText of how likely each of these is behind the prompt, and
  // counts as one token that comes at the end. Not with token ids or messages.
  std::vector<std::string> continuations;
  std::vector<Message> messages;  // a conversation, sent instead of `prompt` when not empty; chat interfaces only
  bool stream = true;             // false: the answer comes whole, so that only its end can be stamped
  std::string request_id;         // sent as x-request-id; empty = one that the system makes up
  std::string cache_salt;         // requests share cached prefixes only with the same salt; empty = server's default
  bool keep_text = false;         // the answer's text is wanted even of a system that was told to count tokens only
  Deadlines deadlines;
};

// Output that arrived together.
struct Chunk {
  int64_t arrival_ns = 0;              // of the clock given to the system; taken right after the read, before parsing
  int32_t tokens = 1;                  // >= 0; when Completion::tokens_source is kFinalUsage or kChunks only provisionally 1
  std::span<const int32_t> token_ids;  // empty = not known, else `tokens` of them; valid during the call
  bool reasoning = false;              // thinking, not yet answer
  int64_t kernel_delay_ns = -1;        // from the kernel's receive stamp to arrival_ns; -1 = not known
};

// Instants of a request on the clock given to the system; 0 = does not apply.
struct Timings {
  int64_t connect_start_ns = 0;  // 0 also when an open connection was used
  int64_t connected_ns = 0;
  int64_t sent_ns = 0;  // last byte of the request given to the operating system
  int64_t headers_ns = 0;
  int64_t first_byte_ns = 0;  // of the body
  int64_t end_ns = 0;
};

// What a finished request reports beside its chunks.
struct Completion {
  record::FinishReason finish = record::FinishReason::kStop;
  int64_t input_tokens = 0;
  std::string text;   // of the output, without end token and stop string; of the answer only, when there was reasoning
  std::string error;  // when finish == kError
  record::RequestError error_kind = record::RequestError::kNone;
  int http_status = 0;
  record::TokensSource tokens_source = record::TokensSource::kTokenIds;
  std::optional<int64_t> output_tokens;     // the server's total; with kFinalUsage it replaces the sum over the chunks
  std::optional<int64_t> reasoning_tokens;  // the server's count; replaces the sum over the reasoning chunks
  std::optional<int64_t> cached_input_tokens;
  record::TimingGap timing_gap = record::TimingGap::kNone;  // kCameWhole or kStreamIgnored; the rest follows from the chunks
  Timings timings;
  int64_t first_event_ns = 0;  // first event with a choice, on the clock of `timings`; 0 = none, or not told apart
  int retries = 0;
  std::string request_id, response_id;  // as in record::RequestRecord
  std::vector<std::string> quirks;
  std::optional<double> server_prefill_s;
  std::optional<double> server_decode_s;
};

// Receives what a system observes, on the thread that called Advance.
class Observer {
 public:
  virtual ~Observer() = default;
  // Called for every chunk that carried output, in order of arrival; never for empty ones.
  virtual void OnChunk(uint64_t ticket, const Chunk& chunk) = 0;
  // Once per request, after its last chunk, unless it was cancelled.
  virtual void OnFinish(uint64_t ticket, Completion completion) = 0;
  // Only systems that see their own passes call it. `pass.start_s` is left to the observer.
  virtual void OnPass(record::PassRecord pass, int64_t start_ns) = 0;
};

// Used by one thread. An observer must not call back into the system.
class SystemUnderTest {
 public:
  virtual ~SystemUnderTest() = default;

  // Whether the system could take the request at all; called before anything is timed. Error: kBadInput with a remedy.
  virtual Status Validate(const RequestSpec& request) = 0;

  // Hands over one request; `ticket` names it in the observer's calls. Must not block on generation. What goes wrong with one
  // request is reported by OnFinish; an error ends the run.
  virtual Status Submit(const RequestSpec& request, uint64_t ticket) = 0;

  // Works or waits until something was observed or the clock reached `until_ns` (kNever = no limit; then a request must be in
  // flight), then returns. An error ends the run.
  virtual Status Advance(Observer& observer, int64_t until_ns) = 0;

  // Forgets one request, or all, without reporting; the server is told as far as its protocol allows. A ticket that is not in
  // flight is ignored.
  virtual void Cancel(uint64_t ticket) = 0;
  virtual void CancelAll() = 0;
};

}  // namespace moecap::load
