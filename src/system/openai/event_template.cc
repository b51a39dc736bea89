#include "system/openai/event_template.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "system/openai/utf8.h"

namespace moecap::openai {
namespace {

constexpr size_t kMostBytes = 4096;
constexpr int kMostMisses = 8;
constexpr size_t kMostDigits = 8;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// ASCII that stands for itself inside a JSON string.
constexpr std::array<bool, 256> kIsPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t byte = ' '; byte < 0x80; ++byte) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}();

// Length of a JSON string's inside up to its closing quote; npos when it holds anything but plain text.
size_t PlainTextLength(std::string_view text) {
  for (size_t i = 0;;) {
    while (i < text.size() && kIsPlain[static_cast<unsigned char>(text[i])]) ++i;
    if (i == text.size()) return std::string_view::npos;
    if (text[i] == '"') return i;
    const size_t length = static_cast<unsigned char>(text[i]) < 0x80 ? 0 : Utf8Length(text.substr(i));
    if (length == 0) return std::string_view::npos;
    i += length;
  }
}

// Length of a plain whole number as JSON writes it; 0 = something else.
size_t IntegerLength(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && length <= kMostDigits && IsDigit(text[length])) ++length;
  const bool leading_zero = length > 1 && text[0] == '0';
  const bool more = length < text.size() && (text[length] == '.' || text[length] == 'e' || text[length] == 'E');
  return leading_zero || more || length > kMostDigits ? 0 : length;
}

int64_t IntegerOf(std::string_view digits) {
  int64_t value = 0;
  for (const char c : digits) value = value * 10 + (c - '0');
  return value;
}

// Length of "[1,2,3]" and its numbers; 0 = something else.
size_t TakeIds(std::string_view text, std::vector<int32_t>* ids) {
  if (text.size() < 2 || text[0] != '[') return 0;
  if (text[1] == ']') return 2;
  for (size_t at = 1;;) {
    const size_t begin = at;
    int32_t id = 0;
    for (; at < text.size() && IsDigit(text[at]) && at - begin < kMostDigits; ++at) id = id * 10 + (text[at] - '0');
    const bool leading_zero = at - begin > 1 && text[begin] == '0';
    if (at == begin || leading_zero || at >= text.size()) return 0;
    if (ids != nullptr) ids->push_back(id);
    if (text[at] == ']') return at + 1;
    if (text[at++] != ',') return 0;
    if (at < text.size() && text[at] == ' ') ++at;
  }
}

bool HasOnlySlots(const EventFacts& facts) {
  return !facts.cumulative && !facts.tool_call && !facts.single_token && !facts.is_error && facts.finish == FinishKind::kNone &&
         !facts.native_tokens && !facts.input_tokens && !facts.cached_input_tokens && !facts.reasoning_tokens &&
         !facts.server_prefill_s && !facts.server_decode_s;
}

}  // namespace

void EventTemplate::Reset() {
  usable_ = false;
  misses_ = 0;
}

// The literal bytes up to the slot; false when the slot's value is not of the plain kind.
bool EventTemplate::AddSegment(const Slot& slot) {
  const bool quoted = slot.kind == SlotKind::kText || slot.kind == SlotKind::kReasoning;
  const uint32_t begin = slot.begin + (quoted ? 1 : 0);
  if (begin >= learnt_.size() || begin < tail_begin_) return false;
  const char first = learnt_[slot.begin];
  if (first == 'n') return true;  // null: as literal as its surroundings
  if (quoted && first != '"') return false;
  const std::string_view rest = std::string_view(learnt_).substr(begin);
  size_t length = 0;
  if (quoted) {
    length = PlainTextLength(rest);
    if (length == std::string_view::npos) return false;
  } else {
    length = slot.kind == SlotKind::kTokenIds ? TakeIds(rest, nullptr) : IntegerLength(rest);
    if (length == 0) return false;
  }
  segments_.push_back({tail_begin_, begin - tail_begin_, slot.kind});
  tail_begin_ = begin + static_cast<uint32_t>(length);
  return true;
}

void EventTemplate::Learn(std::string_view data, const std::vector<Slot>& slots, const EventFacts& facts) {
  usable_ = false;
  if (misses_ >= kMostMisses || data.size() > kMostBytes || slots.empty() || !HasOnlySlots(facts)) return;
  // Several data lines, or white space of NDJSON.
  if (data.find_first_of("\r\n") != std::string_view::npos) return;
  ++misses_;
  learnt_.assign(data);
  segments_.clear();
  tail_begin_ = 0;
  for (const Slot& slot : slots) {
    if (!AddSegment(slot)) return;
  }
  has_output_ = facts.has_output;
  usable_ = true;
}

size_t EventTemplate::Match(std::string_view bytes, EventFacts& facts) {
  if (!usable_ || bytes.empty()) return 0;
  std::string_view data = bytes;
  facts.Clear();
  const char* const learnt = learnt_.data();
  for (const Segment& segment : segments_) {
    if (data.size() < segment.size || std::memcmp(data.data(), learnt + segment.begin, segment.size) != 0) return 0;
    data.remove_prefix(segment.size);
    size_t length = 0;
    switch (segment.kind) {
      case SlotKind::kText:
      case SlotKind::kReasoning:
        length = PlainTextLength(data);
        if (length == std::string_view::npos) return 0;
        (segment.kind == SlotKind::kText ? facts.text : facts.reasoning) = data.substr(0, length);
        break;
      case SlotKind::kTokenIds:
        length = TakeIds(data, &facts.token_ids);
        if (length == 0) return 0;
        facts.has_token_ids = true;
        break;
      case SlotKind::kOutputTokens:
      case SlotKind::kIgnoredInteger:
        length = IntegerLength(data);
        if (length == 0) return 0;
        if (segment.kind == SlotKind::kOutputTokens) facts.output_tokens = IntegerOf(data.substr(0, length));
        break;
    }
    data.remove_prefix(length);
  }
  const std::string_view tail = std::string_view(learnt_).substr(tail_begin_);
  if (!data.starts_with(tail)) return 0;
  facts.has_output = has_output_;
  misses_ = 0;
  return bytes.size() - data.size() + tail.size();
}

}  // namespace moecap::openai
