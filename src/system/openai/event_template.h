// Events of one stream mostly repeat each other byte for byte except in a few places: the text, the token ids, a counter. Those
// are read without parsing the JSON again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "system/openai/event_reader.h"

namespace moecap::openai {

enum class SlotKind : uint8_t { kText, kReasoning, kTokenIds, kOutputTokens, kIgnoredInteger };

// A place of a parsed event whose value differs from event to event: where its token begins.
struct Slot {
  SlotKind kind;
  uint32_t begin;
};

// The last event of a stream that was parsed. One per stream.
class EventTemplate {
 public:
  void Reset();

  // `slots` in the order of their places in `data`; `facts` is what parsing gave. Does nothing when the event has something
  // that no slot describes, or when learning was of no use in this stream.
  void Learn(std::string_view data, const std::vector<Slot>& slots, const EventFacts& facts);

  // When `bytes` begin with the learnt event but for the slots, and each slot holds a value of its kind, that event means the
  // same with these values: fills `facts`, views into `bytes`, and returns its size, in which there is no line end. 0 = to be
  // parsed; `facts` are then of no use.
  size_t Match(std::string_view bytes, EventFacts& facts);

 private:
  struct Segment {
    uint32_t begin, size;  // literal bytes of `learnt_` before the slot
    SlotKind kind;
  };
  bool AddSegment(const Slot& slot);

  std::string learnt_;
  std::vector<Segment> segments_;
  uint32_t tail_begin_ = 0;  // literal bytes behind the last slot
  bool usable_ = false;
  bool has_output_ = false;
  int misses_ = 0;  // in a row
};

}  // namespace moecap::openai
