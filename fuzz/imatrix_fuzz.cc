// Importance matrices of llama.cpp.
#include "fuzz/trace_fuzz.h"
#include "trace/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto bytes = fuzz::Bytes(data, size);
  fuzz::Drain(trace::ImportImatrix(bytes, {}));
  return 0;
}
