// HTTP responses: any split of the bytes gives the same status, body and end, and no more body than bytes came.
#include "fuzz/fuzz.h"
#include "net/response_parser.h"

namespace {

using namespace moecap;

struct Outcome {
  int status = 0;
  std::string body;
  bool complete = false, failed = false, keep_alive = false;
  bool operator==(const Outcome&) const = default;
};

Outcome Parse(std::string_view text, size_t piece) {
  net::ResponseParser parser(4096);
  parser.Reset();
  Outcome outcome;
  while (!text.empty()) {
    const std::string bytes(text.substr(0, piece));
    text.remove_prefix(bytes.size());
    parser.Push(bytes);
    for (;;) {
      std::string_view body;
      const auto step = parser.Next(body);
      if (step == net::ResponseParser::Step::kNeedBytes) break;
      if (step == net::ResponseParser::Step::kHead) outcome.status = parser.head().status();
      if (step == net::ResponseParser::Step::kBody) outcome.body += body;
      outcome.complete = step == net::ResponseParser::Step::kEnd;
      outcome.failed = step == net::ResponseParser::Step::kError;
      if (outcome.complete) outcome.keep_alive = parser.keep_alive();
      if (outcome.complete || outcome.failed) return outcome;
    }
  }
  outcome.complete = parser.PushEnd() == net::ResponseParser::Step::kEnd;
  outcome.failed = !outcome.complete;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::Text(data, size);
  const Outcome whole = Parse(text, size + 1);
  CHECK(whole.body.size() <= size);
  CHECK(Parse(text, 1) == whole);
  CHECK(Parse(text, 1 + size % 13) == whole);
  return 0;
}
