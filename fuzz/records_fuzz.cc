// Lines of passes.jsonl and requests.jsonl: a line that was read is written and read again as the same.
#include "fuzz/fuzz.h"
#include "record/jsonl.h"

namespace {

template <typename Parse>
void RoundTrip(std::string_view line, Parse parse) {
  const auto record = parse(line);
  if (!record.ok()) return;
  const std::string text = moecap::record::ToJsonLine(*record);
  const auto again = parse(text);
  CHECK(again.ok());
  CHECK(moecap::record::ToJsonLine(*again) == text);
}

// Counts that a reader lets through can be added up.
void CheckCounts(std::string_view line) {
  const auto pass = moecap::record::ParsePassLine(line);
  if (pass.ok()) CHECK(pass->SequenceCount() >= 0 && pass->NewTokens() >= pass->SequenceCount());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  RoundTrip(moecap::fuzz::Text(data, size), moecap::record::ParsePassLine);
  RoundTrip(moecap::fuzz::Text(data, size), moecap::record::ParseRequestLine);
  CheckCounts(moecap::fuzz::Text(data, size));
  return 0;
}
