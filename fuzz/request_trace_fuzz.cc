// Request traces in all four formats.
#include <algorithm>

#include "fuzz/fuzz.h"
#include "workload/request_trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const fuzz::MemoryFile file(data, size);
  const auto trace = workload::ReadRequestTrace(file.path());
  if (!trace.ok()) return 0;
  CHECK(!trace->requests.empty() && trace->requests.front().at_s == 0);
  CHECK(std::ranges::is_sorted(trace->requests, {}, &workload::TracedRequest::at_s));
  for (const auto& request : trace->requests) CHECK(request.input_tokens >= 0 && request.output_tokens >= 0);
  return 0;
}
