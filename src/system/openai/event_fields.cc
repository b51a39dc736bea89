#include "system/openai/event_fields.h"

#include <algorithm>

#include "system/openai/error_message.h"
#include "system/openai/finish_reason.h"

namespace moecap::openai {

void SetFinish(Api api, std::string_view reason, EventFacts& facts) {
  if (reason.empty()) return;
  const FinishMeaning meaning = MeaningOf(api, reason);
  facts.finish = meaning.kind;
  facts.odd_finish = !meaning.usual && meaning.kind != FinishKind::kAbort;
  facts.finish_text = reason;
}

bool TakeFinish(Api api, json::value value, EventFacts& facts) {
  json::json_type type;
  if (value.type().get(type)) return false;
  std::string_view reason, message;
  if (type == json::json_type::string) {
    if (value.get_string().get(reason)) return false;
  } else if (type == json::json_type::object) {
    const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
      if (key == "type") return TakeText(entry, reason);
      return key != "message" || TakeText(entry, message);
    });
    if (!read) return false;
  } else {
    return true;
  }
  SetFinish(api, reason, facts);
  if (!message.empty()) facts.finish_text = message;
  return true;
}

bool TakeUsage(json::value value, EventFacts& facts, Places& places) {
  std::optional<int64_t> cache_read, cache_made;
  const auto details = [&](json::value entry) {
    return EachFieldOf(entry, [&](std::string_view detail, json::value count) {
      if (detail == "cached_tokens") return TakeCount(count, facts.cached_input_tokens);
      return detail != "reasoning_tokens" || TakeCount(count, facts.reasoning_tokens);
    });
  };
  const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "prompt_tokens" || key == "input_tokens") return TakeCount(entry, facts.input_tokens);
    if (key == "completion_tokens" || key == "output_tokens") {
      places.Add(SlotKind::kOutputTokens, entry);
      return TakeCount(entry, facts.output_tokens);
    }
    if (key == "total_tokens") places.Add(SlotKind::kIgnoredInteger, entry);
    if (key == "reasoning_tokens") return TakeCount(entry, facts.reasoning_tokens);
    if (key == "cache_read_input_tokens") return TakeCount(entry, cache_read);
    if (key == "cache_creation_input_tokens") return TakeCount(entry, cache_made);
    const bool input = key == "prompt_tokens_details" || key == "input_tokens_details";
    return (!input && key != "completion_tokens_details" && key != "output_tokens_details") || details(entry);
  });
  // Anthropic counts what the cache held, and what went into it, apart from the input.
  if (cache_read) facts.cached_input_tokens = cache_read;
  if (facts.input_tokens) *facts.input_tokens += cache_read.value_or(0) + cache_made.value_or(0);
  return read;
}

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

namespace {

// The bytes of a value; false when they are broken.
bool TakeRaw(json::value value, std::string_view& raw) {
  json::json_type type;
  if (value.type().get(type)) return false;
  if (type == json::json_type::object) {
    json::object object;
    return !value.get_object().get(object) && !object.raw_json().get(raw);
  }
  if (type == json::json_type::array) {
    json::array array;
    return !value.get_array().get(array) && !array.raw_json().get(raw);
  }
  raw = value.raw_json_token();
  return true;
}

}  // namespace

bool TakeError(json::value value, EventFacts& facts) {
  std::string_view raw;
  if (!TakeRaw(value, raw)) return false;
  while (!raw.empty() && static_cast<unsigned char>(raw.back()) <= ' ') raw.remove_suffix(1);
  for (const std::string_view none : {"null", "false", "\"\"", "{}", "[]", "0"}) {
    if (raw == none) return true;
  }
  facts.is_error = true;
  facts.error = ErrorMessage(raw);
  return true;
}

namespace {

// Adds to what is no single string of the event.
void Join(std::string_view text, std::string& joined, std::string_view& view) {
  joined.append(text);
  view = joined;
}

}  // namespace

bool TakeContent(json::value value, EventFacts& facts, Places& places) {
  json::json_type type;
  if (value.type().get(type)) return false;
  if (type != json::json_type::array) {
    places.Add(SlotKind::kText, value);
    return TakeText(value, facts.text);
  }
  places.usable = false;
  return EachElementOf(value, [&](json::value part) {
    std::string_view text, thinking;
    const bool read = EachFieldOf(part, [&](std::string_view key, json::value entry) {
      if (key == "text" || key == "refusal") return TakeText(entry, text);
      if (key == "thinking" || key == "reasoning") return TakeText(entry, thinking);
      if (key == "input" || key == "arguments") facts.tool_call = true;
      return true;
    });
    if (!text.empty()) Join(text, facts.joined_text, facts.text);
    if (!thinking.empty()) Join(thinking, facts.joined_reasoning, facts.reasoning);
    return read;
  });
}

bool TakeDelta(json::value value, EventFacts& facts, Places& places) {
  std::string_view refusal;
  const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "content") return TakeContent(entry, facts, places);
    if (key == "reasoning_content" || key == "reasoning" || key == "thinking") {
      std::string_view text;
      if (!TakeText(entry, text)) return false;
      if (!text.empty()) {
        places.Add(SlotKind::kReasoning, entry);
        facts.reasoning = text;
      }
      return true;
    }
    if (key == "refusal") return TakeText(entry, refusal);
    if (key == "tool_calls") return EachElementOf(entry, [&](json::value) { return facts.tool_call = true; });
    if (key == "function_call")
      return EachFieldOf(entry, [&](std::string_view, json::value) { return facts.tool_call = true; });
    return true;
  });
  if (!refusal.empty()) {
    places.usable = false;
    if (facts.joined_text.empty()) facts.joined_text.assign(facts.text);
    Join(refusal, facts.joined_text, facts.text);
  }
  return read;
}

}  // namespace moecap::openai
