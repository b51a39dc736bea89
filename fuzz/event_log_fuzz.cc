// The raw event log of the load generator: the bytes as a whole file, and as the events of a frame whose checksum is right,
// which no mutation would find.
#include <xxhash.h>

#include "fuzz/fuzz.h"
#include "load/event_log.h"

namespace {

using namespace moecap;

void Append(std::string& file, uint32_t type, std::string_view payload) {
  const auto bytes = static_cast<uint32_t>(payload.size());
  const uint64_t checksum = XXH3_64bits_withSeed(payload.data(), payload.size(), (uint64_t{type} << 32) | payload.size());
  file.append(reinterpret_cast<const char*>(&type), 4).append(reinterpret_cast<const char*>(&bytes), 4);
  file.append(reinterpret_cast<const char*>(&checksum), 8).append(payload);
}

void Check(std::string_view bytes) {
  const auto log = load::ParseEventLog(bytes);
  if (!log.ok()) return;
  CHECK(log->damaged_bytes < bytes.size());
  for (const auto& request : log->result.requests)
    CHECK(!request.ok() || std::cmp_equal(request.token_s.size(), request.output_tokens));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = fuzz::Text(data, size);
  Check(bytes);
  std::string file("MOECAPEV\x01\0\0\0", 12);
  Append(file, 1, R"({"system":"S","concurrency":2,"repeat":0,"origin_ns":0,"started_at":""})");
  Append(file, 2, bytes);
  Check(file);
  return 0;
}
