// JSON lines of MoE-CAP's own recorder.
#include "fuzz/fuzz.h"
#include "trace/upstream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const fuzz::MemoryFile file(data, size);
  int64_t passes = 0;
  const auto report = trace::ReadUpstream(file.path(), {}, [&passes](const record::PassRecord& pass, bool) {
    ++passes;
    CHECK(pass.NewTokens() >= pass.SequenceCount() && pass.SequenceCount() >= 0);
    return Status();
  });
  if (report.ok()) CHECK(report->passes == passes && report->passes <= report->records);
  return 0;
}
