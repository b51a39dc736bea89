// Tables of tokens per expert: JSON and .npy, or CSV.
#include "fuzz/trace_fuzz.h"
#include "trace/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto bytes = fuzz::Bytes(data, size);
  fuzz::Drain(trace::ImportCounts(bytes, {}));
  fuzz::Drain(trace::ImportCountsCsv(bytes, 0, {}));
  return 0;
}
