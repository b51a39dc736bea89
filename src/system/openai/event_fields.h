// Reading the members of an event with simdjson. Internal to the readers of the interfaces (event_*.cc).
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "system/openai/event_reader.h"
#include "system/openai/event_template.h"

namespace moecap::openai {

namespace json = simdjson::ondemand;

// The places of an event that differ from event to event.
struct Places {
  const char* begin = nullptr;
  std::vector<Slot> slots;
  bool usable = true;  // false: the event holds output in places that the slots do not tell

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
inline bool TakeText(json::value value, std::string_view& text) {
  json::json_type type;
  if (value.type().get(type)) return false;
  return type != json::json_type::string || !value.get_string().get(text);
}

// A number, also written as text; null and anything else leave it as it is.
inline bool TakeNumber(json::value value, std::optional<double>& number) {
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

inline constexpr double kMostTokens = 1 << 28;

// A count of tokens. One that cannot be is refused: nothing is made of it.
inline bool TakeCount(json::value value, std::optional<int64_t>& count) {
  std::optional<double> number;
  if (!TakeNumber(value, number)) return false;
  if (!number) return true;
  if (!(*number >= 0 && *number <= kMostTokens)) return false;
  count = static_cast<int64_t>(*number);
  return true;
}

inline bool TakeBool(json::value value, bool& flag) {
  json::json_type type;
  if (value.type().get(type)) return false;
  return type != json::json_type::boolean || !value.get_bool().get(flag);
}

inline bool TakeIds(json::value value, EventFacts& facts) {
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

// The finish reason in the words of one interface; the empty one is none.
void SetFinish(Api api, std::string_view reason, EventFacts& facts);
// A string, or SGLang's object with a `type` and, when aborted, a `message`.
bool TakeFinish(Api api, json::value value, EventFacts& facts);
// The usage object of any of the interfaces.
bool TakeUsage(json::value value, EventFacts& facts, Places& places);
// llama-server's own clock.
bool TakeTimings(json::value value, EventFacts& facts);
// An error member: text, an object, a list. Null, false and what is empty are none.
bool TakeError(json::value value, EventFacts& facts);
// What a chat message, or a part of one, adds.
bool TakeDelta(json::value value, EventFacts& facts, Places& places);
// A content: text, or a list of parts, of which text and thinking count.
bool TakeContent(json::value value, EventFacts& facts, Places& places);

// One event of the interface each. False when the JSON is broken or holds what cannot be.
bool ReadChoices(Api api, json::object object, EventFacts& facts, Places& places);
bool ReadResponses(json::object object, EventFacts& facts);
bool ReadMessages(json::object object, EventFacts& facts);
bool ReadSglang(json::object object, EventFacts& facts);
bool ReadTgi(json::object object, EventFacts& facts);
bool ReadOllama(Api api, json::object object, EventFacts& facts, Places& places);
bool ReadLlamaServer(json::object object, EventFacts& facts);

}  // namespace moecap::openai
