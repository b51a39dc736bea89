#include "system/openai/event_reader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "system/openai/event_template.h"

namespace moecap::openai {
namespace {

namespace json = simdjson::ondemand;

// The places of an event that differ from event to event.
struct Places {
  const char* begin;
  std::vector<Slot> slots;

  void Add(SlotKind kind, json::value value) {
    slots.push_back({kind, static_cast<uint32_t>(value.raw_json_token().data() - begin)});
  }
};

// Calls on_field(key, value) for every member; false as soon as one does or the JSON is broken.
template <typename OnField>
bool EachField(json::object object, OnField&& on_field) {
  for (auto field : object) {
    std::string_view key;
    json::value value;
    if (field.unescaped_key().get(key) || field.value().get(value)) return false;
    if (!on_field(key, value)) return false;
  }
  return true;
}

// The same for a member that may also be null or of another type, which is then ignored.
template <typename OnField>
bool EachFieldOf(json::value value, OnField&& on_field) {
  json::json_type type;
  if (value.type().get(type)) return false;
  if (type != json::json_type::object) return true;
  json::object object;
  return !value.get_object().get(object) && EachField(object, on_field);
}

template <typename OnElement>
bool EachElementOf(json::value value, OnElement&& on_element) {
  json::json_type type;
  if (value.type().get(type)) return false;
  if (type != json::json_type::array) return true;
  json::array array;
  if (value.get_array().get(array)) return false;
  for (auto element : array) {
    json::value entry;
    if (element.get(entry) || !on_element(entry)) return false;
  }
  return true;
}

// A string; null and anything else leave `text` as it is.
bool TakeText(json::value value, std::string_view& text) {
  json::json_type type;
  if (value.type().get(type)) return false;
  return type != json::json_type::string || !value.get_string().get(text);
}

// A number, also written as text; null and anything else leave it as it is.
bool TakeNumber(json::value value, std::optional<double>& number) {
  json::json_type type;
  if (value.type().get(type)) return false;
  double read = 0;
  if (type == json::json_type::number) {
    if (value.get_double().get(read)) return false;
  } else if (type != json::json_type::string || value.get_double_in_string().get(read)) {
    return true;
  }
  number = read;
  return true;
}

constexpr double kMostTokens = 1 << 28;

// A count of tokens. One that cannot be is refused: nothing is made of it.
bool TakeCount(json::value value, std::optional<int64_t>& count) {
  std::optional<double> number;
  if (!TakeNumber(value, number)) return false;
  if (!number) return true;
  if (!(*number >= 0 && *number <= kMostTokens)) return false;
  count = static_cast<int64_t>(*number);
  return true;
}

bool TakeBool(json::value value, bool& flag) {
  json::json_type type;
  if (value.type().get(type)) return false;
  return type != json::json_type::boolean || !value.get_bool().get(flag);
}

bool TakeIds(json::value value, EventFacts& facts) {
  json::json_type type;
  if (value.type().get(type)) return false;
  if (type != json::json_type::array) return true;
  facts.has_token_ids = true;
  return EachElementOf(value, [&](json::value entry) {
    int64_t id = 0;
    if (entry.get_int64().get(id) || id < INT32_MIN || id > INT32_MAX) return false;
    facts.token_ids.push_back(static_cast<int32_t>(id));
    return true;
  });
}

FinishKind KindOfFinish(std::string_view reason) {
  for (const std::string_view stop : {"stop", "eos", "eos_token", "stop_sequence", "word", "tool_calls", "function_call"}) {
    if (reason == stop) return FinishKind::kStop;
  }
  return reason == "length" || reason == "limit" ? FinishKind::kLength : FinishKind::kAbort;
}

// A string, or SGLang's object with a `type` and, when aborted, a `message`.
bool TakeFinish(json::value value, EventFacts& facts) {
  json::json_type type;
  if (value.type().get(type)) return false;
  std::string_view reason;
  if (type == json::json_type::string) {
    if (value.get_string().get(reason)) return false;
    facts.finish_text = reason;
  } else if (type == json::json_type::object) {
    const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
      if (key == "type") return TakeText(entry, reason);
      return key != "message" || TakeText(entry, facts.finish_text);
    });
    if (!read) return false;
    if (facts.finish_text.empty()) facts.finish_text = reason;
  } else {
    return true;
  }
  if (!reason.empty()) facts.finish = KindOfFinish(reason);
  return true;
}

