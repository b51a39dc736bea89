// What lies inside the frames of a .moetrace file, where no checksum stops a change: a byte with the header's length, the
// header, passes. A pass that was read is written and read again as the same.
#include "fuzz/fuzz.h"
#include "trace/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto bytes = fuzz::Bytes(data, size);
  if (size == 0 || bytes.size() - 1 < data[0]) return 0;
  const auto header = trace::DecodeHeader(bytes.subspan(1, data[0]));
  if (!header.ok()) return 0;
  CHECK(trace::CheckHeader(*header).ok());
  trace::ByteReader in(bytes.subspan(1 + size_t{data[0]}));
  trace::TracePass pass;
  for (int i = 0; i < 64 && !in.done() && trace::DecodePass(*header, in, pass).ok(); ++i) {
    CHECK(trace::CheckPass(*header, pass).ok());
    if (pass.tokens > 4096) return 0;  // layers without ids take no bytes: sound, but slow to write again
    std::string text;
    trace::EncodePass(*header, pass, text);
    trace::ByteReader again(std::as_bytes(std::span(text)));
    trace::TracePass copy;
    CHECK(trace::DecodePass(*header, again, copy).ok() && again.done() && copy == pass);
  }
  return 0;
}
