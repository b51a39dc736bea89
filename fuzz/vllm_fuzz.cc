// Routed experts of vLLM: .npy, its base64, responses in JSON.
#include "fuzz/trace_fuzz.h"
#include "trace/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto bytes = fuzz::Bytes(data, size);
  fuzz::Drain(trace::ImportVllm(bytes, {}));
  return 0;
}
