// Event streams: any split of the bytes gives the events of the slow parser, which reads the whole stream at once.
#include <algorithm>

#include "fuzz/fuzz.h"
#include "net/slow_stream_parser.h"

namespace {

using namespace moecap;

// Pieces whose sizes the input itself chooses.
void CheckSplit(std::string_view text, net::StreamFormat format, uint32_t seed) {
  const std::vector<net::SlowEvent> expected = net::SlowParse(text, format);
  net::StreamParser parser(format);
  size_t count = 0;
  while (!text.empty()) {
    seed = seed * 1664525 + 1013904223;
    const std::string piece(text.substr(0, 1 + (seed >> 24) % 23));  // its own memory, so that a stale view is seen
    text.remove_prefix(piece.size());
    parser.Push(piece);
    net::StreamEvent event;
    net::StreamParser::Step step;
    for (;;) {
      // As a caller may who knows how long the event is.
      const std::string_view ahead = parser.Ahead();
      const size_t size = std::min(ahead.find_first_of("\r\n"), ahead.size());
      if (size > 0 && parser.TakeAhead(size)) {
        CHECK(count < expected.size() && ahead.substr(0, size) == expected[count].data && expected[count].type.empty());
        ++count;
        continue;
      }
      step = parser.Next(event);
      if (step != net::StreamParser::Step::kEvent) break;
      CHECK(count < expected.size() && event.data == expected[count].data && event.type == expected[count].type);
      ++count;
    }
    CHECK(step == net::StreamParser::Step::kNeedBytes);
  }
  CHECK(count == expected.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::Text(data, size);
  uint32_t seed = 0;
  for (const char c : text) seed = seed * 31 + static_cast<unsigned char>(c);
  CheckSplit(text, net::StreamFormat::kServerSentEvents, seed);
  CheckSplit(text, net::StreamFormat::kNdjson, seed);
  return 0;
}
