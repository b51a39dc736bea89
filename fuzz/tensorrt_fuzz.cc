// rank<r>.safetensors of TensorRT-LLM.
#include "fuzz/trace_fuzz.h"
#include "trace/importers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const fuzz::MemoryFile file(data, size);
  fuzz::Drain(trace::ImportTensorRt(file.path(), {}));
  return 0;
}
