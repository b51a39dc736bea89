#include "system/openai/event_reader.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "system/openai/error_message.h"
#include "system/openai/event_fields.h"
#include "system/openai/event_template.h"

namespace moecap::openai {
namespace {

// An object without anything that the interface knows may be an error in words of its own.
bool TellsNothing(const EventFacts& facts) {
  return !facts.is_error && !facts.has_output && facts.finish == FinishKind::kNone && !facts.output_tokens &&
         !facts.input_tokens && !facts.native_tokens;
}

}  // namespace

// Member by member: in a chain of assignments each would be read whole right after it was written in halves and wait for that,
// and all at once is slower still. It is called for every event.
void EventFacts::Clear() {
  text = {};
  reasoning = {};
  finish_text = {};
  id = {};
  joined_text.clear();
  joined_reasoning.clear();
  cumulative = tool_call = has_output = has_token_ids = single_token = is_error = odd_finish = false;
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
  impl.places.usable = true;
  json::document document;
  json::object object;
  bool read = !impl.parser.iterate(impl.padded.data(), data.size(), impl.padded.size()).get(document) &&
              !document.get_object().get(object);
  if (read) {
    switch (impl.api) {
      case Api::kCompletions:
      case Api::kChat:
        read = ReadChoices(impl.api, object, facts, impl.places);
        break;
      case Api::kResponses:
        read = ReadResponses(object, facts);
        break;
      case Api::kMessages:
        read = ReadMessages(object, facts);
        break;
      case Api::kSglangGenerate:
        read = ReadSglang(object, facts);
        break;
      case Api::kTgiGenerate:
        read = ReadTgi(object, facts);
        break;
      case Api::kOllamaGenerate:
      case Api::kOllamaChat:
        read = ReadOllama(impl.api, object, facts, impl.places);
        break;
      case Api::kLlamaServer:
        read = ReadLlamaServer(object, facts);
        break;
    }
  }
  // Nothing may follow the object.
  const char* rest = nullptr;
  read = read && document.current_location().get(rest) == simdjson::OUT_OF_BOUNDS;
  if (read && TellsNothing(facts)) {
    if (auto message = MessageIn(data)) {
      facts.is_error = true;
      facts.error = std::move(*message);
    }
  }
  if (!read) impl.why = fmt::format("an event is not the JSON that this interface promises: {}", OneLine(data));
  return read;
}

bool EventReader::Read(std::string_view data, EventTemplate& stream, EventFacts& facts) {
  if (!data.empty() && stream.Match(data, facts) == data.size()) return true;
  if (!Read(data, facts)) return false;
  const bool learns = impl_->api == Api::kCompletions || impl_->api == Api::kChat;
  if (learns && impl_->places.usable) stream.Learn(data, impl_->places.slots, facts);
  return true;
}

}  // namespace moecap::openai
