// One request from intention to last token. JSON form (requests.jsonl) in docs/formats/records.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "record/pass_record.h"

namespace moecap::record {

enum class FinishReason { kStop, kLength, kError, kCancelled };

// How the output tokens were counted, the most exact way first.
enum class TokensSource {
  kTokenIds,         // the ids themselves
  kContinuousUsage,  // the server's running count, in every chunk
  kNativeCounter,    // a counter of the server's own protocol, in every chunk
  kFinalUsage,       // exact in total; which chunk carried how many is an even spread
  kChunks,           // the server gave no count at all: one token per chunk, an estimate
};

// Why it is not known when the single tokens of an answer arrived. Such a request has no TPOT and no ITL (docs/metrics.md,
// "Latency"); its number of tokens and its end are known.
enum class TimingGap {
  kNone,           // they are known, as exactly as the TokensSource says
  kCameWhole,      // the answer was not streamed, as asked
  kStreamIgnored,  // the answer came whole although a stream was asked for
  kUnevenChunks,   // the server told a total only, which does not fit one token a chunk: how it is spread would be a guess
  kOneBurst,       // every chunk arrived in the same read, as from a proxy that buffers
};

// Why a request failed, by the first thing that went wrong. docs/formats/records.md says what each means.
enum class RequestError {
  kNone,
  kDns,
  kConnectRefused,
  kConnectFailed,
  kConnectTimeout,
  kTls,
  kSendFailed,
  kHeaderTimeout,
  kFirstTokenTimeout,
  kIdleTimeout,
  kTotalTimeout,
  kResetBeforeHeaders,
  kResetMidstream,
  kHttpRedirect,
  kHttp4xx,
  kHttp429,
  kHttp5xx,
  kBadResponse,
  kStreamErrorObject,
  kAbortFinish,
  kParseError,
  kTruncated,
  kZeroTokens,
  kInputLengthMismatch,
  kOutputLengthMismatch,
  kCacheContaminated,
  kCancelledByClient,
  kNotIssued,
};

// Times are seconds since the start of the cell's repetition.
struct RequestRecord {
  CellId cell;
  std::string id;  // the problem's id in the data set
  int client = 0;  // which closed-loop client sent it

  double intended_send_s = 0;
  double send_s = 0;                     // handed to the system
  std::optional<double> connect_s;       // how long opening the connection took; null: an open one was used, or there is none
  std::optional<double> sent_s;          // the last byte of the request was given to the operating system
  std::optional<double> headers_s;       // the response's headers arrived
  std::optional<double> first_byte_s;    // of the response's body, which may be a comment
  std::optional<double> first_event_s;   // the first event with a choice, though perhaps without text (a role)
  std::optional<double> end_s;           // of the response
  std::vector<double> token_s;           // arrival of each output token, the end token included if the engine produced one
  std::vector<int32_t> chunk_tokens;     // how many of `token_s` came together, chunk by chunk; empty = each alone
  std::optional<double> first_answer_s;  // arrival of the first token that is not reasoning; null = none, or not told apart

  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  int64_t reasoning_tokens = 0;                // of the output tokens
  std::optional<int64_t> cached_input_tokens;  // served from the prefix cache, as the server says
  TokensSource tokens_source = TokensSource::kTokenIds;
  TimingGap timing_gap = TimingGap::kNone;

  // The server's own timing of this request, when it tells.
  std::optional<double> server_prefill_s;
  std::optional<double> server_decode_s;

  FinishReason finish = FinishReason::kStop;
  std::string error;  // empty unless finish == kError
  RequestError error_kind = RequestError::kNone;
  int http_status = 0;  // 0 = no HTTP response
  int retries = 0;      // sent again because an idle connection turned out to be closed
  // What joins the record with the server's: the x-request-id that was sent, and the `id` of the response. Empty = none.
  std::string request_id, response_id;
  // What the server did otherwise than its interface says, though the answer could be read: "finish reason \"STOP\"".
  std::vector<std::string> quirks;

  std::vector<int32_t> token_ids;  // of the output
  std::string text;                // of the output

  std::optional<std::string> extracted;  // the answer that the scorer found
  std::optional<double> score;           // 0..1; null when not scored
  int64_t score_parts = 1;               // of how many equal parts `score` is the mean, where these count
  std::string part;                      // of the benchmark, where the parts of it count alike; empty = does not matter

  // It came in one piece: only its end has a time.
  bool came_whole() const { return timing_gap == TimingGap::kCameWhole || timing_gap == TimingGap::kStreamIgnored; }
  // By the server's fault, an empty answer included; not what the client gave up, by plan, at an interrupt or at the end of the
  // drain, nor what it never sent (kCancelled).
  bool failed() const { return finish == FinishReason::kError || (ok() && token_s.empty()); }
  bool ok() const { return finish == FinishReason::kStop || finish == FinishReason::kLength; }
};

}  // namespace moecap::record
