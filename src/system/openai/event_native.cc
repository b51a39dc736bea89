// Events of the servers' own interfaces: SGLang, TGI, Ollama, llama-server.
#include "system/openai/event_fields.h"

namespace moecap::openai {
namespace {

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

}  // namespace

bool ReadSglang(json::object object, EventFacts& facts) {
  constexpr Api kApi = Api::kSglangGenerate;
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
      if (meta == "finish_reason") return TakeFinish(kApi, entry, facts);
      if (meta == "id") return TakeText(entry, facts.id);
      if (meta == "prompt_tokens") return TakeCount(entry, facts.input_tokens);
      if (meta == "cached_tokens") return TakeCount(entry, facts.cached_input_tokens);
      if (meta != "completion_tokens") return true;
      if (!TakeCount(entry, facts.native_tokens)) return false;
      facts.output_tokens = facts.native_tokens;
      return true;
    });
  });
}

bool ReadTgi(json::object object, EventFacts& facts) {
  constexpr Api kApi = Api::kTgiGenerate;
  std::string_view whole_text;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    if (key == "error") return TakeError(value, facts);
    if (key == "token") return TakeTgiToken(value, facts);
    if (key == "generated_text") return TakeText(value, whole_text);
    if (key != "details") return true;
    return EachFieldOf(value, [&](std::string_view detail, json::value entry) {
      if (detail == "finish_reason") return TakeFinish(kApi, entry, facts);
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

bool ReadOllama(Api api, json::object object, EventFacts& facts, Places& places) {
  bool done = false, known = false;
  std::string_view reason;
  std::optional<double> prefill_ns, decode_ns;
  const bool read = EachField(object, [&](std::string_view key, json::value value) {
    if (key == "error") return TakeError(value, facts);
    known = known || key == "response" || key == "message" || key == "done";
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
  facts.has_output = known;
  if (prefill_ns) facts.server_prefill_s = *prefill_ns * 1e-9;
  if (decode_ns) facts.server_decode_s = *decode_ns * 1e-9;
  if (done) {
    facts.finish = FinishKind::kStop;
    SetFinish(api, reason, facts);
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

}  // namespace moecap::openai