bool TakeUsage(json::value value, EventFacts& facts, Places& places) {
  return EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "prompt_tokens") return TakeCount(entry, facts.input_tokens);
    if (key == "completion_tokens") {
      places.Add(SlotKind::kOutputTokens, entry);
      return TakeCount(entry, facts.output_tokens);
    }
    if (key == "total_tokens") places.Add(SlotKind::kIgnoredInteger, entry);
    if (key == "reasoning_tokens") return TakeCount(entry, facts.reasoning_tokens);
    if (key == "prompt_tokens_details") {
      return EachFieldOf(entry, [&](std::string_view detail, json::value count) {
        return detail != "cached_tokens" || TakeCount(count, facts.cached_input_tokens);
      });
    }
    if (key == "completion_tokens_details") {
      return EachFieldOf(entry, [&](std::string_view detail, json::value count) {
        return detail != "reasoning_tokens" || TakeCount(count, facts.reasoning_tokens);
      });
    }
    return true;
  });
}

// llama-server's own clock.
bool TakeTimings(json::value value, EventFacts& facts) {
  std::optional<double> prefill_ms, decode_ms;
  const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "predicted_n") return TakeCount(entry, facts.native_tokens);
    if (key == "cache_n") return TakeCount(entry, facts.cached_input_tokens);
    if (key == "prompt_ms") return TakeNumber(entry, prefill_ms);
    return key != "predicted_ms" || TakeNumber(entry, decode_ms);
  });
  if (prefill_ms) facts.server_prefill_s = *prefill_ms * 1e-3;
  if (decode_ms) facts.server_decode_s = *decode_ms * 1e-3;
  return read;
}

// The shapes of error members: text, or an object with `message`.
bool TakeError(json::value value, EventFacts& facts) {
  json::json_type type;
  if (value.type().get(type)) return false;
  if (type == json::json_type::null) return true;
  facts.is_error = true;
  std::string_view message;
  const bool read = TakeText(value, message) && EachFieldOf(value, [&](std::string_view key, json::value entry) {
                      return key != "message" || TakeText(entry, message);
                    });
  facts.error = message;
  return read;
}

bool TakeDelta(json::value value, EventFacts& facts, Places& places) {
  return EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "content") {
      places.Add(SlotKind::kText, entry);
      return TakeText(entry, facts.text);
    }
    if (key == "reasoning_content" || key == "reasoning" || key == "thinking") {
      std::string_view text;
      if (!TakeText(entry, text)) return false;
      if (!text.empty()) {
        places.Add(SlotKind::kReasoning, entry);
        facts.reasoning = text;
      }
      return true;
    }
    if (key == "tool_calls") return EachElementOf(entry, [&](json::value) { return facts.tool_call = true; });
    return true;
  });
}

// One choice of several: only the first is ours.
bool TakeChoice(json::value value, EventFacts& facts, Places& places) {
  EventFacts other;
  std::optional<int64_t> index;
  bool first = true;
  const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "index") {
      if (!TakeCount(entry, index)) return false;
      first = index.value_or(0) == 0;
      return true;
    }
    EventFacts& target = first ? facts : other;
    if (key == "text") {
      places.Add(SlotKind::kText, entry);
      return TakeText(entry, target.text);
    }
    if (key == "delta" || key == "message") return TakeDelta(entry, target, places);
    if (key == "finish_reason") return TakeFinish(entry, target);
    if (key != "token_ids") return true;
    places.Add(SlotKind::kTokenIds, entry);
    return TakeIds(entry, target);
  });
  facts.has_output = facts.has_output || first;
  if (!first) places.slots.clear();  // several choices: parsed every time
  return read;
}

bool ReadOpenAi(json::object object, EventFacts& facts, Places& places) {
  std::string_view kind, message;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    if (key == "choices") return EachElementOf(value, [&](json::value choice) { return TakeChoice(choice, facts, places); });
    if (key == "usage") return TakeUsage(value, facts, places);
    if (key == "error") return TakeError(value, facts);
    if (key == "object") return TakeText(value, kind);
    if (key == "message") return TakeText(value, message);
    return key != "timings" || TakeTimings(value, facts);
  });
  if (kind == "error" && !facts.is_error) {
    facts.is_error = true;
    facts.error = message;
  }
  return read;
}

