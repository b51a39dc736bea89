// Routed experts in answers: .npy, its base64, responses in JSON, with and without a shape of their own.
#include "fuzz/trace_fuzz.h"
#include "trace/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto bytes = fuzz::Bytes(data, size);
  fuzz::Drain(trace::ImportAnswers(bytes, {}));
  trace::ImportOptions small;
  small.layers = small.top_k = 2;
  fuzz::Drain(trace::ImportAnswers(bytes, small));
  return 0;
}
