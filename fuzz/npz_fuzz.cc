// NumPy's archives of ids and of counts.
#include "fuzz/trace_fuzz.h"
#include "trace/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  fuzz::Drain(trace::ImportNpz(fuzz::Bytes(data, size), {}));
  return 0;
}
