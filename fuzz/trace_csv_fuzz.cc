// Rows of single choices, as llama.cpp's moe-trace writes them.
#include "fuzz/trace_fuzz.h"
#include "trace/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  fuzz::Drain(trace::ImportTraceCsv(fuzz::Bytes(data, size), {}));
  return 0;
}
