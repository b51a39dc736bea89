// .moetrace files.
#include "fuzz/trace_fuzz.h"
#include "trace/moetrace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const fuzz::MemoryFile file(data, size);
  auto reader = trace::MoetraceReader::Open(file.path());
  if (reader.ok()) fuzz::Drain(std::unique_ptr<trace::TraceSource>(std::move(reader).value()));
  return 0;
}
