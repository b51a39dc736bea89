// Result files of other benchmark clients.
#include "foreign/result_file.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const std::string_view text = fuzz::Text(data, size);
  const auto result = foreign::ParseResultFile(text, text.substr(text.size() / 2));
  if (result.ok()) CHECK(!result->cells.empty());
  return 0;
}
