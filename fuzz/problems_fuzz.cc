// Data sets: JSON lines with question and answer.
#include "fuzz/fuzz.h"
#include "workload/dataset.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const fuzz::MemoryFile file(data, size);
  const auto problems = workload::ReadProblems(file.path());
  if (!problems.ok()) return 0;
  const auto count = static_cast<int64_t>(problems->size());
  CHECK(count > 0 && workload::SelectProblems(*problems, count, 7).ok());
  return 0;
}