bool ReadSglang(json::object object, EventFacts& facts) {
  facts.cumulative = true;
  return EachField(object, [&](std::string_view key, json::value value) {
    if (key == "error") return TakeError(value, facts);
    if (key == "text") {
      facts.has_output = true;
      return TakeText(value, facts.text);
    }
    if (key == "output_ids") {
      facts.has_output = true;
      return TakeIds(value, facts);
    }
    if (key != "meta_info") return true;
    return EachFieldOf(value, [&](std::string_view meta, json::value entry) {
      if (meta == "finish_reason") return TakeFinish(entry, facts);
      if (meta == "prompt_tokens") return TakeCount(entry, facts.input_tokens);
      if (meta == "cached_tokens") return TakeCount(entry, facts.cached_input_tokens);
      if (meta != "completion_tokens") return true;
      if (!TakeCount(entry, facts.native_tokens)) return false;
      facts.output_tokens = facts.native_tokens;
      return true;
    });
  });
}

bool TakeTgiToken(json::value value, EventFacts& facts) {
  bool special = false;
  std::string_view text;
  const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "text") return TakeText(entry, text);
    if (key == "special") return TakeBool(entry, special);
    if (key != "id") return true;
    int64_t id = 0;
    if (entry.get_int64().get(id) || id < INT32_MIN || id > INT32_MAX) return false;
    facts.has_token_ids = true;
    facts.token_ids.push_back(static_cast<int32_t>(id));
    return true;
  });
  facts.has_output = true;
  facts.single_token = true;
  if (!special) facts.text = text;
  return read;
}

bool ReadTgi(json::object object, EventFacts& facts) {
  std::string_view whole_text;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    if (key == "error") return TakeError(value, facts);
    if (key == "token") return TakeTgiToken(value, facts);
    if (key == "generated_text") return TakeText(value, whole_text);
    if (key != "details") return true;
    return EachFieldOf(value, [&](std::string_view detail, json::value entry) {
      if (detail == "finish_reason") return TakeFinish(entry, facts);
      if (detail == "generated_tokens") return TakeCount(entry, facts.output_tokens);
      if (detail == "input_length") return TakeCount(entry, facts.input_tokens);
      if (detail != "tokens") return true;
      return EachElementOf(entry, [&](json::value token) { return TakeTgiToken(token, facts); });
    });
  });
  // A whole answer lists its tokens inside `details`; a stream's last event repeats the text.
  if (facts.token_ids.size() != 1) facts.single_token = false;
  if (!facts.single_token && !whole_text.empty()) {
    facts.text = whole_text;
    facts.has_output = true;
  }
  return read;
}

bool ReadOllama(json::object object, EventFacts& facts, Places& places) {
  bool done = false;
  std::string_view reason;
  std::optional<double> prefill_ns, decode_ns;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    if (key == "error") return TakeError(value, facts);
    if (key == "response") return TakeText(value, facts.text);
    if (key == "thinking") return TakeText(value, facts.reasoning);
    if (key == "message") return TakeDelta(value, facts, places);
    if (key == "done") return TakeBool(value, done);
    if (key == "done_reason") return TakeText(value, reason);
    if (key == "prompt_eval_count") return TakeCount(value, facts.input_tokens);
    if (key == "eval_count") return TakeCount(value, facts.output_tokens);
    if (key == "prompt_eval_duration") return TakeNumber(value, prefill_ns);
    return key != "eval_duration" || TakeNumber(value, decode_ns);
  });
  facts.has_output = true;
  if (prefill_ns) facts.server_prefill_s = *prefill_ns * 1e-9;
  if (decode_ns) facts.server_decode_s = *decode_ns * 1e-9;
  if (done) {
    facts.finish = reason.empty() ? FinishKind::kStop : KindOfFinish(reason);
    facts.finish_text = reason;
  }
  return read;
}

bool ReadLlamaServer(json::object object, EventFacts& facts) {
  bool stop = false, limit = false, progress = false;
  std::string_view type;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    if (key == "error") return TakeError(value, facts);
    if (key == "content") {
      facts.has_output = true;
      return TakeText(value, facts.text);
    }
    if (key == "tokens") return TakeIds(value, facts);
    if (key == "stop") return TakeBool(value, stop);
    if (key == "stop_type") return TakeText(value, type);
    if (key == "stopped_limit") return TakeBool(value, limit);
    if (key == "prompt_progress") progress = true;
    if (key == "tokens_evaluated") return TakeCount(value, facts.input_tokens);
    if (key == "tokens_predicted") return TakeCount(value, facts.native_tokens);
    return key != "timings" || TakeTimings(value, facts);
  });
  if (stop) {
    // "none" is a request that something else ended.
    facts.finish = limit || type == "limit" ? FinishKind::kLength : type == "none" ? FinishKind::kAbort : FinishKind::kStop;
    facts.finish_text = type;
    facts.output_tokens = facts.native_tokens;
  }
  // Without the ids of a partial event `tokens` is an empty list; while the prompt is worked on it holds a 0 that is no token.
  if (progress) facts.token_ids.clear();
  if (facts.has_token_ids && facts.token_ids.empty()) facts.has_token_ids = false;
  return read;
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, 300)) line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  if (text.size() > 300) line += "...";
  return line;
}

}  // namespace

