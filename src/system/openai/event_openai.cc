// Events of /v1/completions, /v1/chat/completions, /v1/responses and /v1/messages.
#include <algorithm>
#include <span>

#include "system/openai/event_fields.h"

namespace moecap::openai {
namespace {

// One choice of several: only the first is ours.
bool TakeChoice(Api api, json::value value, EventFacts& facts, Places& places) {
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
    if (key == "text") return TakeContent(entry, target, places);
    if (key == "delta" || key == "message") return TakeDelta(entry, target, places);
    if (key == "finish_reason") return TakeFinish(api, entry, target);
    if (key != "token_ids" && key != "response_token_ids") return true;  // the latter in whole chats of SGLang
    places.Add(SlotKind::kTokenIds, entry);
    return TakeIds(entry, target);
  });
  facts.has_output = facts.has_output || first;
  if (!first) places.usable = false;  // several choices: parsed every time
  return read;
}

}  // namespace

bool ReadChoices(Api api, json::object object, EventFacts& facts, Places& places) {
  return EachField(object, [&](std::string_view key, json::value value) {
    if (key == "choices") {
      return EachElementOf(value, [&](json::value choice) { return TakeChoice(api, choice, facts, places); });
    }
    if (key == "usage") return TakeUsage(value, facts, places);
    if (key == "error") return TakeError(value, facts);
    if (key == "id") return TakeText(value, facts.id);
    return key != "timings" || TakeTimings(value, facts);
  });
}

namespace {

// OpenAI's Responses interface (platform.openai.com/docs/api-reference/responses-streaming): every event has a `type`; the
// text is in `delta`, what the whole answer says in `response`.
constexpr std::string_view kAnswerDeltas[] = {"response.output_text.delta", "response.refusal.delta"};
constexpr std::string_view kReasoningDeltas[] = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta",
                                                 "response.reasoning.delta"};
constexpr std::string_view kCallDeltas[] = {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
                                            "response.mcp_call_arguments.delta"};

bool IsIn(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// An entry of `output`: a message, reasoning, a call. Only a whole answer is read from it: a stream's last event repeats all.
bool TakeOutputItem(json::value value, EventFacts& facts) {
  Places places;
  places.begin = value.raw_json_token().data();
  std::string_view type;
  EventFacts item;
  const bool read = EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "type") return TakeText(entry, type);
    if (key == "arguments") item.tool_call = true;
    const bool text = key == "content" || key == "summary";
    return !text || TakeContent(entry, item, places);
  });
  const bool reasons = type == "reasoning";
  if (!item.text.empty()) {
    std::string& joined = reasons ? facts.joined_reasoning : facts.joined_text;
    joined.append(item.text);
    (reasons ? facts.reasoning : facts.text) = joined;
  }
  facts.tool_call = facts.tool_call || item.tool_call;
  facts.has_output = true;
  return read;
}

// Members of a response: at the top of a whole answer, inside `response` of an event.
bool TakeResponseField(bool whole, std::string_view key, json::value value, std::string_view& status, EventFacts& facts) {
  if (key == "id") return TakeText(value, facts.id);
  if (key == "status") return TakeText(value, status);
  if (key == "error") return TakeError(value, facts);
  if (key == "incomplete_details") {
    return EachFieldOf(value, [&](std::string_view detail, json::value entry) {
      std::string_view reason;
      if (detail != "reason") return true;
      if (!TakeText(entry, reason)) return false;
      SetFinish(Api::kResponses, reason, facts);
      return true;
    });
  }
  if (key == "usage") {
    Places places;
    places.begin = value.raw_json_token().data();
    return TakeUsage(value, facts, places);
  }
  if (key == "output" && whole) return EachElementOf(value, [&](json::value item) { return TakeOutputItem(item, facts); });
  return true;
}

void SetStatus(std::string_view status, EventFacts& facts) {
  if (status.empty() || status == "in_progress" || status == "queued") return;
  if (status == "incomplete" && facts.finish != FinishKind::kNone) return;
  SetFinish(Api::kResponses, status, facts);
}

}  // namespace

bool ReadResponses(json::object object, EventFacts& facts) {
  std::string_view type, kind, delta, status, message;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    if (key == "type") return TakeText(value, type);
    if (key == "object") return TakeText(value, kind);
    if (key == "delta") return TakeText(value, delta);
    if (key == "message") return TakeText(value, message);
    if (key == "response") {
      return EachFieldOf(value, [&](std::string_view member, json::value entry) {
        return TakeResponseField(/*whole=*/false, member, entry, status, facts);
      });
    }
    return TakeResponseField(/*whole=*/true, key, value, status, facts);
  });
  if (IsIn(kAnswerDeltas, type)) facts.text = delta;
  if (IsIn(kReasoningDeltas, type)) facts.reasoning = delta;
  if (IsIn(kCallDeltas, type) && !delta.empty()) facts.tool_call = true;
  facts.has_output = facts.has_output || !delta.empty();
  if (type == "error" && !facts.is_error) {
    facts.is_error = true;
    facts.error = message;
  }
  // An event of one item has a status too; that of the whole is in `response`, or beside "object".
  if (type.empty() ? kind == "response" : type.starts_with("response.") && type.find('.', 9) == std::string_view::npos)
    SetStatus(status, facts);
  return read;
}

namespace {

// Anthropic's Messages interface (docs.anthropic.com, "Streaming Messages"): message_start, content_block_delta, message_delta
// with the stop reason and the running count, message_stop, ping, error.
bool TakeBlockDelta(json::value value, EventFacts& facts) {
  return EachFieldOf(value, [&](std::string_view key, json::value entry) {
    if (key == "text") return TakeText(entry, facts.text);
    if (key == "thinking") return TakeText(entry, facts.reasoning);
    if (key == "partial_json") {
      std::string_view part;
      if (!TakeText(entry, part)) return false;
      facts.tool_call = facts.tool_call || !part.empty();
      return true;
    }
    return key != "stop_reason" || TakeFinish(Api::kMessages, entry, facts);
  });
}

bool TakeMessageField(std::string_view key, json::value value, Places& places, EventFacts& facts) {
  if (key == "id") return TakeText(value, facts.id);
  if (key == "usage") return TakeUsage(value, facts, places);
  if (key == "stop_reason") return TakeFinish(Api::kMessages, value, facts);
  return key != "content" || TakeContent(value, facts, places);
}

}  // namespace

bool ReadMessages(json::object object, EventFacts& facts) {
  Places places;
  std::string_view type;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    places.begin = value.raw_json_token().data();
    if (key == "type") return TakeText(value, type);
    if (key == "error") return TakeError(value, facts);
    if (key == "delta") return TakeBlockDelta(value, facts);
    if (key == "message") {
      return EachFieldOf(
          value, [&](std::string_view member, json::value entry) { return TakeMessageField(member, entry, places, facts); });
    }
    return TakeMessageField(key, value, places, facts);
  });
  facts.has_output = !facts.text.empty() || !facts.reasoning.empty() || facts.tool_call || type == "message";
  return read;
}

}  // namespace moecap::openai
