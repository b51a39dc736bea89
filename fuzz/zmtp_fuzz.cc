// A publisher's bytes: any split of them gives the same messages, and telemetry in them is a pass or refused.
#include "fuzz/fuzz.h"
#include "live/pass_telemetry.h"
#include "net/zmtp.h"

namespace {

using namespace moecap;

struct Outcome {
  std::vector<net::ZmtpMessage> messages;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

Outcome Read(std::string_view text, size_t piece) {
  net::ZmtpReader reader;
  Outcome outcome;
  while (!text.empty() && !outcome.failed) {
    outcome.failed = !reader.Feed(text.substr(0, piece), outcome.messages).ok();
    text.remove_prefix(std::min(piece, text.size()));
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::Text(data, size);
  const Outcome whole = Read(text, size + 1);
  CHECK(Read(text, 1) == whole);
  CHECK(Read(text, 1 + size % 13) == whole);
  live::PassTelemetry telemetry;
  for (const net::ZmtpMessage& message : whole.messages) static_cast<void>(telemetry.Add(message));
  static_cast<void>(live::ReadForwardPass(text));
  for (const record::PassRecord& pass : telemetry.Take().passes) {
    CHECK(pass.latency_s > 0 && !pass.sequences.empty());
    for (const record::SequenceSlice& slice : pass.sequences)
      CHECK(slice.new_tokens > 0 && slice.count > 0 && slice.context_tokens >= 0);
  }
  return 0;
}