// Member by member: in a chain of assignments each would be read whole right after it was written in halves and wait for that,
// and all at once is slower still. It is called for every event.
void EventFacts::Clear() {
  text = {};
  reasoning = {};
  finish_text = {};
  cumulative = tool_call = has_output = has_token_ids = single_token = is_error = false;
  token_ids.clear();
  native_tokens.reset();
  input_tokens.reset();
  output_tokens.reset();
  cached_input_tokens.reset();
  reasoning_tokens.reset();
  server_prefill_s.reset();
  server_decode_s.reset();
  finish = FinishKind::kNone;
  error.clear();
}

struct EventReader::Impl {
  Api api;
  json::parser parser;
  std::string padded;  // the event with the bytes behind it that the parser may look at
  Places places;
  std::string why;
};

EventReader::EventReader(Api api) : impl_(std::make_unique<Impl>()) {
  impl_->api = api;
  // What usual events need, at once: reading them must not allocate.
  constexpr size_t kUsualEventBytes = 4096;
  impl_->padded.resize(kUsualEventBytes + simdjson::SIMDJSON_PADDING);
  CHECK(impl_->parser.allocate(kUsualEventBytes) == simdjson::SUCCESS);
  impl_->places.slots.reserve(16);
}
EventReader::~EventReader() = default;

const std::string& EventReader::why() const { return impl_->why; }

bool EventReader::Read(std::string_view data, EventFacts& facts) {
  Impl& impl = *impl_;
  facts.Clear();
  if (impl.padded.size() < data.size() + simdjson::SIMDJSON_PADDING)
    impl.padded.resize(data.size() + simdjson::SIMDJSON_PADDING);
  std::memcpy(impl.padded.data(), data.data(), data.size());
  impl.places.begin = impl.padded.data();
  impl.places.slots.clear();
  json::document document;
  json::object object;
  bool read = !impl.parser.iterate(impl.padded.data(), data.size(), impl.padded.size()).get(document) &&
              !document.get_object().get(object);
  if (read) {
    switch (impl.api) {
      case Api::kCompletions:
      case Api::kChat:
        read = ReadOpenAi(object, facts, impl.places);
        break;
      case Api::kSglangGenerate:
        read = ReadSglang(object, facts);
        break;
      case Api::kTgiGenerate:
        read = ReadTgi(object, facts);
        break;
      case Api::kOllamaGenerate:
      case Api::kOllamaChat:
        read = ReadOllama(object, facts, impl.places);
        break;
      case Api::kLlamaServer:
        read = ReadLlamaServer(object, facts);
        break;
    }
  }
  // Nothing may follow the object.
  const char* rest = nullptr;
  read = read && document.current_location().get(rest) == simdjson::OUT_OF_BOUNDS;
  if (!read) impl.why = fmt::format("an event is not the JSON that this interface promises: {}", OneLine(data));
  return read;
}

bool EventReader::Read(std::string_view data, EventTemplate& stream, EventFacts& facts) {
  if (!data.empty() && stream.Match(data, facts) == data.size()) return true;
  if (!Read(data, facts)) return false;
  const bool learns = impl_->api == Api::kCompletions || impl_->api == Api::kChat;
  if (learns) stream.Learn(data, impl_->places.slots, facts);
  return true;
}

std::string ErrorMessage(std::string_view body) {
  std::string message;
  json::parser parser;
  const simdjson::padded_string padded(body);
  json::document document;
  json::object object;
  if (!parser.iterate(padded).get(document) && !document.get_object().get(object)) {
    EventFacts facts;
    std::string_view text;
    EachField(object, [&](std::string_view key, json::value value) {
      if (key == "error") return TakeError(value, facts);
      if (key == "message" || key == "detail") return TakeText(value, text);
      return true;
    });
    message = facts.error.empty() ? text : facts.error;
  }
  std::string line = OneLine(message.empty() ? body : std::string_view(message));
  while (line.ends_with(' ') || (line.ends_with('.') && !line.ends_with("..."))) line.pop_back();
  return line;
}

}  // namespace moecap::openai
