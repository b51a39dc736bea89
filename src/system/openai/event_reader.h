// What one event of a response stream, or one whole response, says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "system/openai/dialect.h"

namespace moecap::openai {

enum class FinishKind {
  kNone,
  kStop,
  kLength,
  kAbort,  // an error, an abort, a cancellation: never a success
};

class EventTemplate;

struct EventFacts {
  std::string_view text;       // of the answer
  std::string_view reasoning;  // of the thinking
  bool cumulative = false;     // `text` and `token_ids` are everything so far
  bool tool_call = false;      // a part of a tool or function call
  bool has_output = false;     // the event is about output at all: a choice, a token
  std::string_view id;         // of the response

  bool has_token_ids = false;
  std::vector<int32_t> token_ids;
  std::optional<int64_t> native_tokens;  // output tokens so far, by the server's own protocol
  bool single_token = false;             // the protocol sends one token an event

  // The usage object, or the counters that stand for it at the end.
  std::optional<int64_t> input_tokens, output_tokens, cached_input_tokens, reasoning_tokens;
  std::optional<double> server_prefill_s, server_decode_s;

  FinishKind finish = FinishKind::kNone;
  std::string_view finish_text;  // the reason as the server words it
  bool odd_finish = false;       // a word that this interface does not know, though not of an error
  bool is_error = false;         // an error object
  std::string error;             // its message

  std::string joined_text, joined_reasoning;  // what `text` and `reasoning` view when several members hold them

  void Clear();
};

// Reads the events of one interface. Reused from event to event without allocating, once it has met a longest one.
class EventReader {
 public:
  explicit EventReader(Api api);
  ~EventReader();

  // Fills `facts`, whose views hold until the next call. False = `data` is not the JSON this interface promises; why() says
  // what is wrong.
  bool Read(std::string_view data, EventFacts& facts);
  // The same; an event that differs from the last one of its stream only in the usual places is not parsed again.
  bool Read(std::string_view data, EventTemplate& stream, EventFacts& facts);
  const std::string& why() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moecap::openai
