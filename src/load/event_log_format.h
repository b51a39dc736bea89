// How a log lies in its file (docs/formats/events.md). Internal to load/.
#pragma once

#include <xxhash.h>

#include <bit>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "load/system_under_test.h"

namespace moecap::load {

static_assert(std::endian::native == std::endian::little, "events are written as they lie in memory");

inline constexpr std::string_view kMagic = "MOECAPEV";
inline constexpr uint32_t kVersion = 2;
inline constexpr uint32_t kOldestVersion = 1;  // without events of kind 6
inline constexpr size_t kFileHeadBytes = 12;
inline constexpr uint32_t kHeaderFrame = 1, kEventFrame = 2;

struct FrameHead {
  uint32_t type = 0;
  uint32_t bytes = 0;
  uint64_t checksum = 0;  // xxh3 of the payload, seeded with type and size
};
static_assert(sizeof(FrameHead) == 16);

enum Kind : uint8_t { kSend = 1, kChunk = 2, kGivenUp = 3, kFinish = 4, kNotIssued = 5, kDetails = 6 };
enum ChunkFlags : uint8_t { kReasoning = 1, kHasDelay = 2 };

// What every event starts with.
struct Head {
  uint8_t kind = 0;
  uint8_t flags = 0;
  uint16_t value = 0;  // tokens of a chunk; kind of error; bytes of an id
  uint32_t ticket = 0;
};
struct SendEvent {  // then the id
  Head head;
  int64_t at_ns = 0, intended_ns = 0;
  int64_t client = 0;
};
struct NotIssuedEvent {  // then the id
  Head head;
  int64_t intended_ns = 0;
  int64_t client = 0;
};
struct ChunkEvent {  // then, with kHasDelay, the receive delay, i64
  Head head;
  int64_t at_ns = 0;
};
struct GivenUpEvent {
  Head head;
};
struct DetailsEvent {  // of the request that ends next; then the texts, the quirks each with a line end
  Head head;           // its value: the TimingGap that the system told
  int64_t first_event_ns = 0;
  int32_t request_id_bytes = 0, response_id_bytes = 0, quirks_bytes = 0, reserved = 0;
};
struct FinishEvent {  // then the error's message
  Head head;
  int32_t finish = 0, http_status = 0, tokens_source = 0, retries = 0;
  int64_t error_bytes = 0;
  int64_t input_tokens = 0;
  int64_t output_tokens = -1, reasoning_tokens = -1, cached_input_tokens = -1;  // -1 = not told
  double server_prefill_s = -1, server_decode_s = -1;                           // -1 = not told
  Timings timings;
};
static_assert(sizeof(ChunkEvent) == 16 && sizeof(SendEvent) == 32 && sizeof(FinishEvent) == 128);
static_assert(std::is_trivially_copyable_v<FinishEvent>);

inline constexpr int64_t kMostChunkTokens = UINT16_MAX;
inline constexpr size_t kMostTextBytes = 4096;

inline uint64_t Checksum(uint32_t type, std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), (uint64_t{type} << 32) | payload.size());
}

}  // namespace moecap::load
