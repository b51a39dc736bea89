// The JSON of the answers of each dialect and route: one event a run of tokens, the events around them, and the whole body of
// an answer that is not streamed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mock/api_request.h"
#include "mock/known_answers.h"

namespace moecap::mock {

// What an answer knows of itself besides its tokens.
struct AnswerFacts {
  std::string id;               // unique, without a prefix
  int64_t created_s = 0;        // wall clock, since the epoch
  std::string created_at;       // the same as RFC 3339, for Ollama
  std::string model;            // name served
  std::vector<int32_t> prompt;  // token ids
  int64_t prompt_tokens = 0;
  int64_t reasoning_tokens = 0;      // chat: so many of the first tokens are reasoning
  const KnownText* known = nullptr;  // what its tokens read; null: their own words

  void AppendText(std::span<const int32_t> ids, int64_t first_index, std::string& out) const {
    AppendTokenTexts(known, ids, first_index, out);
  }
  std::string Text(std::span<const int32_t> ids, int64_t first_index) const {
    std::string text;
    AppendText(ids, first_index, text);
    return text;
  }
};

// What is known when tokens are written.
struct Progress {
  int64_t completion_tokens = 0;  // including those being written
  int64_t cached_tokens = 0;
  double queue_s = 0;    // arrival to admission
  double prefill_s = 0;  // admission to first token
  double decode_s = 0;   // first token to last written
};

struct TokenRun {
  std::span<const int32_t> ids;
  int64_t first_index = 0;
  std::string_view finish;  // "" while it goes on, else "stop", "length" or "abort"
};

enum class Framing { kSse, kSseWithoutSpace, kNdjson };

class Format {
 public:
  virtual ~Format() = default;
  virtual Framing framing() const { return Framing::kSse; }
  virtual bool ends_with_done() const { return true; }

  // Each appends one event's JSON, or returns false when the dialect has no such event here.
  virtual bool RoleEvent(std::string&) { return false; }
  virtual bool ProgressEvent(const Progress&, std::string&) { return false; }
  virtual bool EmptyEvent(std::string&) { return false; }
  // Appends nothing when the dialect has no event for these tokens.
  virtual void TokenEvent(const TokenRun& run, const Progress& progress, std::string& json) = 0;
  // Whether TokenEvent leaves the finish reason to this event of its own.
  virtual bool FinishEvent(std::string_view, const Progress&, std::string&) { return false; }
  // After the last token: usage. `routed` is the encoding of the routed experts, or empty.
  virtual bool FinalEvent(std::string_view finish, const Progress& progress, std::string_view routed, std::string& json) = 0;
  virtual void ErrorEvent(std::string_view message, std::string& json) = 0;

  virtual std::string Whole(std::span<const int32_t> ids, std::string_view finish, const Progress& progress,
                            std::string_view routed) = 0;
};

// `request` and `facts` must outlive the format.
std::unique_ptr<Format> MakeFormat(Dialect dialect, const ApiRequest& request, const AnswerFacts& facts);

// The body of an error answer in that server's shape.
std::string ErrorBody(Dialect dialect, int status, std::string_view message);

// `text` between quotes, escaped for JSON.
void AppendJsonString(std::string_view text, std::string& out);
void AppendTokenList(std::span<const int32_t> ids, std::string& out);
void AppendInteger(int64_t value, std::string& out);
// {"cache_n":..,"prompt_n":..,...} of llama-server.
void AppendTimings(const AnswerFacts& facts, const Progress& progress, std::string& out);

// Whether a chat of that server has a field of its own for reasoning.
bool SeparatesReasoning(Dialect dialect);

std::unique_ptr<Format> MakeOpenAiFormat(Dialect dialect, const ApiRequest& request, const AnswerFacts& facts);
std::unique_ptr<Format> MakeNativeFormat(const ApiRequest& request, const AnswerFacts& facts);

}  // namespace moecap::mock
