// JSON text: what was read is written and read again as the same.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto value = ParseJson(fuzz::Text(data, size));
  if (!value.ok()) {
    CHECK(!value.error().message.empty());
    return 0;
  }
  const std::string text = DumpJson(*value);
  const auto again = ParseJson(text);
  CHECK(again.ok() && DumpJson(*again) == text);
  CHECK(ParseJson(DumpJsonPretty(*value)).ok());
  return 0;
}
